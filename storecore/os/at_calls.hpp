#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

/// System calls relative to directory descriptors, with single components as names.
///
/// Every function is one system call (retried on EINTR where that is safe: open, read, write, not
/// close), returns the kernel's answer as an error_code, follows no symlink, sets O_CLOEXEC, and
/// may be called from any thread. Nothing here is durable before a barrier. Names are
/// NUL-terminated raw bytes; callers have checked them with catalog::is_component.
namespace holdfast::core {

using catalog::SysResult;
using catalog::SysStatus;

/// O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_NOATIME|O_NONBLOCK; without O_NOATIME when that is EPERM (not
/// owner). ENOTDIR: no directory, or a symlink.
[[nodiscard]] SysResult<Fd> open_dir_at(DirFd dir, const char* name) noexcept;
/// A path from the command line, symlinks followed.
[[nodiscard]] SysResult<Fd> open_dir_path(const std::string& path) noexcept;
/// O_RDONLY|O_NONBLOCK|O_NOFOLLOW|O_NOATIME|O_NOCTTY (O_NOATIME dropped on EPERM): cannot hang on a
/// FIFO or a write lease (EAGAIN). The caller looks at the type afterwards.
[[nodiscard]] SysResult<Fd> open_file_at(DirFd dir, const char* name) noexcept;
/// O_PATH|O_NOFOLLOW: pins an entry of any type without opening it.
[[nodiscard]] SysResult<Fd> open_path_at(DirFd dir, const char* name) noexcept;
/// O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW with @p mode (umask is 077 in the program).
[[nodiscard]] SysResult<Fd> create_file_at(DirFd dir, const char* name, mode_t mode) noexcept;
/// Opens with @p flags plus O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY: for files of the store. Never
/// waits for the other end of a FIFO (ENXIO when it is opened for writing alone).
[[nodiscard]] SysResult<Fd> open_at(DirFd dir, const char* name, int flags,
                                    mode_t mode = 0) noexcept;

/// linkat with flags 0: a symlink itself is linked, never its target.
[[nodiscard]] SysStatus link_at(DirFd from, const char* name, DirFd to,
                                const char* new_name) noexcept;
/// renameat2(RENAME_NOREPLACE). Where the filesystem has no such flag (EINVAL: ntfs-3g), looks
/// first and then renames plainly: only for directories nobody else can reach. EEXIST when the
/// target exists.
[[nodiscard]] SysStatus rename_no_replace(DirFd from, const char* name, DirFd to,
                                          const char* new_name) noexcept;
[[nodiscard]] SysStatus rename_replace(DirFd from, const char* name, DirFd to,
                                       const char* new_name) noexcept;
[[nodiscard]] SysStatus unlink_at(DirFd dir, const char* name) noexcept;
[[nodiscard]] SysStatus rmdir_at(DirFd dir, const char* name) noexcept;
[[nodiscard]] SysStatus mkdir_at(DirFd dir, const char* name, mode_t mode) noexcept;
/// @p type_and_mode as mknod(2); @p rdev is major << 32 | minor.
[[nodiscard]] SysStatus mknod_at(DirFd dir, const char* name, std::uint32_t type_and_mode,
                                 std::uint64_t rdev) noexcept;
[[nodiscard]] SysStatus symlink_at(const char* target, DirFd dir, const char* name) noexcept;
/// Any length. Moves the symlink's atime unless the mount says otherwise.
[[nodiscard]] SysResult<std::string> readlink_at(DirFd dir, const char* name);

[[nodiscard]] SysStatus chmod_fd(int fd, std::uint32_t mode) noexcept;
[[nodiscard]] SysStatus chown_fd(int fd, std::uint32_t uid, std::uint32_t gid) noexcept;
/// Of the entry itself, also a symlink's.
[[nodiscard]] SysStatus chown_at(DirFd dir, const char* name, std::uint32_t uid,
                                 std::uint32_t gid) noexcept;
/// nullopt leaves a time as it is.
[[nodiscard]] SysStatus set_times_fd(int fd, std::optional<catalog::Timestamp> atime,
                                     std::optional<catalog::Timestamp> mtime) noexcept;
[[nodiscard]] SysStatus set_times_at(DirFd dir, const char* name,
                                     std::optional<catalog::Timestamp> atime,
                                     std::optional<catalog::Timestamp> mtime) noexcept;

/// Up to the size of @p buffer; 0 is the end of the file. Retried on EINTR.
[[nodiscard]] SysResult<std::size_t> read_some(int fd, std::span<std::byte> buffer) noexcept;
[[nodiscard]] SysResult<std::size_t> pread_some(int fd, std::span<std::byte> buffer,
                                                std::uint64_t offset) noexcept;
/// All of it, or the error.
[[nodiscard]] SysStatus write_all(int fd, std::string_view bytes) noexcept;
[[nodiscard]] SysStatus pwrite_all(int fd, std::string_view bytes, std::uint64_t offset) noexcept;
/// The whole file behind @p fd, at most @p limit bytes (EFBIG beyond).
[[nodiscard]] SysResult<std::string> read_all(int fd, std::size_t limit);

[[nodiscard]] SysStatus fsync_fd(int fd) noexcept;
[[nodiscard]] SysStatus fdatasync_fd(int fd) noexcept;
[[nodiscard]] SysStatus syncfs_fd(int fd) noexcept;

/// Opens a directory by its components from @p root, one openat each, no symlink followed.
[[nodiscard]] SysResult<Fd> open_dir_below(DirFd root, std::span<const std::string> components);

struct Space {
  std::uint64_t free_bytes = 0;  ///< available to this process
  std::uint64_t total_bytes = 0;
  std::uint64_t free_inodes = 0;   ///< UINT64_MAX where the filesystem has no limit
  std::uint64_t total_inodes = 0;  ///< 0 where the filesystem has no limit
  std::uint64_t block_bytes = 0;
  std::int64_t fs_magic = 0;  ///< statfs f_type
};
[[nodiscard]] SysResult<Space> space_of(int fd) noexcept;

}  // namespace holdfast::core
