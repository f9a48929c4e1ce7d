#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

/// Paths of the captured system, followed inside ROOT as if ROOT were "/". See
/// docs/decisions/0009-people-inside-root.md.
namespace holdfast::core {

/// What is read of the captured system's own files; a passwd of that size has 200,000 lines.
inline constexpr std::size_t kMaxInsideBytes = std::size_t{16} << 20;

/// Where a path leads.
struct InsideRoot {
  std::string path;       ///< relative to ROOT, without links, `.` and `..`; empty: ROOT itself
  bool exists = false;    ///< false: the path as far as it is there, and the rest as it was given
  bool followed = false;  ///< a symlink was on the way
  Stat stat;              ///< of what is there, if it exists
  Fd parent;              ///< O_PATH, of the directory that holds it; none: ROOT does
};

/// Follows @p path, absolute or not, from ROOT.
///
/// Absolute targets of symlinks begin at ROOT, and `..` does not lead above it, as after a chroot.
/// Whatever a user does to the tree meanwhile, nothing outside of ROOT is opened: each component is
/// one openat(O_PATH|O_NOFOLLOW) below a directory that was reached the same way, and `..` goes
/// back to the descriptor that was held there before. Mounts are entered, automounts not triggered.
/// @param root  borrowed; must outlive the call
/// Errors: ELOOP more than 40 links; ENAMETOOLONG longer than PATH_MAX or more than 256 directories
///         deep; ENOTDIR something on the way is no directory; ENOENT `..` behind what is not
///         there; EINVAL a NUL byte; EACCES, EIO.
/// Any thread. Moves the atime of symlinks unless the mount says otherwise.
[[nodiscard]] catalog::SysResult<InsideRoot> resolve_inside(DirFd root, std::string_view path);

struct SmallFile {
  std::string bytes;
  InsideRoot place;
};

/// Reads a regular file of at most kMaxInsideBytes. A FIFO or a device is never opened.
/// @return nullopt when there is no such file. A link that leads to nothing is an error: somebody
///         meant something to be there.
/// Errors: kFailed, with a reason that a person can read; the place is the path as it was given.
[[nodiscard]] catalog::Result<std::optional<SmallFile>> read_inside(DirFd root,
                                                                    std::string_view path);

}  // namespace holdfast::core
