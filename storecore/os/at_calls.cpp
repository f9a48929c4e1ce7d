#include "storecore/os/at_calls.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <expected>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {
namespace {

using catalog::last_error;
using catalog::sys_error;

/// Calls @p call again for as long as a signal handler got in its way.
template <class Call>
auto retried(Call call) noexcept {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

SysStatus status(long result) noexcept {
  if (result < 0) return std::unexpected(last_error());
  return {};
}

SysResult<Fd> opened(int dir, const char* name, int flags, mode_t mode = 0) noexcept {
  const int fd = retried([&] { return ::openat(dir, name, flags | O_CLOEXEC, mode); });
  if (fd < 0) return std::unexpected(last_error());
  return Fd(fd);
}

/// O_NOATIME belongs to the owner and to CAP_FOWNER; everybody else gets EPERM and may read all the
/// same.
SysResult<Fd> opened_quietly(int dir, const char* name, int flags) noexcept {
  SysResult<Fd> fd = opened(dir, name, flags | O_NOATIME);
  if (!fd && fd.error().value() == EPERM) fd = opened(dir, name, flags);
  return fd;
}

constexpr std::uint32_t kNanosecondsInSecond = 1'000'000'000;
constexpr std::size_t kUsualTarget = 256;
constexpr std::size_t kReadChunk = std::size_t{64} << 10;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

bool to_timespec(const std::optional<catalog::Timestamp>& time, timespec& out) noexcept {
  out = {0, UTIME_OMIT};
  if (!time) return true;
  // The kernel takes two values above a second as words, not numbers: UTIME_NOW and UTIME_OMIT.
  if (time->nanoseconds >= kNanosecondsInSecond) return false;
  out.tv_sec = time->seconds;
  out.tv_nsec = static_cast<long>(time->nanoseconds);
  return true;
}

SysStatus set_times(int dir, const char* name, int flags, std::optional<catalog::Timestamp> atime,
                    std::optional<catalog::Timestamp> mtime) noexcept {
  std::array<timespec, 2> times{};
  if (!to_timespec(atime, times[0]) || !to_timespec(mtime, times[1])) return sys_error(EINVAL);
  return status(::utimensat(dir, name, times.data(), flags));
}

bool is_offset(std::uint64_t offset) noexcept {
  return std::cmp_less_equal(offset, std::numeric_limits<off_t>::max());
}

}  // namespace

SysResult<Fd> open_dir_at(DirFd dir, const char* name) noexcept {
  return opened_quietly(dir.fd, name, kDirectoryFlags | O_NOFOLLOW);
}

SysResult<Fd> open_dir_path(const std::string& path) noexcept {
  return opened_quietly(AT_FDCWD, path.c_str(), kDirectoryFlags);
}

SysResult<Fd> open_file_at(DirFd dir, const char* name) noexcept {
  return opened_quietly(dir.fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
}

SysResult<Fd> open_path_at(DirFd dir, const char* name) noexcept {
  return opened(dir.fd, name, O_PATH | O_NOFOLLOW);
}

SysResult<Fd> create_file_at(DirFd dir, const char* name, mode_t mode) noexcept {
  return opened(dir.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

SysResult<Fd> open_at(DirFd dir, const char* name, int flags, mode_t mode) noexcept {
  return opened(dir.fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
}

SysStatus link_at(DirFd from, const char* name, DirFd to, const char* new_name) noexcept {
  return status(::linkat(from.fd, name, to.fd, new_name, 0));
}

SysStatus rename_no_replace(DirFd from, const char* name, DirFd to, const char* new_name) noexcept {
  // By number: musl and older C libraries have no wrapper.
  if (::syscall(SYS_renameat2, from.fd, name, to.fd, new_name, RENAME_NOREPLACE) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS) return std::unexpected(last_error());
  struct stat existing{};
  if (::fstatat(to.fd, new_name, &existing, AT_SYMLINK_NOFOLLOW) == 0) return sys_error(EEXIST);
  if (errno != ENOENT) return std::unexpected(last_error());
  return rename_replace(from, name, to, new_name);
}

SysStatus rename_replace(DirFd from, const char* name, DirFd to, const char* new_name) noexcept {
  // NOLINTNEXTLINE(misc-include-cleaner): POSIX puts it into <stdio.h>
  return status(::renameat(from.fd, name, to.fd, new_name));
}

SysStatus unlink_at(DirFd dir, const char* name) noexcept {
  return status(::unlinkat(dir.fd, name, 0));
}

SysStatus rmdir_at(DirFd dir, const char* name) noexcept {
  return status(::unlinkat(dir.fd, name, AT_REMOVEDIR));
}

SysStatus mkdir_at(DirFd dir, const char* name, mode_t mode) noexcept {
  return status(::mkdirat(dir.fd, name, mode));
}

SysStatus mknod_at(DirFd dir, const char* name, std::uint32_t type_and_mode,
                   std::uint64_t rdev) noexcept {
  const dev_t device =
      makedev(static_cast<unsigned>(rdev >> 32), static_cast<unsigned>(rdev & 0xffff'ffff));
  return status(::mknodat(dir.fd, name, type_and_mode, device));
}

SysStatus symlink_at(const char* target, DirFd dir, const char* name) noexcept {
  return status(::symlinkat(target, dir.fd, name));
}

SysResult<std::string> readlink_at(DirFd dir, const char* name) {
  std::string target(kUsualTarget, '\0');
  for (;;) {
    const ssize_t length = ::readlinkat(dir.fd, name, target.data(), target.size());
    if (length < 0) return std::unexpected(last_error());
    const auto used = static_cast<std::size_t>(length);
    // A full buffer may be a cut target: the call does not tell.
    if (used < target.size()) {
      target.resize(used);
      return target;
    }
    target.resize(target.size() * 2);
  }
}

SysStatus chmod_fd(int fd, std::uint32_t mode) noexcept { return status(::fchmod(fd, mode)); }

SysStatus chown_fd(int fd, std::uint32_t uid, std::uint32_t gid) noexcept {
  return status(::fchown(fd, uid, gid));
}

SysStatus chown_at(DirFd dir, const char* name, std::uint32_t uid, std::uint32_t gid) noexcept {
  return status(::fchownat(dir.fd, name, uid, gid, AT_SYMLINK_NOFOLLOW));
}

SysStatus set_times_fd(int fd, std::optional<catalog::Timestamp> atime,
                       std::optional<catalog::Timestamp> mtime) noexcept {
  return set_times(fd, "", AT_EMPTY_PATH, atime, mtime);
}

SysStatus set_times_at(DirFd dir, const char* name, std::optional<catalog::Timestamp> atime,
                       std::optional<catalog::Timestamp> mtime) noexcept {
  return set_times(dir.fd, name, AT_SYMLINK_NOFOLLOW, atime, mtime);
}

SysResult<std::size_t> read_some(int fd, std::span<std::byte> buffer) noexcept {
  const ssize_t count = retried([&] { return ::read(fd, buffer.data(), buffer.size()); });
  if (count < 0) return std::unexpected(last_error());
  return static_cast<std::size_t>(count);
}

SysResult<std::size_t> pread_some(int fd, std::span<std::byte> buffer,
                                  std::uint64_t offset) noexcept {
  if (!is_offset(offset)) return sys_error(EINVAL);
  const auto position = static_cast<off_t>(offset);
  const ssize_t count =
      retried([&] { return ::pread(fd, buffer.data(), buffer.size(), position); });
  if (count < 0) return std::unexpected(last_error());
  return static_cast<std::size_t>(count);
}

SysStatus write_all(int fd, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t count = retried([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (count < 0) return std::unexpected(last_error());
    if (count == 0)
      return sys_error(EIO);  // a device that takes nothing would keep us here forever
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

SysStatus pwrite_all(int fd, std::string_view bytes, std::uint64_t offset) noexcept {
  while (!bytes.empty()) {
    if (!is_offset(offset)) return sys_error(EFBIG);
    const auto position = static_cast<off_t>(offset);
    const ssize_t count =
        retried([&] { return ::pwrite(fd, bytes.data(), bytes.size(), position); });
    if (count < 0) return std::unexpected(last_error());
    if (count == 0) return sys_error(EIO);
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

SysResult<std::string> read_all(int fd, std::size_t limit) {
  std::string text;
  for (;;) {
    const std::size_t used = text.size();
    text.resize(used + kReadChunk);
    const auto count = read_some(fd, std::as_writable_bytes(std::span(text).subspan(used)));
    if (!count) return std::unexpected(count.error());
    text.resize(used + *count);
    if (text.size() > limit) return sys_error(EFBIG);
    if (*count == 0) return text;
  }
}

// The three barriers are not retried on EINTR: what a failed one left unwritten is not known, and a
// second call would answer success.
SysStatus fsync_fd(int fd) noexcept { return status(::fsync(fd)); }

SysStatus fdatasync_fd(int fd) noexcept { return status(::fdatasync(fd)); }

SysStatus syncfs_fd(int fd) noexcept { return status(::syncfs(fd)); }

SysResult<Fd> open_dir_below(DirFd root, std::span<const std::string> components) {
  SysResult<Fd> current = open_dir_at(root, ".");
  for (const std::string& component : components) {
    if (!current) break;
    if (!catalog::is_component(component)) return sys_error(EINVAL);
    SysResult<Fd> next = open_dir_at(*current, component.c_str());
    current = std::move(next);
  }
  return current;
}

SysResult<Space> space_of(int fd) noexcept {
  struct statfs info{};
  if (retried([&] { return ::fstatfs(fd, &info); }) != 0) return std::unexpected(last_error());
  const auto unit = static_cast<std::uint64_t>(info.f_frsize != 0 ? info.f_frsize : info.f_bsize);
  Space space;
  space.block_bytes = unit;
  space.free_bytes = static_cast<std::uint64_t>(info.f_bavail) * unit;
  space.total_bytes = static_cast<std::uint64_t>(info.f_blocks) * unit;
  // btrfs and vfat make inodes as they need them and say 0 of 0.
  space.free_inodes = info.f_files == 0 ? std::numeric_limits<std::uint64_t>::max()
                                        : static_cast<std::uint64_t>(info.f_ffree);
  space.total_inodes = static_cast<std::uint64_t>(info.f_files);
  space.fs_magic = info.f_type;
  return space;
}

}  // namespace holdfast::core
