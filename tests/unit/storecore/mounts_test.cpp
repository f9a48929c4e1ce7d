#include "storecore/os/mounts.hpp"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;

TEST(ParseMounts, ReadsEveryField) {
  const auto mounts = parse_mounts(
      "36 35 98:7 /sub /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n"
      "37 36 0:42 / /mnt3 ro - tmpfs none rw\n"
      "38 36 259:70000 / /mnt4 rw unbindable - xfs /dev/nvme0n1p3 ro,attr2\n");
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_EQ(mounts[0].id, 36U);
  EXPECT_EQ(mounts[0].parent, 35U);
  EXPECT_EQ(mounts[0].device, std::uint64_t{98} << 32 | 7);
  EXPECT_EQ(mounts[0].root, "/sub");
  EXPECT_EQ(mounts[0].mount_point, "/mnt2");
  EXPECT_EQ(mounts[0].fs_type, "ext3");
  EXPECT_EQ(mounts[0].source, "/dev/root");
  EXPECT_EQ(mounts[0].super_options, "rw,errors=continue");
  EXPECT_FALSE(mounts[0].read_only);
  EXPECT_TRUE(mounts[1].read_only) << "of the mount";
  EXPECT_TRUE(mounts[2].read_only) << "of the filesystem";
  EXPECT_EQ(mounts[2].device, std::uint64_t{259} << 32 | 70'000);
}

TEST(ParseMounts, UnescapesNames) {
  const auto mounts = parse_mounts(
      R"(40 1 8:1 /a\040b /m\011n\012o\134p\043q rw - fuseblk /dev/x\040y rw,name=\134040)");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].root, "/a b");
  EXPECT_EQ(mounts[0].mount_point, "/m\tn\no\\p#q");
  EXPECT_EQ(mounts[0].source, "/dev/x y");
  EXPECT_EQ(mounts[0].super_options, "rw,name=\\040") << "unescaped once only";
}

TEST(ParseMounts, KeepsABackslashThatEscapesNothing) {
  const auto mounts = parse_mounts(R"(40 1 8:1 / /a\08\12 rw - ext4 s\ rw)");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].mount_point, R"(/a\08\12)");
  EXPECT_EQ(mounts[0].source, "s\\");
}

TEST(ParseMounts, TakesAnEmptySource) {
  const auto mounts = parse_mounts("40 1 0:50 / /e rw - tmpfs  rw,size=4k\n");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].source, "");
  EXPECT_EQ(mounts[0].super_options, "rw,size=4k");
}

TEST(ParseMounts, LeavesOutLinesItDoesNotUnderstand) {
  EXPECT_TRUE(parse_mounts("").empty());
  EXPECT_TRUE(parse_mounts("\n\n").empty());
  EXPECT_TRUE(parse_mounts("x 1 8:1 / / rw - ext4 s rw").empty());
  EXPECT_TRUE(parse_mounts("1 1 8-1 / / rw - ext4 s rw").empty());
  EXPECT_TRUE(parse_mounts("1 1 8:1 / / rw shared:1 ext4 s rw").empty());
  EXPECT_TRUE(parse_mounts("1 1 8:1").empty());
}

TEST(MountsBelow, FindsWhatIsStrictlyBelow) {
  const auto mounts = parse_mounts(
      "1 0 8:1 / / rw - ext4 s rw\n"
      "2 1 8:2 / /home rw - ext4 s rw\n"
      "3 2 8:3 / /home/al/disk rw - ext4 s rw\n"
      "4 2 8:4 / /home/al/disk rw - ext4 s rw\n"
      "5 1 8:5 / /homework rw - ext4 s rw\n"
      "6 1 8:6 / /proc rw - proc s rw\n");
  using Paths = std::vector<std::string>;
  EXPECT_EQ(mounts_below(mounts, "/home"), Paths{"al/disk"});
  EXPECT_EQ(mounts_below(mounts, "/home/"), Paths{"al/disk"});
  EXPECT_EQ(mounts_below(mounts, "/"), (Paths{"home", "home/al/disk", "homework", "proc"}));
  EXPECT_EQ(mounts_below(mounts, "/home/al/disk"), Paths{});
}

