#include "storecore/hash/hash_file.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

using catalog::SysResult;

namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
constexpr std::uint64_t kStreamBytes = std::uint64_t{1} << 20;
constexpr int kAttempts = 3;

bool same_version(const Stat& a, const Stat& b) {
  return a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime;
}

}  // namespace

FileHasher::FileHasher() : buffer_(kBufferBytes) {}

SysResult<HashedFile> FileHasher::hash(DirFd dir, const char* name) {
  const auto fd = open_file_at(dir, name);
  if (!fd) return std::unexpected(fd.error());
  return hash(fd->get());
}

SysResult<HashedFile> FileHasher::hash(int fd) {
  HashedFile result;
  auto before = stat_fd(fd);
  if (!before) return std::unexpected(before.error());
  if (!before->is_regular()) return catalog::sys_error(EINVAL);
  if (before->size > kStreamBytes) (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  for (int attempt = 1;; ++attempt) {
    hasher_.reset();
    std::uint64_t offset = 0;
    while (true) {
      const auto got = pread_some(fd, buffer_, offset);
      if (!got) return std::unexpected(got.error());
      hasher_.update(std::span(buffer_).first(*got));
      offset += *got;
      // A short read at the known size is the end: saves the read that would say 0.
      if (*got == 0 || (*got < buffer_.size() && offset == before->size)) break;
    }
    result.bytes_read += offset;
    const auto after = stat_fd(fd);
    if (!after) return std::unexpected(after.error());
    result.stat = *after;
    result.digest = hasher_.digest();
    result.stable = same_version(*before, *after) && offset == after->size;
    if (result.stable || attempt == kAttempts) return result;
    before = after;
  }
}

}  // namespace holdfast::core
