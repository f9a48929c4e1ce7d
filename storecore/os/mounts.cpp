#include "storecore/os/mounts.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {
namespace {

using catalog::Result;
using Names = std::string_view;

constexpr const char* kMountInfo = "/proc/self/mountinfo";
// A line is some 150 bytes; a machine full of containers has 100,000 mounts.
constexpr std::size_t kMaxMountInfo = std::size_t{256} << 20;

// Block devices shared by several machines (gfs2, ocfs2) are with the network: what locks and maps
// rely on is not local there either.
constexpr auto kRealTypes = std::to_array<Names>(
    {"adfs",         "affs",      "apfs",          "bcachefs", "befs",    "bfs",        "btrfs",
     "cramfs",       "erofs",     "exfat",         "ext2",     "ext3",    "ext4",       "f2fs",
     "fuseblk",      "hfs",       "hfsplus",       "hpfs",     "iso9660", "jffs2",      "jfs",
     "minix",        "msdos",     "nilfs2",        "ntfs",     "ntfs3",   "omfs",       "reiser4",
     "reiserfs",     "romfs",     "squashfs",      "sysv",     "ubifs",   "udf",        "ufs",
     "umsdos",       "vfat",      "xfs",           "zfs",      "zonefs",  "fuse.exfat", "fuse.ntfs",
     "fuse.ntfs-3g", "fuse.apfs", "fuse.apfs-fuse"});
constexpr auto kMemoryTypes = std::to_array<Names>({"tmpfs", "ramfs", "rootfs"});
constexpr auto kNetworkTypes = std::to_array<Names>({"9p",
                                                     "afs",
                                                     "beegfs",
                                                     "ceph",
                                                     "cifs",
                                                     "coda",
                                                     "davfs",
                                                     "fhgfs",
                                                     "gfs",
                                                     "gfs2",
                                                     "glusterfs",
                                                     "gpfs",
                                                     "lustre",
                                                     "ncp",
                                                     "ncpfs",
                                                     "nfs",
                                                     "nfs4",
                                                     "ocfs2",
                                                     "orangefs",
                                                     "prl_fs",
                                                     "pvfs2",
                                                     "smb3",
                                                     "smbfs",
                                                     "vboxsf",
                                                     "virtiofs",
                                                     "vmhgfs",
                                                     "fuse.ceph",
                                                     "fuse.ceph-fuse",
                                                     "fuse.cifs",
                                                     "fuse.curlftpfs",
                                                     "fuse.davfs",
                                                     "fuse.gcsfuse",
                                                     "fuse.glusterfs",
                                                     "fuse.juicefs",
                                                     "fuse.mfs",
                                                     "fuse.nfs",
                                                     "fuse.rclone",
                                                     "fuse.s3fs",
                                                     "fuse.s3ql",
                                                     "fuse.smbnetfs",
                                                     "fuse.sshfs",
                                                     "fuse.vmhgfs-fuse"});
constexpr auto kPseudoTypes = std::to_array<Names>(
    {"anon_inodefs", "autofs",     "bdev",       "binder",    "binfmt_misc", "bpf",
     "cgroup",       "cgroup2",    "configfs",   "cpuset",    "dax",         "debugfs",
     "devfs",        "devpts",     "devtmpfs",   "drm",       "efivarfs",    "functionfs",
     "fusectl",      "hugetlbfs",  "ipathfs",    "mqueue",    "nfsd",        "nsfs",
     "openpromfs",   "pidfs",      "pipefs",     "proc",      "pstore",      "resctrl",
     "rpc_pipefs",   "secretmem",  "securityfs", "selinuxfs", "smackfs",     "sockfs",
     "spufs",        "sysfs",      "tracefs",    "usbfs",     "xenfs",       "fuse.gvfsd-fuse",
     "fuse.lxcfs",   "fuse.portal"});
constexpr auto kOverlayTypes = std::to_array<Names>(
    {"aufs", "overlay", "overlayfs", "shiftfs", "unionfs", "fuse.fuse-overlayfs", "fuse.mergerfs",
     "fuse.mhddfs", "fuse.unionfs", "fuse.unionfs-fuse"});

bool is_octal(char c) noexcept { return c >= '0' && c <= '7'; }

/// The kernel writes blank, tab, newline, backslash and '#' as a backslash and three octal digits.
std::string unescape(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      const int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      bytes.push_back(static_cast<char>(value));
      i += 3;
    } else {
      bytes.push_back(text[i]);
    }
  }
  return bytes;
}

