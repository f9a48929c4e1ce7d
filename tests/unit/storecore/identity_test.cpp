#include "storecore/os/identity.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "fixture.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {
namespace {

using test::run_program;
using test::TempDir;

TEST(MakeUuid, IsOfVersion4AndNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = make_uuid();
    ASSERT_EQ(uuid.size(), 36U);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    for (const std::size_t dash : {8U, 13U, 18U, 23U}) EXPECT_EQ(uuid[dash], '-');
    EXPECT_EQ(uuid.find_first_not_of("0123456789abcdef-"), std::string::npos);
    EXPECT_TRUE(seen.insert(uuid).second);
  }
}

TEST(BootId, IsTheKernels) {
  EXPECT_EQ(boot_id().size(), 36U);
  EXPECT_EQ(boot_id(), boot_id());
}

TEST(IdentifyDir, TellsDirectoriesApart) {
  const TempDir tree;
  tree.dir("a");
  tree.dir("b");
  const auto a = open_dir_at(tree.fd(), "a");
  const auto b = open_dir_at(tree.fd(), "b");
  EXPECT_NE(identify_dir(DirFd(*a)).value(), identify_dir(DirFd(*b)).value());
  ASSERT_TRUE(rename_replace(tree.fd(), "a", tree.fd(), "c"));
  const auto c = open_dir_at(tree.fd(), "c");
  EXPECT_EQ(identify_dir(DirFd(*a)).value(), identify_dir(DirFd(*c)).value());
  EXPECT_EQ(identify_dir(DirFd()).error().value(), EBADF);
}

TEST(IdentifyVolume, GivesTmpfsNoUuid) {
  const auto shm = open_dir_path("/dev/shm");
  if (!shm) GTEST_SKIP() << "/dev/shm is missing";
  const auto identity = identify_volume(DirFd(*shm));
  ASSERT_TRUE(identity) << catalog::describe(identity.error());
  EXPECT_EQ(identity->fs_type, "tmpfs");
  EXPECT_EQ(identity->fs_uuid, "");
  EXPECT_EQ(identity->subvolume, 0U);
}

TEST(IdentifyVolume, FailsOnWhatIsNotOpen) {
  const auto identity = identify_volume(DirFd());
  ASSERT_FALSE(identity);
  EXPECT_EQ(identity.error().fault, catalog::Fault::kFailed);
}

struct Volume {
  const char* name;
  std::vector<std::string> make;  ///< the image's path is added
  std::vector<std::string> mount_options;
  const char* fs_type;
  const char* uuid;
};

std::string identify_in_child(const TempDir& tree, const Volume& volume, bool as_nobody) {
  return test::in_child([&]() -> std::string {
    if (!test::enter_private_mounts()) return "no private mounts";
    if (!test::mount_image(tree, volume.mount_options)) return "cannot mount";
    ::chmod(tree.path("m").c_str(), 0755);
    constexpr uid_t nobody = 65534;
    if (as_nobody && ::setresuid(nobody, nobody, nobody) != 0) return "setresuid";
    const auto identity = identify_volume(DirFd(*open_dir_path(tree.path("m"))));
    test::unmount_image(tree);
    if (!identity) return catalog::describe(identity.error());
    return identity->fs_type + " " + identity->fs_uuid + " " + std::to_string(identity->subvolume);
  });
}

class IdentifyVolumeOn : public testing::TestWithParam<Volume> {};

TEST_P(IdentifyVolumeOn, SaysWhatLibblkidSays) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const Volume& volume = GetParam();
  const TempDir tree;
  ASSERT_EQ(::chmod(tree.path().c_str(), 0755), 0);
  const int made = test::make_image(tree, volume.make);
  if (made == -1) GTEST_SKIP() << volume.make[0] << " is not installed";
  ASSERT_EQ(made, 0);
  const std::string answer = identify_in_child(tree, volume, false);
  if (answer == "cannot mount") GTEST_SKIP() << "the kernel has no " << volume.name;

  std::string uuid;
  ASSERT_EQ(
      run_program({"blkid", "-p", "-o", "value", "-s", "UUID", tree.path("image")}, {}, &uuid), 0);
  while (uuid.ends_with('\n')) uuid.pop_back();
  if (volume.uuid != nullptr) {
    EXPECT_EQ(uuid, volume.uuid);
  }
  const std::string subvolume = std::string(volume.fs_type) == "btrfs" ? "5" : "0";
  EXPECT_EQ(answer, std::string(volume.fs_type) + " " + uuid + " " + subvolume);

  // The filesystems that tell everybody. Others depend on udev, which a container does not have.
  const std::string type = volume.fs_type;
  if (type == "ext4" || type == "xfs" || type == "btrfs") {
    EXPECT_EQ(identify_in_child(tree, volume, true), answer) << "as an ordinary user";
  }
}

