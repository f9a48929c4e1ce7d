#include "storecore/os/identity.hpp"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/mounts.hpp"
#include "storecore/os/stat.hpp"

// Where a UUID comes from, first answer wins:
//   1. the mounted filesystem itself, by ioctl: needs no privilege, no device node and no udev.
//   Asked
//      only of filesystems whose answer is the UUID in the superblock, which is what libblkid
//      reads; tmpfs answers too, with a number that it rolls at every mount.
//   2. libblkid on the device, for those who may read it;
//   3. udev's record of the device, which is world-readable and made by libblkid;
//   4. /dev/disk/by-uuid, where udev keeps no record (containers).
namespace holdfast::core {
namespace {

using catalog::Result;

constexpr std::size_t kUuidBytes = 16;
using UuidBytes = std::array<std::uint8_t, kUuidBytes>;
// Records of udev and uevent files are some hundred bytes.
constexpr std::size_t kMaxRecord = std::size_t{1} << 20;

std::string to_text(const UuidBytes& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", bytes[i]);
  }
  return text;
}

std::optional<std::string> read_text(const std::string& path) {
  const auto file = open_at(DirFd(AT_FDCWD), path.c_str(), O_RDONLY);
  if (!file) return std::nullopt;
  auto text = read_all(file->get(), kMaxRecord);
  if (!text) return std::nullopt;
  return std::move(*text);
}

/// What follows "KEY=" on a line of its own; empty when there is none.
std::string value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(key)) return std::string(line.substr(key.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

// ---- the mounted filesystem -------------------------------------------------------------------

/// FS_IOC_GETFSUUID of Linux 6.9, whose number older headers do not have.
struct FsUuid {
  std::uint8_t length;
  std::uint8_t uuid[kUuidBytes];
};
// NOLINTNEXTLINE(misc-include-cleaner): <sys/ioctl.h> is the header that has it everywhere
constexpr unsigned long kGetFsUuid = _IOR(0x15, 0, FsUuid);

std::string uuid_by_ioctl(int fd, std::string_view fs_type) {
  UuidBytes bytes{};
  if (fs_type == "btrfs") {
    btrfs_ioctl_fs_info_args info{};
    if (::ioctl(fd, BTRFS_IOC_FS_INFO, &info) != 0) return {};
    std::copy_n(info.fsid, bytes.size(), bytes.begin());
    return to_text(bytes);
  }
  if (fs_type != "ext4" && fs_type != "xfs") return {};
  FsUuid answer{};
  if (::ioctl(fd, kGetFsUuid, &answer) != 0 || answer.length != bytes.size()) return {};
  std::copy_n(answer.uuid, bytes.size(), bytes.begin());
  return to_text(bytes);
}

/// 0 where there is no such thing. An answer that could not be had is none: it would pass for
/// another volume.
catalog::SysResult<std::uint64_t> subvolume_of(int fd, std::string_view fs_type) noexcept {
  if (fs_type != "btrfs") return std::uint64_t{0};
  // With this object id and no tree id the kernel answers with the tree of fd, and asks no
  // privilege.
  btrfs_ioctl_ino_lookup_args lookup{};
  lookup.objectid = BTRFS_FIRST_FREE_OBJECTID;
  if (::ioctl(fd, BTRFS_IOC_INO_LOOKUP, &lookup) != 0)
    return std::unexpected(catalog::last_error());
  return std::uint64_t{lookup.treeid};
}

// ---- its device -------------------------------------------------------------------------------

bool is_device_node(const std::string& path, std::uint64_t device) {
  const auto stat = stat_path(path);
  return stat && stat->type_bits == S_IFBLK && (device == 0 || stat->rdev == device);
}

std::string device_numbers(std::uint64_t device) {
  return fmt::format("{}:{}", device >> 32, device & 0xffff'ffff);
}

/// A path whose node is the mount's device; empty when there is none.
///
/// The source is only a text: whoever mounts a FUSE filesystem may write another disk's name there.
/// It counts when its node has the device number that the kernel gives the mount. Filesystems on
/// several devices have no such number; btrfs is mounted by root and names one of them.
std::string device_path(const Mount& mount) {
  const bool has_number = (mount.device >> 32) != 0;
  if (!has_number) {
    const bool several = mount.fs_type == "btrfs" || mount.fs_type == "bcachefs";
    return several && is_device_node(mount.source, 0) ? mount.source : std::string();
  }
  if (is_device_node(mount.source, mount.device)) return mount.source;
  const auto event = read_text("/sys/dev/block/" + device_numbers(mount.device) + "/uevent");
  if (!event) return {};
  std::string path = "/dev/" + value_of(*event, "DEVNAME=");
  return is_device_node(path, mount.device) ? path : std::string();
}

struct Superblock {
  std::string type;
  std::string uuid;
};

std::string lookup(blkid_probe probe, const char* what) {
  const char* value = nullptr;
  if (blkid_probe_lookup_value(probe, what, &value, nullptr) != 0 || value == nullptr) return {};
  return value;
}

/// @p fs_type  the only signature to look for, so that remains of an older filesystem cannot make
/// the
///             answer ambiguous; "fuseblk" looks for all
Superblock probe_device(const std::string& path, const std::string& fs_type) {
  const std::unique_ptr<std::remove_pointer_t<blkid_probe>, decltype(&blkid_free_probe)> probe(
      blkid_new_probe_from_filename(path.c_str()), &blkid_free_probe);
  if (!probe) return {};
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID);
  if (fs_type != "fuseblk" && blkid_known_fstype(fs_type.c_str()) != 0) {
    std::vector<std::string> names{fs_type};
    if (fs_type == "ext4") names = {"ext2", "ext3", "ext4"};
    std::vector<char*> wanted;
    wanted.reserve(names.size() + 1);
    for (std::string& name : names) wanted.push_back(name.data());
    wanted.push_back(nullptr);
    blkid_probe_filter_superblocks_type(probe.get(), BLKID_FLTR_ONLYIN, wanted.data());
  }
  if (blkid_do_safeprobe(probe.get()) != 0) return {};
  return {.type = lookup(probe.get(), "TYPE"), .uuid = lookup(probe.get(), "UUID")};
}

Superblock udev_record(std::uint64_t device) {
  const auto record = read_text("/run/udev/data/b" + device_numbers(device));
  if (!record) return {};
  return {.type = value_of(*record, "E:ID_FS_TYPE="), .uuid = value_of(*record, "E:ID_FS_UUID=")};
}

std::string uuid_by_link(std::uint64_t device) {
  const auto dir = open_dir_path("/dev/disk/by-uuid");
  if (!dir) return {};
  DirReader reader;
  for (auto more = reader.fill(dir->get()); more && *more; more = reader.fill(dir->get())) {
    Dirent entry;
    while (reader.next(entry)) {
      if (is_device_node(fmt::format("/dev/disk/by-uuid/{}", entry.name), device)) {
        return entry.name;
      }
    }
  }
  return {};
}

/// Asks @p next for what is still missing.
template <class Source>
void complete(Superblock& known, bool type_too, Source next) {
  if (!known.uuid.empty() && (!type_too || !known.type.empty())) return;
  Superblock more = next();
  if (known.uuid.empty()) known.uuid = std::move(more.uuid);
  if (known.type.empty()) known.type = std::move(more.type);
}

/// One name for one filesystem: what it is called depends on the driver and on how it was mounted.
std::string common_type(const std::string& type) {
  if (type == "ntfs3" || type == "fuse.ntfs" || type == "fuse.ntfs-3g") return "ntfs";
  // One driver mounts all three, and the name is what was asked for: a rescue system may say ext4
  // where fstab said ext3.
  if (type == "ext2" || type == "ext3") return "ext4";
  if (type == "msdos" || type == "umsdos") return "vfat";
  return type;
}

Result<Mount> mount_of(const Stat& stat) {
  auto mounts = read_mounts();
  if (!mounts) return std::unexpected(std::move(mounts.error()));
  if (const Mount* mount = find_mount(*mounts, stat.mount_id)) return *mount;
  // A mount of another namespace, reached through a descriptor: any mount of the same device will
  // do.
  const auto same = std::ranges::find(*mounts, stat.device, &Mount::device);
  if (same != mounts->end()) return *same;
  return catalog::fail(catalog::Fault::kFailed, {}, "its mount is not in /proc/self/mountinfo");
}

}  // namespace

Result<VolumeIdentity> identify_volume(DirFd dir) {
  const auto stat = stat_fd(dir.fd);
  if (!stat) return catalog::failed("statx", {}, stat.error());
  const auto mount = mount_of(*stat);
  if (!mount) return std::unexpected(mount.error());

  VolumeIdentity identity;
  identity.fs_type = common_type(mount->fs_type);
  const auto subvolume = subvolume_of(dir.fd, identity.fs_type);
  if (!subvolume) return catalog::failed("ioctl(BTRFS_IOC_INO_LOOKUP)", {}, subvolume.error());
  identity.subvolume = *subvolume;
  Superblock known{.type = {}, .uuid = uuid_by_ioctl(dir.fd, identity.fs_type)};
  const bool is_fuse = identity.fs_type == "fuseblk";
  complete(known, is_fuse, [&]() -> Superblock {
    const std::string path = device_path(*mount);
    return path.empty() ? Superblock{} : probe_device(path, identity.fs_type);
  });
  if ((mount->device >> 32) != 0) {
    complete(known, is_fuse, [&] { return udev_record(mount->device); });
    complete(known, false,
             [&] { return Superblock{.type = {}, .uuid = uuid_by_link(mount->device)}; });
  }
  identity.fs_uuid = known.uuid;
  if (is_fuse && !known.type.empty()) identity.fs_type = common_type(known.type);
  return identity;
}

catalog::SysResult<DirIdentity> identify_dir(DirFd dir) noexcept {
  const auto stat = stat_fd(dir.fd);
  if (!stat) return std::unexpected(stat.error());
  return DirIdentity{.inode = stat->inode, .btime = stat->btime};
}

std::string make_uuid() {
  UuidBytes bytes{};
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
    if (count > 0) {
      filled += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {  // forbidden by a sandbox: the processor or /dev/urandom has some
      std::random_device device;
      while (filled < bytes.size()) bytes[filled++] = static_cast<std::uint8_t>(device());
    }
  }
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);  // RFC 4122 variant
  return to_text(bytes);
}

std::string boot_id() {
  std::string text = read_text("/proc/sys/kernel/random/boot_id").value_or(std::string());
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace holdfast::core
