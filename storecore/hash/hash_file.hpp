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

 private:
  std::vector<std::byte> buffer_;
  catalog::Hasher hasher_;
};

}  // namespace holdfast::core