constexpr const char* kUuid = "01234567-89ab-4cde-8f01-23456789abcd";
/// mkfs.btrfs refuses one that any device has: the other tests' images are on loop devices now.
constexpr const char* kBtrfsUuid = "01234567-89ab-4cde-8f01-23456789b7f5";
INSTANTIATE_TEST_SUITE_P(
    Filesystems, IdentifyVolumeOn,
    testing::Values(
        Volume{"ext4", {"mkfs.ext4", "-q", "-F", "-U", kUuid}, {}, "ext4", kUuid},
        Volume{"ext3", {"mkfs.ext3", "-q", "-F", "-U", kUuid}, {"-t", "ext3"}, "ext4", kUuid},
        Volume{"xfs", {"mkfs.xfs", "-q", "-m", std::string("uuid=") + kUuid}, {}, "xfs", kUuid},
        Volume{"btrfs", {"mkfs.btrfs", "-q", "-U", kBtrfsUuid}, {}, "btrfs", kBtrfsUuid},
        Volume{"ntfs3g",
               {"mkfs.ntfs", "-q", "-f", "-F"},
               {"-t", "ntfs-3g", "-o", "loop"},
               "ntfs",
               nullptr}),
    [](const testing::TestParamInfo<Volume>& volume) { return volume.param.name; });

/// Plays udev for the device of @p mount_point: its record, or its link.
bool play_udev(const std::string& mount_point, bool record) {
  const std::uint64_t device = stat_path(mount_point)->device;
  const auto node = static_cast<unsigned>(device & 0xffff'ffff);
  const auto put = [](const std::string& path, std::string_view text) {
    const auto file = open_at(DirFd(AT_FDCWD), path.c_str(), O_WRONLY | O_CREAT, 0644);
    return file && write_all(file->get(), text);
  };
  const auto make_dir = [](const char* path) { return ::mkdir(path, 0755) == 0; };
  if (record) {
    return ::mount("none", "/run", "tmpfs", 0, "mode=755") == 0 && make_dir("/run/udev") &&
           make_dir("/run/udev/data") &&
           put("/run/udev/data/b" + std::to_string(device >> 32) + ":" + std::to_string(node),
               "S:disk/by-uuid/x\nE:ID_FS_UUID=RECORDED\nE:ID_FS_TYPE=ntfs\n");
  }
  return ::mount("none", "/run", "tmpfs", 0, "mode=755") == 0 &&
         ::mount("none", "/dev", "tmpfs", 0, "mode=755") == 0 && make_dir("/dev/disk") &&
         make_dir("/dev/disk/by-uuid") &&
         mknod_at(DirFd(AT_FDCWD), "/dev/other", S_IFBLK | 0600, device + 1).has_value() &&
         mknod_at(DirFd(AT_FDCWD), "/dev/disk0", S_IFBLK | 0600, device).has_value() &&
         ::symlink("../../other", "/dev/disk/by-uuid/OTHER") == 0 &&
         ::symlink("../../disk0", "/dev/disk/by-uuid/LINKED") == 0;
}

TEST(IdentifyVolume, AsksUdevAsAnOrdinaryUser) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const TempDir tree;
  ASSERT_EQ(::chmod(tree.path().c_str(), 0755), 0);
  if (test::make_image(tree, {"mkfs.ntfs", "-q", "-f", "-F"}) != 0) GTEST_SKIP() << "no mkfs.ntfs";
  const auto ask = [&](bool record) {
    return test::in_child([&]() -> std::string {
      if (!test::enter_private_mounts()) return "no private mounts";
      if (!test::mount_image(tree, {"-t", "ntfs-3g", "-o", "loop"})) return "cannot mount";
      std::string answer = "cannot play udev";
      if (play_udev(tree.path("m"), record)) {
        answer = test::in_child([&]() -> std::string {
          constexpr uid_t nobody = 65534;
          if (::setresuid(nobody, nobody, nobody) != 0) return "setresuid";
          const auto identity = identify_volume(DirFd(*open_dir_path(tree.path("m"))));
          return identity ? identity->fs_type + " " + identity->fs_uuid
                          : catalog::describe(identity.error());
        });
      }
      test::unmount_image(tree);
      return answer;
    });
  };
  const std::string by_record = ask(true);
  if (by_record == "cannot mount") GTEST_SKIP() << "no ntfs-3g or no FUSE";
  EXPECT_EQ(by_record, "ntfs RECORDED");
  EXPECT_EQ(ask(false), "fuseblk LINKED");
}

TEST(IdentifyVolume, TellsSubvolumesApart) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const TempDir tree;
  if (test::make_image(tree, {"mkfs.btrfs", "-q"}) != 0) GTEST_SKIP() << "no mkfs.btrfs";
  const std::string answer = test::in_child([&]() -> std::string {
    if (!test::enter_private_mounts()) return "no private mounts";
    if (!test::mount_image(tree, {})) return "cannot mount";
    if (run_program({"btrfs", "subvolume", "create", tree.path("m/sub")}) != 0) return "create";
    const auto top = identify_volume(DirFd(*open_dir_path(tree.path("m"))));
    const auto sub = identify_volume(DirFd(*open_dir_path(tree.path("m/sub"))));
    if (top->fs_uuid != sub->fs_uuid) return "two UUIDs";
    return std::to_string(top->subvolume) + " " + std::to_string(sub->subvolume);
  });
  if (answer == "cannot mount") GTEST_SKIP() << "the kernel has no btrfs";
  EXPECT_EQ(answer, "5 256");
}

}  // namespace
}  // namespace holdfast::core
