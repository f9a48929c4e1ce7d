#include "storecore/os/dirents.hpp"

#include <dirent.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {
namespace {

using catalog::SysResult;

bool is_dot_or_dotdot(const char* name) noexcept {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

}  // namespace

DirReader::DirReader() : buffer_(std::make_unique_for_overwrite<std::byte[]>(kChunkBytes)) {}

SysResult<bool> DirReader::fill(int fd) noexcept {
  position_ = 0;
  end_ = 0;
  ssize_t count = 0;
  do {
    count = ::getdents64(fd, buffer_.get(), kChunkBytes);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return std::unexpected(catalog::last_error());
  end_ = static_cast<std::size_t>(count);
  return end_ > 0;
}

bool DirReader::next(Dirent& entry) noexcept {
  while (position_ < end_) {
    // The kernel aligns every record to 8 bytes and ends every name with a NUL inside its record.
    const auto* record = reinterpret_cast<const dirent64*>(buffer_.get() + position_);
    position_ += record->d_reclen;
    if (is_dot_or_dotdot(record->d_name)) continue;
    entry.name = record->d_name;
    entry.length = std::strlen(record->d_name);
    entry.inode = record->d_ino;
    entry.type = record->d_type;
    return true;
  }
  entry = {};
  return false;
}

SysResult<std::vector<std::string>> list_names(DirFd dir) {
  const auto fd = open_dir_at(dir, ".");
  if (!fd) return std::unexpected(fd.error());
  std::vector<std::string> names;
  DirReader listing;
  while (true) {
    const auto more = listing.fill(fd->get());
    if (!more) return std::unexpected(more.error());
    if (!*more) return names;
    for (Dirent entry; listing.next(entry);) names.emplace_back(entry.view());
  }
}

}  // namespace holdfast::core