TEST(FindMount, GoesByMountId) {
  const auto mounts = parse_mounts("7 0 8:1 / / rw - ext4 s rw\n");
  EXPECT_EQ(find_mount(mounts, 7), mounts.data());
  EXPECT_EQ(find_mount(mounts, 8), nullptr);
  EXPECT_EQ(find_mount(mounts, 0), nullptr);
}

TEST(ReadMounts, FindsTheMountThatStatxNames) {
  const auto mounts = read_mounts();
  ASSERT_TRUE(mounts);
  const Mount* proc = find_mount(*mounts, stat_path("/proc")->mount_id);
  ASSERT_NE(proc, nullptr);
  EXPECT_EQ(proc->mount_point, "/proc");
  EXPECT_EQ(proc->fs_type, "proc");
  EXPECT_EQ(proc->device, stat_path("/proc")->device);
}

TEST(ReadMounts, ReadsWhatTheKernelEscapes) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const TempDir tree;
  const std::string name = "a b\tc\nd\\e#f";
  tree.dir(name);
  EXPECT_EQ(test::in_child([&]() -> std::string {
              if (!test::enter_private_mounts()) return "no private mounts";
              if (::mount("s o", tree.path(name).c_str(), "tmpfs", MS_RDONLY, "size=64k") != 0) {
                return "mount";
              }
              const auto mounts = read_mounts();
              const Mount* mount = find_mount(*mounts, stat_path(tree.path(name))->mount_id);
              if (mount == nullptr) return "not found";
              if (mount->mount_point != tree.path(name)) return mount->mount_point;
              if (mount->source != "s o") return mount->source;
              if (!mount->read_only) return "not read-only";
              return mounts_below(*mounts, tree.path()) == std::vector{name} ? "" : "not below";
            }),
            "");
}

TEST(ClassifyFs, KnowsTheKinds) {
  using enum FsClass;
  const std::vector<std::pair<const char*, FsClass>> cases{{"ext4", kReal},
                                                           {"btrfs", kReal},
                                                           {"xfs", kReal},
                                                           {"ntfs3", kReal},
                                                           {"fuseblk", kReal},
                                                           {"vfat", kReal},
                                                           {"zfs", kReal},
                                                           {"f2fs", kReal},
                                                           {"tmpfs", kMemory},
                                                           {"ramfs", kMemory},
                                                           {"nfs4", kNetwork},
                                                           {"cifs", kNetwork},
                                                           {"9p", kNetwork},
                                                           {"virtiofs", kNetwork},
                                                           {"fuse.sshfs", kNetwork},
                                                           {"gfs2", kNetwork},
                                                           {"proc", kPseudo},
                                                           {"cgroup2", kPseudo},
                                                           {"devtmpfs", kPseudo},
                                                           {"autofs", kPseudo},
                                                           {"fuse.portal", kPseudo},
                                                           {"overlay", kOverlay},
                                                           {"aufs", kOverlay},
                                                           {"fuse.fuse-overlayfs", kOverlay},
                                                           {"fuse.something", kUnknown},
                                                           {"", kUnknown},
                                                           {"ext", kUnknown}};
  for (const auto& [type, expected] : cases) EXPECT_EQ(classify_fs(type), expected) << type;
}

TEST(IsRemovable, IsFalseForWhatIsNoDisk) {
  EXPECT_FALSE(is_removable(0));
  EXPECT_FALSE(is_removable(std::uint64_t{0} << 32 | 42));
  EXPECT_FALSE(is_removable(std::uint64_t{4095} << 32 | 4095));
}

}  // namespace
}  // namespace holdfast::core
