#include "storecore/os/attrs.hpp"

#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {
namespace {

using catalog::sys_error;
using catalog::SysResult;
using catalog::SysStatus;
using catalog::Xattr;

/// The four calls on an open file.
class OpenFile {
 public:
  explicit OpenFile(int fd) noexcept : fd_(fd) {}
  ssize_t list(char* names, std::size_t size) const noexcept {
    return ::flistxattr(fd_, names, size);
  }
  ssize_t get(const char* name, char* value, std::size_t size) const noexcept {
    return ::fgetxattr(fd_, name, value, size);
  }
  int set(const Xattr& wanted) const noexcept {
    return ::fsetxattr(fd_, wanted.name.c_str(), wanted.value.data(), wanted.value.size(), 0);
  }
  int remove(const char* name) const noexcept { return ::fremovexattr(fd_, name); }

 private:
  int fd_;
};

/// The four calls on an entry that is not opened. A user cannot turn the path elsewhere: procfs
/// leads straight to the directory that the descriptor pins, and behind it stands one component,
/// not followed.
class PinnedName {
 public:
  PinnedName(DirFd dir, const char* name)
      : path_(fmt::format("/proc/self/fd/{}/{}", dir.fd, name)) {}
  ssize_t list(char* names, std::size_t size) const noexcept {
    return ::llistxattr(path_.c_str(), names, size);
  }
  ssize_t get(const char* name, char* value, std::size_t size) const noexcept {
    return ::lgetxattr(path_.c_str(), name, value, size);
  }
  int set(const Xattr& wanted) const noexcept {
    return ::lsetxattr(path_.c_str(), wanted.name.c_str(), wanted.value.data(), wanted.value.size(),
                       0);
  }
  int remove(const char* name) const noexcept { return ::lremovexattr(path_.c_str(), name); }

 private:
  std::string path_;
};

constexpr std::size_t kUsualSize = 256;

/// Calls @p call(buffer, size) until its answer fits: somebody may enlarge it between two calls.
template <class Call>
SysResult<std::string> sized_by_kernel(Call call) {
  std::string buffer(kUsualSize, '\0');
  for (;;) {
    ssize_t length = call(buffer.data(), buffer.size());
    if (length >= 0) {
      buffer.resize(static_cast<std::size_t>(length));
      return buffer;
    }
    if (errno != ERANGE) return std::unexpected(catalog::last_error());
    length = call(nullptr, 0);
    if (length < 0) return std::unexpected(catalog::last_error());
    buffer.resize(std::max(static_cast<std::size_t>(length), buffer.size() * 2));
  }
}

template <class Target>
SysResult<std::vector<Xattr>> read_from(const Target& target) {
  const auto names =
      sized_by_kernel([&](char* buffer, std::size_t size) { return target.list(buffer, size); });
  if (!names) {
    if (names.error().value() == ENOTSUP) return std::vector<Xattr>{};
    return std::unexpected(names.error());
  }
  std::vector<Xattr> attributes;
  for (std::size_t at = 0; at < names->size();) {
    std::string name(names->c_str() + at);
    at += name.size() + 1;
    auto value = sized_by_kernel(
        [&](char* buffer, std::size_t size) { return target.get(name.c_str(), buffer, size); });
    if (value) {
      attributes.push_back({.name = std::move(name), .value = std::move(*value)});
    } else if (value.error().value() != ENODATA && value.error().value() != ENOTSUP) {
      // ENODATA: gone since the listing. ENOTSUP: a security module lists what it does not hold.
      return std::unexpected(value.error());
    }
  }
  std::ranges::sort(attributes, {}, &Xattr::name);
  return attributes;
}

const Xattr* find(const std::vector<Xattr>& attributes, std::string_view name) {
  const auto found = std::ranges::find(attributes, name, &Xattr::name);
  return found == attributes.end() ? nullptr : &*found;
}

template <class Target>
SysResult<std::vector<XattrFailure>> write_to(const Target& target,
                                              const std::vector<Xattr>& wanted) {
  const auto present = read_from(target);
  if (!present) return std::unexpected(present.error());
  std::vector<XattrFailure> failures;
  // Removal comes first: ext4 has one block for all attributes of an inode.
  for (const Xattr& attribute : *present) {
    if (find(wanted, attribute.name) != nullptr) continue;
    if (target.remove(attribute.name.c_str()) != 0 && errno != ENODATA) {
      failures.push_back({.name = attribute.name, .error_number = errno});
    }
  }
  for (const Xattr& attribute : wanted) {
    const Xattr* old = find(*present, attribute.name);
    if (old != nullptr && old->value == attribute.value) continue;
    if (target.set(attribute) != 0) {
      failures.push_back({.name = attribute.name, .error_number = errno});
    }
  }
  return failures;
}

bool is_unsupported(int error_number) noexcept {
  return error_number == ENOTTY || error_number == EOPNOTSUPP || error_number == ENOSYS;
}

/// ntfs-3g answers EINVAL to ioctls that it does not know. Setting may well mean EINVAL.
bool is_unreadable(int error_number) noexcept {
  return is_unsupported(error_number) || error_number == EINVAL;
}

/// nullopt where the filesystem has no flags. The ioctl is declared with long and has always moved
/// an int.
SysResult<std::optional<unsigned>> get_flags(int fd) noexcept {
  unsigned flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) return flags;
  if (is_unreadable(errno)) return std::nullopt;
  return std::unexpected(catalog::last_error());
}

