#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

struct Dirent {
  const char* name =
      nullptr;  ///< NUL-terminated, inside the reader's buffer; dies at the next chunk
  std::size_t length = 0;
  std::uint64_t inode = 0;
  std::uint8_t type = 0;  ///< DT_*; DT_UNKNOWN where the filesystem does not say
  [[nodiscard]] std::string_view view() const noexcept { return {name, length}; }
};

/// getdents64 in chunks of 64 KiB; "." and ".." are left out. One thread.
class DirReader {
 public:
  static constexpr std::size_t kChunkBytes = std::size_t{64} << 10;
  DirReader();

  /// Reads the next chunk from @p fd (borrowed, its offset is the position). False at the end.
  [[nodiscard]] catalog::SysResult<bool> fill(int fd) noexcept;
  /// Entries of the chunk, one after the other; nullptr-named at its end.
  [[nodiscard]] bool next(Dirent& entry) noexcept;

 private:
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t end_ = 0;
  std::size_t position_ = 0;
};

/// Every name in @p dir at once, by a descriptor of its own: for directories known to be small.
[[nodiscard]] catalog::SysResult<std::vector<std::string>> list_names(DirFd dir);

}  // namespace holdfast::core
