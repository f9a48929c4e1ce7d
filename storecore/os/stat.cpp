#include "storecore/os/stat.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

// Needs Linux 5.8: mount ids and STATX_ATTR_MOUNT_ROOT came with it, and borders cannot be told
// without them. There is no fallback to fstatat(2): it would look like a volume without borders.
namespace holdfast::core {
namespace {

using catalog::SysResult;

constexpr unsigned kWanted = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;

catalog::Timestamp timestamp(const statx_timestamp& time) noexcept {
  return {.seconds = time.tv_sec, .nanoseconds = time.tv_nsec};
}

constexpr std::uint64_t device_number(std::uint32_t major, std::uint32_t minor) noexcept {
  return std::uint64_t{major} << 32 | minor;
}

Stat to_stat(const struct statx& raw) noexcept {
  Stat stat;
  stat.type_bits = raw.stx_mode & unsigned{S_IFMT};
  stat.mode = raw.stx_mode & 07777U;
  stat.uid = raw.stx_uid;
  stat.gid = raw.stx_gid;
  stat.links = raw.stx_nlink;
  stat.inode = raw.stx_ino;
  stat.size = raw.stx_size;
  stat.blocks = raw.stx_blocks;
  stat.device = device_number(raw.stx_dev_major, raw.stx_dev_minor);
  stat.rdev = device_number(raw.stx_rdev_major, raw.stx_rdev_minor);
  stat.mount_id = raw.stx_mnt_id;
  stat.attributes = raw.stx_attributes & raw.stx_attributes_mask;
  stat.atime = timestamp(raw.stx_atime);
  stat.mtime = timestamp(raw.stx_mtime);
  stat.ctime = timestamp(raw.stx_ctime);
  if ((raw.stx_mask & STATX_BTIME) != 0) stat.btime = timestamp(raw.stx_btime);
  return stat;
}

SysResult<Stat> ask(int dir, const char* name, int flags) noexcept {
  struct statx raw{};
  int result = 0;
  do {  // FUSE answers EINTR
    result = ::statx(dir, name, flags | AT_NO_AUTOMOUNT, kWanted, &raw);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return std::unexpected(catalog::last_error());
  // Where the kernel has no statx, the C library makes one of fstatat(2).
  if ((raw.stx_mask & STATX_MNT_ID) == 0) return catalog::sys_error(ENOSYS);
  return to_stat(raw);
}

}  // namespace

bool Stat::is_directory() const noexcept { return type_bits == S_IFDIR; }
bool Stat::is_regular() const noexcept { return type_bits == S_IFREG; }
bool Stat::is_symlink() const noexcept { return type_bits == S_IFLNK; }
bool Stat::is_socket() const noexcept { return type_bits == S_IFSOCK; }
bool Stat::is_mount_root() const noexcept { return (attributes & STATX_ATTR_MOUNT_ROOT) != 0; }
bool Stat::is_immutable() const noexcept { return (attributes & STATX_ATTR_IMMUTABLE) != 0; }
bool Stat::is_append_only() const noexcept { return (attributes & STATX_ATTR_APPEND) != 0; }
bool Stat::is_encrypted() const noexcept { return (attributes & STATX_ATTR_ENCRYPTED) != 0; }

SysResult<Stat> stat_at(DirFd dir, const char* name) noexcept {
  return ask(dir.fd, name, AT_SYMLINK_NOFOLLOW);
}

SysResult<Stat> stat_fd(int fd) noexcept { return ask(fd, "", AT_EMPTY_PATH); }

SysResult<Stat> stat_path(const std::string& path) noexcept {
  return ask(AT_FDCWD, path.c_str(), 0);
}

std::optional<catalog::FileType> file_type(const Stat& stat) noexcept {
  switch (stat.type_bits) {
    case S_IFREG:
      return catalog::FileType::kFile;
    case S_IFDIR:
      return catalog::FileType::kDirectory;
    case S_IFLNK:
      return catalog::FileType::kSymlink;
    case S_IFIFO:
      return catalog::FileType::kFifo;
    case S_IFCHR:
      return catalog::FileType::kChar;
    case S_IFBLK:
      return catalog::FileType::kBlock;
    default:
      return std::nullopt;
  }
}

}  // namespace holdfast::core
