#include "storecore/os/fd.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace holdfast::core {
namespace {

// Container managers give hard limits of a thousand million, and a descriptor table costs 8 bytes
// for each: 512 KiB are grown at once, more than the walker's budget ever opens.
constexpr rlim_t kTableDescriptors = rlim_t{1} << 16;

void grow_descriptor_table(rlim_t limit) noexcept {
  const int probe = ::open("/", O_PATH | O_CLOEXEC);
  if (probe < 0) return;
  const int highest = static_cast<int>(std::min(limit, kTableDescriptors)) - 1;
  const int far = ::fcntl(probe, F_DUPFD_CLOEXEC, highest);
  if (far >= 0) ::close(far);
  ::close(probe);
}

}  // namespace

void Fd::reset() noexcept {
  // EINTR is not retried: on Linux the descriptor is gone by then, and its number may be another's.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

unsigned long raise_fd_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur > 0) grow_descriptor_table(limit.rlim_cur);
  return limit.rlim_cur;
}

}  // namespace holdfast::core
