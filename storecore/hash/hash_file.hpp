#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

struct HashedFile {
  Stat stat;  ///< after the last read
  catalog::Digest digest;
  bool stable = true;  ///< false: changed during each of three reads; digest is of the last one
  std::uint64_t bytes_read = 0;
};

/// Reads files and hashes them. One thread each; keeps its buffer and hash state.
///
/// read(), not mmap: a file that is truncated while it is mapped is SIGBUS. The file is looked at
/// before and after: another size, mtime or ctime means that somebody wrote, and it is read again.
class FileHasher {
 public:
  FileHasher();
  /// @p name must be a regular file; with no bytes it is not opened. Errors: the system's; EINVAL:
  /// not a regular file.
  [[nodiscard]] catalog::SysResult<HashedFile> hash(DirFd dir, const char* name);
  [[nodiscard]] catalog::SysResult<HashedFile> hash(int fd);
  /// One pass with one look, behind the last read: for who knows what the file has to be. `stable`
  /// only says that there were as many bytes as its stat has; whether somebody wrote is for the
  /// caller to tell. A file with more than @p size bytes is not read to its end, and not stable.
  [[nodiscard]] catalog::SysResult<HashedFile> hash_once(DirFd dir, const char* name,
                                                         std::uint64_t size);

 private:
  /// Reads to the end, which @p size says where it is likely to be, or to beyond @p limit. @return
  /// how many bytes there were
  [[nodiscard]] catalog::SysResult<std::uint64_t> read_all(int fd, std::uint64_t size,
                                                           std::uint64_t limit,
                                                           catalog::Digest& digest);

  std::vector<std::byte> buffer_;
  catalog::Hasher hasher_;
};

}  // namespace holdfast::core
