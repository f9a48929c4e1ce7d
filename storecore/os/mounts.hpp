#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"

namespace holdfast::core {

/// One line of /proc/self/mountinfo, unescaped.
struct Mount {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  std::uint64_t device = 0;  ///< major << 32 | minor, as mountinfo prints it (btrfs: of the
                             ///< filesystem, not the subvolume)
  std::string root;          ///< the directory inside the filesystem that is mounted
  std::string mount_point;   ///< absolute, as this process sees it
  std::string fs_type;       ///< "ext4", "fuseblk", ...
  std::string source;        ///< "/dev/sda2", ...
  std::string super_options;
  bool read_only = false;  ///< of the mount or of the filesystem
};

[[nodiscard]] catalog::Result<std::vector<Mount>> read_mounts();
/// For tests: the text of a mountinfo file.
[[nodiscard]] std::vector<Mount> parse_mounts(std::string_view text);

/// The mount that an absolute, resolved path lies on: by mount id when @p mount_id is not 0.
[[nodiscard]] const Mount* find_mount(const std::vector<Mount>& mounts, std::uint64_t mount_id);
/// Mount points strictly below an absolute, resolved directory, as paths relative to it.
[[nodiscard]] std::vector<std::string> mounts_below(const std::vector<Mount>& mounts,
                                                    std::string_view directory);

enum class FsClass : std::uint8_t {
  kReal,     ///< a filesystem on a local disk: ext4, xfs, btrfs, ntfs, vfat, f2fs, zfs ...
  kMemory,   ///< tmpfs, ramfs
  kNetwork,  ///< nfs, cifs, 9p, fuse.sshfs ...
  kPseudo,   ///< proc, sysfs, cgroup, devtmpfs, autofs ...
  kOverlay,  ///< overlayfs, aufs: a link there copies the bytes
  kUnknown,  ///< other FUSE filesystems
};
[[nodiscard]] FsClass classify_fs(std::string_view fs_type) noexcept;
/// True for a device that sysfs calls removable (USB sticks, card readers).
[[nodiscard]] bool is_removable(std::uint64_t device) noexcept;

}  // namespace holdfast::core
