// How directories' own metadata is read and given back. Directories cannot be linked, so this is
// the only metadata that lives by being written down.
#include <linux/fs.h>
#include <linux/stat.h>

#include <cerrno>
#include <cstdint>
#include <expected>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/records.hpp"
#include "storecore/link/holder.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/layout.hpp"

namespace holdfast::core {

using catalog::DirectoryRecord;
using catalog::InodeRecord;
using catalog::SysResult;
using catalog::SysStatus;

SysResult<DirectoryRecord> read_directory_record(int fd) {
  const auto stat = stat_fd(fd);
  if (!stat) return std::unexpected(stat.error());
  auto xattrs = read_xattrs(fd);
  if (!xattrs) return std::unexpected(xattrs.error());
  std::erase_if(*xattrs, [](const catalog::Xattr& xattr) {
    return xattr.name == layout::kMarkXattr || xattr.name == layout::kMarkXattrUser;
  });
  const auto flags = read_flags(fd);
  DirectoryRecord record;
  record.inode = catalog::InodeNo{stat->inode};
  record.mode = stat->mode;
  record.uid = stat->uid;
  record.gid = stat->gid;
  record.atime = stat->atime;
  record.mtime = stat->mtime;
  record.ctime = stat->ctime;
  record.btime = stat->btime;
  record.xattrs = std::move(*xattrs);
  if (flags) {
    record.flags = flags->flags;
    record.project_id = flags->project_id;
  }
  return record;
}

SysStatus apply_directory_record(int fd, const DirectoryRecord& record, bool privileged,
                                 bool flags_too) {
  SysStatus first;
  const auto keep = [&](SysStatus status) {
    if (!status && first && privileged) first = status;
  };
  keep(chown_fd(fd, record.uid, record.gid));
  const std::uint32_t mode = privileged ? record.mode : record.mode | 0700U;
  keep(chmod_fd(fd, mode));
  const auto failures = write_xattrs(fd, record.xattrs);
  if (!failures) {
    keep(std::unexpected(failures.error()));
  } else if (!failures->empty()) {
    keep(catalog::sys_error(failures->front().error_number));
  }
  if (flags_too && record.project_id != 0) keep(write_project(fd, record.project_id));
  keep(set_times_fd(fd, record.atime, record.mtime));
  if (flags_too && record.flags != 0) keep(write_flags(fd, record.flags));
  return first;
}

InodeRecord make_record(const Stat& stat) {
  InodeRecord record;
  record.type = file_type(stat).value_or(catalog::FileType::kFile);
  record.source_inode = catalog::InodeNo{stat.inode};
  record.held_inode = record.source_inode;
  record.mode = stat.mode;
  record.uid = stat.uid;
  record.gid = stat.gid;
  record.size = stat.size;
  record.mtime = stat.mtime;
  record.btime = stat.btime;
  record.ctime = stat.ctime;
  record.rdev = stat.rdev;
  const std::uint64_t attributes = stat.attributes;
  if ((attributes & STATX_ATTR_IMMUTABLE) != 0) record.flags |= FS_IMMUTABLE_FL;
  if ((attributes & STATX_ATTR_APPEND) != 0) record.flags |= FS_APPEND_FL;
  if ((attributes & STATX_ATTR_NODUMP) != 0) record.flags |= FS_NODUMP_FL;
  return record;
}

bool is_failure_of_store(std::error_code error, bool privileged) noexcept {
  if (is_store_error(error)) return true;
  const int number = error.value();
  const bool refusal = number == EPERM || number == ENOTSUP || number == EINVAL || number == ENOTTY;
  return privileged && !refusal;
}

}  // namespace holdfast::core