/// Cuts the text before the first blank off @p rest. Fields may be empty: sources are.
std::string_view take_field(std::string_view& rest) noexcept {
  const std::size_t blank = std::min(rest.find(' '), rest.size());
  const std::string_view field = rest.substr(0, blank);
  rest.remove_prefix(std::min(blank + 1, rest.size()));
  return field;
}

std::optional<std::uint64_t> to_number(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto parsed = std::from_chars(begin, end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> to_device(std::string_view text) noexcept {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto major = to_number(text.substr(0, colon));
  const auto minor = to_number(text.substr(colon + 1));
  if (!major || !minor) return std::nullopt;
  return *major << 32 | *minor;
}

bool has_option(std::string_view options, std::string_view wanted) {
  return std::ranges::any_of(options | std::views::split(','), [&](const auto& option) {
    return std::string_view(option.begin(), option.end()) == wanted;
  });
}

/// proc_pid_mountinfo(5): id parent major:minor root mount-point options [optional]... - type
/// source super
std::optional<Mount> parse_line(std::string_view line) {
  const auto id = to_number(take_field(line));
  const auto parent = to_number(take_field(line));
  const auto device = to_device(take_field(line));
  if (!id || !parent || !device) return std::nullopt;
  Mount mount;
  mount.id = *id;
  mount.parent = *parent;
  mount.device = *device;
  mount.root = unescape(take_field(line));
  mount.mount_point = unescape(take_field(line));
  const std::string_view options = take_field(line);
  if (options.empty()) return std::nullopt;
  while (take_field(line) != "-") {
    if (line.empty()) return std::nullopt;
  }
  mount.fs_type = unescape(take_field(line));
  mount.source = unescape(take_field(line));
  mount.super_options = unescape(line);
  mount.read_only = has_option(options, "ro") || has_option(mount.super_options, "ro");
  return mount;
}

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<Names, N>& names) noexcept {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

Result<std::vector<Mount>> read_mounts() {
  const auto file = open_at(DirFd(AT_FDCWD), kMountInfo, O_RDONLY);
  if (!file) return catalog::failed("open", kMountInfo, file.error());
  const auto text = read_all(file->get(), kMaxMountInfo);
  if (!text) return catalog::failed("read", kMountInfo, text.error());
  return parse_mounts(*text);
}

std::vector<Mount> parse_mounts(std::string_view text) {
  std::vector<Mount> mounts;
  for (const auto part : text | std::views::split('\n')) {
    if (auto mount = parse_line(std::string_view(part.begin(), part.end()))) {
      mounts.push_back(std::move(*mount));
    }
  }
  return mounts;
}

const Mount* find_mount(const std::vector<Mount>& mounts, std::uint64_t mount_id) {
  if (mount_id == 0) return nullptr;
  const auto found = std::ranges::find(mounts, mount_id, &Mount::id);
  return found == mounts.end() ? nullptr : &*found;
}

std::vector<std::string> mounts_below(const std::vector<Mount>& mounts,
                                      std::string_view directory) {
  std::string prefix(directory);
  while (prefix.ends_with('/')) prefix.pop_back();
  prefix.push_back('/');
  std::vector<std::string> below;
  for (const Mount& mount : mounts) {
    if (mount.mount_point.size() > prefix.size() && mount.mount_point.starts_with(prefix)) {
      below.push_back(mount.mount_point.substr(prefix.size()));
    }
  }
  // Mounts on top of each other have one place.
  std::ranges::sort(below);
  const auto repeated = std::ranges::unique(below);
  below.erase(repeated.begin(), repeated.end());
  return below;
}

FsClass classify_fs(std::string_view fs_type) noexcept {
  if (is_one_of(fs_type, kRealTypes)) return FsClass::kReal;
  if (is_one_of(fs_type, kMemoryTypes)) return FsClass::kMemory;
  if (is_one_of(fs_type, kNetworkTypes)) return FsClass::kNetwork;
  if (is_one_of(fs_type, kPseudoTypes)) return FsClass::kPseudo;
  if (is_one_of(fs_type, kOverlayTypes)) return FsClass::kOverlay;
  return FsClass::kUnknown;
}

bool is_removable(std::uint64_t device) noexcept {
  const std::string folder =
      fmt::format("/sys/dev/block/{}:{}", device >> 32, device & 0xffff'ffff);
  // A partition has no such file; its disk, one folder up, has.
  for (const char* name : {"/removable", "/../removable"}) {
    const auto file = open_at(DirFd(AT_FDCWD), (folder + name).c_str(), O_RDONLY);
    if (!file) continue;
    const auto text = read_all(file->get(), 64);
    return text && text->starts_with('1');
  }
  return false;
}

}  // namespace holdfast::core
