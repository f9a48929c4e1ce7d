#pragma once

#include <cstdint>
#include <string>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

enum class CopyHow : std::uint8_t {
  kReflink,  ///< FICLONE: shares extents; EOPNOTSUPP where the filesystem cannot
  kCopy,     ///< bytes; holes stay holes
};

struct CopyDone {
  Stat source;  ///< as it was before the copy; size, mtime and ctime were the same after it
  Stat made;
  catalog::Digest hash;  ///< of the bytes, kCopy only
  bool stable = true;    ///< false: the source kept changing while it was read, three times over
};

/// Makes @p new_name in @p to an independent file with the content and all metadata of @p name in
/// @p from: owner, mode, xattrs, ACLs, capabilities, times; inode flags last.
///
/// The caller gives a staging name and renames when this has succeeded; on failure the new file is
/// removed again. Regular files only; symlinks and nodes: copy_node(). Errors: EEXIST; EOPNOTSUPP,
/// EXDEV (kReflink); ENOSPC.
[[nodiscard]] catalog::SysResult<CopyDone> copy_file(DirFd from, const char* name, DirFd to,
                                                     const char* new_name, CopyHow how);

/// The same for symlinks, FIFOs and device nodes: made anew with the same metadata. EPERM without
/// CAP_MKNOD.
[[nodiscard]] catalog::SysResult<CopyDone> copy_node(DirFd from, const char* name, DirFd to,
                                                     const char* new_name);

/// True when both have the same bytes. Reads both through.
[[nodiscard]] catalog::SysResult<bool> same_content(int a, int b);

}  // namespace holdfast::core