SysResult<std::optional<fsxattr>> get_fsxattr(int fd) noexcept {
  fsxattr attributes{};
  if (::ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) return attributes;
  if (is_unreadable(errno)) return std::nullopt;
  return std::unexpected(catalog::last_error());
}

/// Sets the bits of @p mask to those of @p wanted and leaves all others.
SysStatus change_flags(int fd, unsigned mask, unsigned wanted) noexcept {
  const auto current = get_flags(fd);
  if (!current) return std::unexpected(current.error());
  const unsigned before = current->value_or(0);
  unsigned after = (before & ~mask) | (wanted & mask);
  // Nothing to change needs neither privilege nor a filesystem that has flags, and moves no ctime.
  if (after == before) return {};
  if (!current->has_value()) return sys_error(ENOTSUP);
  if (::ioctl(fd, FS_IOC_SETFLAGS, &after) == 0) return {};
  return sys_error(is_unsupported(errno) ? ENOTSUP : errno);
}

}  // namespace

const std::uint32_t kKeptFlags = FS_APPEND_FL | FS_IMMUTABLE_FL | FS_NODUMP_FL | FS_NOATIME_FL |
                                 FS_SYNC_FL | FS_DIRSYNC_FL | FS_NOCOW_FL | FS_TOPDIR_FL |
                                 FS_PROJINHERIT_FL | FS_COMPR_FL | FS_NOCOMP_FL | FS_NOTAIL_FL;

SysResult<std::vector<Xattr>> read_xattrs(int fd) { return read_from(OpenFile(fd)); }

SysResult<std::vector<Xattr>> read_xattrs_at(DirFd dir, const char* name) {
  if (!catalog::is_component(name)) return sys_error(EINVAL);
  return read_from(PinnedName(dir, name));
}

bool has_file_capabilities_at(DirFd dir, const char* name) {
  return catalog::is_component(name) &&
         PinnedName(dir, name).get("security.capability", nullptr, 0) > 0;
}

SysResult<std::vector<XattrFailure>> write_xattrs(int fd, const std::vector<Xattr>& wanted) {
  return write_to(OpenFile(fd), wanted);
}

SysResult<std::vector<XattrFailure>> write_xattrs_at(DirFd dir, const char* name,
                                                     const std::vector<Xattr>& wanted) {
  if (!catalog::is_component(name)) return sys_error(EINVAL);
  return write_to(PinnedName(dir, name), wanted);
}

SysResult<InodeFlags> read_flags(int fd) noexcept {
  const auto flags = get_flags(fd);
  if (!flags) return std::unexpected(flags.error());
  const auto attributes = get_fsxattr(fd);
  if (!attributes) return std::unexpected(attributes.error());
  InodeFlags result;
  result.flags = flags->value_or(0) & kKeptFlags;
  if (const std::optional<fsxattr>& known = *attributes) {
    result.project_id = known->fsx_projid;
    if ((known->fsx_xflags & FS_XFLAG_PROJINHERIT) != 0) result.flags |= FS_PROJINHERIT_FL;
  }
  result.project_inherit = (result.flags & FS_PROJINHERIT_FL) != 0;
  return result;
}

SysStatus write_flags(int fd, std::uint32_t kept_flags) noexcept {
  return change_flags(fd, kKeptFlags, kept_flags);
}

SysStatus write_project(int fd, std::uint32_t project_id) noexcept {
  const auto current = get_fsxattr(fd);
  if (!current) return std::unexpected(current.error());
  const std::optional<fsxattr>& known = *current;
  fsxattr wanted = known.value_or(fsxattr{});
  if (wanted.fsx_projid == project_id) return {};
  if (!known) return sys_error(ENOTSUP);
  wanted.fsx_projid = project_id;
  if (::ioctl(fd, FS_IOC_FSSETXATTR, &wanted) == 0) return {};
  return sys_error(is_unsupported(errno) ? ENOTSUP : errno);
}

SysStatus set_immutable(int fd, bool immutable) noexcept {
  return change_flags(fd, FS_IMMUTABLE_FL, immutable ? FS_IMMUTABLE_FL : 0U);
}

}  // namespace holdfast::core
