#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

/// Extended attributes, inode flags and project ids. Any thread.
namespace holdfast::core {

/// Every attribute the caller may see, sorted by name. @p fd must not be O_PATH.
/// ENOTSUP (no such thing here) is an empty list.
[[nodiscard]] catalog::SysResult<std::vector<catalog::Xattr>> read_xattrs(int fd);
/// Of an entry of any type, through /proc/self/fd of @p dir and without following it.
[[nodiscard]] catalog::SysResult<std::vector<catalog::Xattr>> read_xattrs_at(DirFd dir,
                                                                             const char* name);
/// Does an entry, not followed, carry security.capability? What cannot be read is a no.
[[nodiscard]] bool has_file_capabilities_at(DirFd dir, const char* name);

struct XattrFailure {
  std::string name;
  int error_number = 0;
};
/// Makes the attributes exactly @p wanted: sets what differs, removes what is not among them (also
/// inherited ACLs). Returns the names that could not be set or removed, with the errno of each.
[[nodiscard]] catalog::SysResult<std::vector<XattrFailure>> write_xattrs(
    int fd, const std::vector<catalog::Xattr>& wanted);
[[nodiscard]] catalog::SysResult<std::vector<XattrFailure>> write_xattrs_at(
    DirFd dir, const char* name, const std::vector<catalog::Xattr>& wanted);

struct InodeFlags {
  std::uint32_t flags = 0;  ///< FS_*_FL, masked to kKeptFlags
  std::uint32_t project_id = 0;
  bool project_inherit = false;  ///< FS_PROJINHERIT_FL; also in flags
};
/// The flags that chattr(1) can set and that mean something to a user: append, immutable, nodump,
/// noatime, sync, dirsync, nocow, topdir, projinherit, compress, no-compress, no-tail, casefold is
/// not. What a filesystem sets itself (extents, inline data, index) is not among them.
extern const std::uint32_t kKeptFlags;

/// FS_IOC_GETFLAGS and FS_IOC_FSGETXATTR. A filesystem without them: all zero.
[[nodiscard]] catalog::SysResult<InodeFlags> read_flags(int fd) noexcept;
/// Read-modify-write of the kept bits only. EPERM without CAP_LINUX_IMMUTABLE.
[[nodiscard]] catalog::SysStatus write_flags(int fd, std::uint32_t kept_flags) noexcept;
[[nodiscard]] catalog::SysStatus write_project(int fd, std::uint32_t project_id) noexcept;
/// chattr +i / -i of one directory or file, leaving the other flags. ENOTSUP where there is no such
/// flag.
[[nodiscard]] catalog::SysStatus set_immutable(int fd, bool immutable) noexcept;

}  // namespace holdfast::core
