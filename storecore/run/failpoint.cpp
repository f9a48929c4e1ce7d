#include "storecore/run/failpoint.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill() is POSIX, not C
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): secure_getenv() is not C either
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

namespace holdfast::core {
namespace {

class Trap {
 public:
  Trap() {
    const char* text = ::secure_getenv("HOLDFAST_FAILPOINT");
    if (text == nullptr) return;
    name_ = text;
    const std::size_t colon = name_.rfind(':');
    if (colon == std::string::npos) return;
    const char* const end = name_.data() + name_.size();
    unsigned long count = 0;
    const auto parsed = std::from_chars(name_.data() + colon + 1, end, count);
    if (parsed.ec != std::errc{} || parsed.ptr != end || count == 0) return;
    name_.resize(colon);
    left_.store(count, std::memory_order_relaxed);
  }

  [[nodiscard]] bool is_set() const noexcept { return !name_.empty(); }

  void arrive(std::string_view name) noexcept {
    if (name != name_ || left_.fetch_sub(1, std::memory_order_relaxed) != 1) return;
    // No handler, no destructor, no flush: what a power cut leaves of a process.
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }

 private:
  std::string name_;
  std::atomic<unsigned long> left_{1};
};

}  // namespace

void failpoint(std::string_view name) noexcept {
  static Trap trap;
  if (trap.is_set()) trap.arrive(name);
}

}  // namespace holdfast::core
