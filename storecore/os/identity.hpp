#pragma once

#include <cstdint>
#include <string>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

/// What stays the same about a volume when it is unplugged, unlocked under another name or mounted
/// by a rescue system. st_dev, mount ids, device names and f_fsid do not.
struct VolumeIdentity {
  /// "ext4", "xfs", "btrfs", "ntfs", "tmpfs", ... One word whatever driver serves it: ext2 and ext3
  /// are "ext4", ntfs3 and ntfs-3g are "ntfs".
  std::string fs_type;
  std::string fs_uuid;  ///< as libblkid writes it; empty for filesystems without one (tmpfs)
  std::uint64_t subvolume = 0;  ///< btrfs subvolume id; 0 elsewhere
  bool operator==(const VolumeIdentity&) const = default;
};

/// Of the volume that @p dir lies on. ext4, xfs and btrfs tell their UUID to everybody; else
/// libblkid probes the device that mountinfo names (needs read access to it: as an ordinary user
/// the udev database and /dev/disk/by-uuid are asked instead; an unknown UUID stays empty, and the
/// type "fuseblk"). Errors: kFailed. Any thread.
[[nodiscard]] catalog::Result<VolumeIdentity> identify_volume(DirFd dir);

/// One directory, by what survives a remount.
struct DirIdentity {
  std::uint64_t inode = 0;
  catalog::Timestamp btime;  ///< zero where the filesystem has none
  bool operator==(const DirIdentity&) const = default;
};
[[nodiscard]] catalog::SysResult<DirIdentity> identify_dir(DirFd dir) noexcept;

/// Random (version 4) UUID, lower case.
[[nodiscard]] std::string make_uuid();
/// kernel.random.boot_id: changes with every boot.
[[nodiscard]] std::string boot_id();

}  // namespace holdfast::core
