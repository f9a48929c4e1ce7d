#include "storecore/hash/hash_file.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

using catalog::Digest;
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

SysResult<std::uint64_t> FileHasher::read_all(int fd, std::uint64_t size, std::uint64_t limit,
                                              Digest& digest) {
  if (size > kStreamBytes) (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::uint64_t offset = 0;
  bool streams = false;
  while (true) {
    const auto got = pread_some(fd, buffer_, offset);
    if (!got) return std::unexpected(got.error());
    const auto bytes = std::span(buffer_).first(*got);
    offset += *got;
    // A short read at the known size is the end: saves the read that would say 0.
    const bool ended = *got == 0 || (*got < buffer_.size() && offset == size) || offset > limit;
    if (ended && !streams) {
      digest = catalog::digest_of(bytes);
      return offset;
    }
    if (!streams) hasher_.reset();
    streams = true;
    hasher_.update(bytes);
    if (!ended) continue;
    digest = hasher_.digest();
    return offset;
  }
}

SysResult<HashedFile> FileHasher::hash(int fd) {
  HashedFile result;
  auto before = stat_fd(fd);
  if (!before) return std::unexpected(before.error());
  if (!before->is_regular()) return catalog::sys_error(EINVAL);
  for (int attempt = 1;; ++attempt) {
    const auto read = read_all(fd, before->size, UINT64_MAX, result.digest);
    if (!read) return std::unexpected(read.error());
    result.bytes_read += *read;
    const auto after = stat_fd(fd);
    if (!after) return std::unexpected(after.error());
    result.stat = *after;
    result.stable = same_version(*before, *after) && *read == after->size;
    if (result.stable || attempt == kAttempts) return result;
    before = after;
  }
}

SysResult<HashedFile> FileHasher::hash_once(DirFd dir, const char* name, std::uint64_t size) {
  const auto fd = open_file_at(dir, name);
  if (!fd) return std::unexpected(fd.error());
  HashedFile result;
  const auto read = read_all(fd->get(), size, size, result.digest);
  if (!read) return std::unexpected(read.error());
  const auto after = stat_fd(fd->get());
  if (!after) return std::unexpected(after.error());
  if (!after->is_regular()) return catalog::sys_error(EINVAL);
  result.stat = *after;
  result.stable = *read == after->size;
  result.bytes_read = *read;
  return result;
}

}  // namespace holdfast::core
