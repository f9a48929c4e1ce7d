#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

/// statx(2) in our types. One call, no symlink is followed, no automount is triggered.
struct Stat {
  std::uint32_t type_bits = 0;  ///< S_IFMT part of the mode
  std::uint32_t mode = 0;       ///< 0..07777
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t links = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;      ///< of 512 bytes
  std::uint64_t device = 0;      ///< st_dev: major << 32 | minor
  std::uint64_t rdev = 0;        ///< major << 32 | minor
  std::uint64_t mount_id = 0;    ///< 0 where the kernel does not say
  std::uint64_t attributes = 0;  ///< STATX_ATTR_*, those that stx_attributes_mask covers
  catalog::Timestamp atime;
  catalog::Timestamp mtime;
  catalog::Timestamp ctime;
  catalog::Timestamp btime;  ///< zero where the filesystem has none

  [[nodiscard]] bool is_directory() const noexcept;
  [[nodiscard]] bool is_regular() const noexcept;
  [[nodiscard]] bool is_symlink() const noexcept;
  [[nodiscard]] bool is_socket() const noexcept;
  [[nodiscard]] bool is_mount_root() const noexcept;   ///< STATX_ATTR_MOUNT_ROOT
  [[nodiscard]] bool is_immutable() const noexcept;    ///< chattr +i
  [[nodiscard]] bool is_append_only() const noexcept;  ///< chattr +a
  [[nodiscard]] bool is_encrypted() const noexcept;    ///< fscrypt
  /// Same device and inode. Not a border test: a bind mount has both equal and another mount id.
  [[nodiscard]] bool same_inode(const Stat& other) const noexcept {
    return inode == other.inode && device == other.device;
  }
  /// Same volume: st_dev and, where the kernel says it, mount id.
  [[nodiscard]] bool same_volume(const Stat& other) const noexcept {
    return device == other.device && mount_id == other.mount_id;
  }
};

/// @param name one component, raw bytes. Errors: ENOENT gone; EACCES; EIO. Any thread.
[[nodiscard]] catalog::SysResult<Stat> stat_at(DirFd dir, const char* name) noexcept;
[[nodiscard]] inline catalog::SysResult<Stat> stat_at(DirFd dir, const std::string& name) noexcept {
  return stat_at(dir, name.c_str());
}
/// Of the open file itself. Works on O_PATH descriptors.
[[nodiscard]] catalog::SysResult<Stat> stat_fd(int fd) noexcept;
/// Path-based, final symlink followed: for command-line paths only, never on user trees.
[[nodiscard]] catalog::SysResult<Stat> stat_path(const std::string& path) noexcept;

/// The catalog's word for a type; nullopt for sockets and unknown types.
[[nodiscard]] std::optional<catalog::FileType> file_type(const Stat& stat) noexcept;

}  // namespace holdfast::core
