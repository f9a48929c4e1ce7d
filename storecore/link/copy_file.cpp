#include "storecore/link/copy_file.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <span>
#include <string_view>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

using catalog::SysResult;
using catalog::SysStatus;

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
constexpr int kAttempts = 3;

bool same_version(const Stat& a, const Stat& b) {
  return a.inode == b.inode && a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime;
}

/// Bytes through the hasher and into @p to; blocks of zeros become holes where the source has them.
SysStatus copy_bytes(int from, int to, std::uint64_t size, catalog::Hasher& hasher) {
  std::vector<std::byte> buffer(kBuffer);
  std::uint64_t offset = 0;
  while (true) {
    const auto got = pread_some(from, buffer, offset);
    if (!got) return std::unexpected(got.error());
    if (*got == 0) break;
    const std::span<const std::byte> bytes = std::span(buffer).first(*got);
    hasher.update(bytes);
    const bool zeros =
        std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
    const bool hole = zeros && lseek(from, static_cast<off_t>(offset), SEEK_DATA) >=
                                   static_cast<off_t>(offset + *got);
    const bool tail_hole =
        zeros && !hole && lseek(from, static_cast<off_t>(offset), SEEK_DATA) < 0 && errno == ENXIO;
    if (!hole && !tail_hole) {
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (auto written = pwrite_all(to, text, offset); !written) return written;
    }
    offset += *got;
  }
  if (ftruncate(to, static_cast<off_t>(std::max(offset, size))) != 0)
    return std::unexpected(catalog::last_error());
  return {};
}

/// chown before mode (it drops setuid), mode before ACLs, times after xattrs, flags last (they
/// would forbid the rest).
SysStatus copy_metadata(int from, int to, const Stat& stat) {
  if (auto owned = chown_fd(to, stat.uid, stat.gid); !owned) return owned;
  if (auto mode = chmod_fd(to, stat.mode); !mode) return mode;
  const auto xattrs = read_xattrs(from);
  if (!xattrs) return std::unexpected(xattrs.error());
  const auto failures = write_xattrs(to, *xattrs);
  if (!failures) return std::unexpected(failures.error());
  if (!failures->empty()) return catalog::sys_error(failures->front().error_number);
  if (auto times = set_times_fd(to, stat.atime, stat.mtime); !times) return times;
  const auto flags = read_flags(from);
  if (flags && flags->project_id != 0) {
    if (auto project = write_project(to, flags->project_id); !project) return project;
  }
  if (flags && flags->flags != 0) {
    if (auto set = write_flags(to, flags->flags); !set) return set;
  }
  return {};
}

SysResult<CopyDone> copy_once(int from, int to, CopyHow how) {
  CopyDone done;
  const auto before = stat_fd(from);
  if (!before) return std::unexpected(before.error());
  if (how == CopyHow::kReflink) {
    if (ioctl(to, FICLONE, from) != 0) {
      const int error = errno == ENOTTY || errno == EINVAL ? EOPNOTSUPP : errno;
      return catalog::sys_error(error);
    }
  } else {
    catalog::Hasher hasher;
    if (ftruncate(to, 0) != 0) return std::unexpected(catalog::last_error());
    if (auto copied = copy_bytes(from, to, before->size, hasher); !copied)
      return std::unexpected(copied.error());
    done.hash = hasher.digest();
  }
  const auto after = stat_fd(from);
  if (!after) return std::unexpected(after.error());
  done.stable = same_version(*before, *after);
  done.source = *after;
  return done;
}

SysResult<CopyDone> copy_open(int from, int to, CopyHow how) {
  SysResult<CopyDone> done = catalog::sys_error(EIO);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    done = copy_once(from, to, how);
    if (!done || done->stable) break;
  }
  if (!done) return done;
  if (auto metadata = copy_metadata(from, to, done->source); !metadata)
    return std::unexpected(metadata.error());
  const auto made = stat_fd(to);
  if (!made) return std::unexpected(made.error());
  done->made = *made;
  return done;
}

}  // namespace

SysResult<CopyDone> copy_file(DirFd from, const char* name, DirFd to, const char* new_name,
                              CopyHow how) {
  const auto source = open_file_at(from, name);
  if (!source) return std::unexpected(source.error());
  auto made = open_at(to, new_name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!made) return std::unexpected(made.error());
  auto done = copy_open(source->get(), made->get(), how);
  if (!done) (void)unlink_at(to, new_name);  // ours, just made, nobody else knows it
  return done;
}

SysResult<CopyDone> copy_node(DirFd from, const char* name, DirFd to, const char* new_name) {
  const auto stat = stat_at(from, name);
  if (!stat) return std::unexpected(stat.error());
  SysStatus made;
  if (stat->is_symlink()) {
    const auto target = readlink_at(from, name);
    if (!target) return std::unexpected(target.error());
    made = symlink_at(target->c_str(), to, new_name);
  } else {
    made = mknod_at(to, new_name, stat->type_bits | 0600U, stat->rdev);
  }
  if (!made) return std::unexpected(made.error());
  const auto finish = [&]() -> SysStatus {
    if (auto owned = chown_at(to, new_name, stat->uid, stat->gid); !owned) return owned;
    if (!stat->is_symlink()) {
      if (fchmodat(to.fd, new_name, stat->mode, 0) != 0)
        return std::unexpected(catalog::last_error());
    }
    const auto xattrs = read_xattrs_at(from, name);
    if (!xattrs) return std::unexpected(xattrs.error());
    const auto failures = write_xattrs_at(to, new_name, *xattrs);
    if (!failures) return std::unexpected(failures.error());
    if (!failures->empty()) return catalog::sys_error(failures->front().error_number);
    return set_times_at(to, new_name, stat->atime, stat->mtime);
  };
  if (auto finished = finish(); !finished) {
    (void)unlink_at(to, new_name);
    return std::unexpected(finished.error());
  }
  CopyDone done;
  done.source = *stat;
  const auto result = stat_at(to, new_name);
  if (!result) return std::unexpected(result.error());
  done.made = *result;
  return done;
}

SysResult<bool> same_content(int a, int b) {
  std::vector<std::byte> left(kBuffer);
  std::vector<std::byte> right(kBuffer);
  std::uint64_t offset = 0;
  while (true) {
    const auto got = pread_some(a, left, offset);
    if (!got) return std::unexpected(got.error());
    const auto other = pread_some(b, right, offset);
    if (!other) return std::unexpected(other.error());
    if (*got != *other) return false;
    if (*got == 0) return true;
    if (std::memcmp(left.data(), right.data(), *got) != 0) return false;
    offset += *got;
  }
}

}  // namespace holdfast::core
