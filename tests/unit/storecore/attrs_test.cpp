#include "storecore/os/attrs.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "catalog/records.hpp"
#include "fixture.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {
namespace {

using catalog::Xattr;
using test::TempDir;
using Xattrs = std::vector<Xattr>;

bool has_user_xattrs(const TempDir& tree) {
  tree.file("probe");
  return ::setxattr(tree.path("probe").c_str(), "user.probe", "", 0, 0) == 0;
}

std::string names_of(const Xattrs& attributes) {
  std::string names;
  for (const Xattr& attribute : attributes) names += attribute.name + " ";
  return names;
}

class XattrTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_user_xattrs(tree_)) GTEST_SKIP() << tree_.path() << " takes no user.* attributes";
    tree_.file("f");
    tree_.dir("d");
    file_ = std::move(*open_at(tree_.fd(), "f", O_RDWR));
    dir_ = std::move(*open_dir_at(tree_.fd(), "d"));
  }
  TempDir tree_;
  Fd file_;
  Fd dir_;
};

TEST_F(XattrTest, ReadsWhatWasWrittenSortedByName) {
  const Xattrs wanted{{"user.z", "last"}, {"user.a", std::string("\0\xff\n", 3)}, {"user.m", ""}};
  EXPECT_TRUE(write_xattrs(file_.get(), wanted)->empty());
  const Xattrs expected{{"user.a", std::string("\0\xff\n", 3)}, {"user.m", ""}, {"user.z", "last"}};
  EXPECT_EQ(read_xattrs(file_.get()).value(), expected);
  EXPECT_EQ(read_xattrs_at(tree_.fd(), "f").value(), expected);
}

TEST_F(XattrTest, MakesThemExactlyWhatIsWanted) {
  ASSERT_TRUE(write_xattrs(dir_.get(), {{"user.a", "1"}, {"user.b", "2"}, {"user.c", "3"}}));
  const Xattrs wanted{{"user.b", "2"}, {"user.c", "changed"}, {"user.d", "new"}};
  EXPECT_TRUE(write_xattrs_at(tree_.fd(), "d", wanted)->empty());
  EXPECT_EQ(read_xattrs(dir_.get()).value(), wanted);
  EXPECT_TRUE(write_xattrs(dir_.get(), {})->empty());
  EXPECT_TRUE(read_xattrs(dir_.get())->empty());
}

TEST_F(XattrTest, WritesNothingWhenNothingDiffers) {
  const Xattrs wanted{{"user.a", "1"}};
  ASSERT_TRUE(write_xattrs(file_.get(), wanted));
  const auto before = stat_fd(file_.get())->ctime;
  ASSERT_TRUE(write_xattrs(file_.get(), wanted)->empty());
  EXPECT_EQ(stat_fd(file_.get())->ctime, before);
}

TEST_F(XattrTest, ReadsListsAndValuesLargerThanTheFirstGuess) {
  Xattrs wanted;
  for (char letter = 'a'; letter <= 'l'; ++letter) {
    wanted.push_back({"user." + std::string(100, letter), std::string(20, letter)});
  }
  wanted.push_back({"user.value", std::string(1000, 'v')});
  const auto failures = write_xattrs(file_.get(), wanted);
  ASSERT_TRUE(failures->empty()) << failures->front().name << " " << failures->front().error_number;
  EXPECT_EQ(read_xattrs(file_.get()).value(), wanted);
}

TEST_F(XattrTest, NamesWhatCouldNotBeSetAndDoesTheRest) {
  const Xattrs wanted{{"nonsense.x", "1"}, {"user.ok", "2"}};
  const auto failures = write_xattrs(file_.get(), wanted);
  ASSERT_EQ(failures->size(), 1U);
  EXPECT_EQ(failures->front().name, "nonsense.x");
  EXPECT_EQ(failures->front().error_number, EOPNOTSUPP);
  EXPECT_EQ(names_of(*read_xattrs(file_.get())), "user.ok ");
}

TEST_F(XattrTest, RemovesAnInheritedAcl) {
  if (test::run_program({"setfacl", "-m", "d:u:1234:rwx,u:1234:rwx", tree_.path("d")}) != 0) {
    GTEST_SKIP() << "setfacl is missing, or " << tree_.path() << " takes no ACLs";
  }
  ASSERT_TRUE(mkdir_at(DirFd(dir_), "child", 0755));
  const auto child = open_dir_at(DirFd(dir_), "child");
  ASSERT_EQ(names_of(*read_xattrs(child->get())),
            "system.posix_acl_access system.posix_acl_default ");
  EXPECT_TRUE(write_xattrs(child->get(), {})->empty());
  EXPECT_TRUE(read_xattrs(child->get())->empty());

  // And the other way: an ACL is an attribute like any other.
  const Xattrs acls = *read_xattrs(dir_.get());
  EXPECT_TRUE(write_xattrs_at(DirFd(dir_), "child", acls)->empty());
  EXPECT_EQ(read_xattrs(child->get()).value(), acls);
}

TEST_F(XattrTest, ReachesEntriesThatAreNeverOpened) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: only trusted.* goes on symlinks and FIFOs";
  tree_.symlink("f", "l");
  tree_.fifo("p");
  const Xattrs wanted{{"trusted.holdfast", "x"}};
  for (const char* name : {"l", "p"}) {
    const auto failures = write_xattrs_at(tree_.fd(), name, wanted);
    ASSERT_TRUE(failures) << name;
    ASSERT_TRUE(failures->empty()) << name << " " << failures->front().error_number;
    EXPECT_EQ(read_xattrs_at(tree_.fd(), name).value(), wanted);
  }
  EXPECT_TRUE(read_xattrs(file_.get())->empty()) << "the symlink was followed";
}

TEST_F(XattrTest, TakesOnlyComponents) {
  EXPECT_EQ(read_xattrs_at(tree_.fd(), "..").error().value(), EINVAL);
  EXPECT_EQ(read_xattrs_at(tree_.fd(), "d/../f").error().value(), EINVAL);
  EXPECT_EQ(write_xattrs_at(tree_.fd(), ".", {}).error().value(), EINVAL);
}

TEST(Xattrs, AreAnEmptyListWhereThereAreNone) {
  const auto none = open_at(DirFd(AT_FDCWD), "/proc/self/status", O_RDONLY);
  ASSERT_TRUE(none);
  EXPECT_TRUE(read_xattrs(none->get())->empty());
  EXPECT_EQ(read_xattrs(-1).error().value(), EBADF);
}

class FlagsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::is_root()) GTEST_SKIP() << "needs root: CAP_LINUX_IMMUTABLE";
    tree_.dir("d");
    tree_.file("f");
    file_ = std::move(*open_at(tree_.fd(), "f", O_RDONLY));
    dir_ = std::move(*open_dir_at(tree_.fd(), "d"));
    const auto probe = set_immutable(file_.get(), true);
    if (!probe) GTEST_SKIP() << tree_.path() << " has no flags: " << probe.error().message();
    ASSERT_TRUE(set_immutable(file_.get(), false));
  }
  void TearDown() override {
    if (file_) {
      EXPECT_TRUE(write_flags(file_.get(), 0));
    }
    if (dir_) {
      EXPECT_TRUE(write_flags(dir_.get(), 0));
    }
  }
  TempDir tree_;
  Fd file_;
  Fd dir_;
};

TEST_F(FlagsTest, SetsAndClearsWhatIsKept) {
  const std::uint32_t wanted = FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;  // tmpfs has these too
  ASSERT_TRUE(write_flags(file_.get(), wanted));
  EXPECT_EQ(read_flags(file_.get())->flags, wanted);
  EXPECT_TRUE(stat_fd(file_.get())->is_append_only());
  ASSERT_TRUE(write_flags(file_.get(), FS_NODUMP_FL));
  EXPECT_EQ(read_flags(file_.get())->flags, std::uint32_t{FS_NODUMP_FL});
  ASSERT_TRUE(write_flags(file_.get(), 0));
  EXPECT_EQ(read_flags(file_.get())->flags, 0U);
}

TEST_F(FlagsTest, LeavesTheFilesystemsOwnFlags) {
  unsigned before = 0;
  ASSERT_EQ(::ioctl(file_.get(), FS_IOC_GETFLAGS, &before), 0);
  // Bits that are not kept are ignored, whatever the caller passes.
  ASSERT_TRUE(write_flags(file_.get(), FS_NODUMP_FL | ~kKeptFlags));
  ASSERT_TRUE(write_flags(file_.get(), 0));
  unsigned after = 0;
  ASSERT_EQ(::ioctl(file_.get(), FS_IOC_GETFLAGS, &after), 0);
  EXPECT_EQ(after, before);
}

TEST_F(FlagsTest, SetsImmutableAndLeavesTheOthers) {
  ASSERT_TRUE(write_flags(dir_.get(), FS_NODUMP_FL));
  ASSERT_TRUE(set_immutable(dir_.get(), true));
  EXPECT_EQ(read_flags(dir_.get())->flags, std::uint32_t{FS_NODUMP_FL | FS_IMMUTABLE_FL});
  EXPECT_EQ(mkdir_at(DirFd(dir_), "x", 0700).error().value(), EPERM);
  ASSERT_TRUE(set_immutable(dir_.get(), false));
  EXPECT_EQ(read_flags(dir_.get())->flags, std::uint32_t{FS_NODUMP_FL});
}

TEST_F(FlagsTest, NeedsNoPrivilegeToChangeNothing) {
  ASSERT_TRUE(set_immutable(file_.get(), true));
  EXPECT_EQ(test::in_child([&]() -> std::string {
              constexpr uid_t nobody = 65534;
              if (::setresuid(nobody, nobody, nobody) != 0) return "setresuid";
              if (!set_immutable(file_.get(), true)) return "no change was refused";
              const auto change = set_immutable(file_.get(), false);
              if (change) return "a change was allowed";
              const int error = change.error().value();
              return error == EPERM || error == EACCES ? "" : change.error().message();
            }),
            "");
}

TEST(Flags, AreZeroOnNtfs3g) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const TempDir tree;
  if (test::make_image(tree, {"mkfs.ntfs", "-q", "-f", "-F"}) != 0) GTEST_SKIP() << "no mkfs.ntfs";
  const std::string answer = test::in_child([&]() -> std::string {
    if (!test::enter_private_mounts()) return "no private mounts";
    if (!test::mount_image(tree, {"-t", "ntfs-3g", "-o", "loop"})) return "cannot mount";
    std::string text;
    {
      const auto file = create_file_at(DirFd(*open_dir_path(tree.path("m"))), "f", 0600);
      const auto flags = read_flags(file->get());
      text = flags ? std::to_string(flags->flags) : flags.error().message();
      const auto set = set_immutable(file->get(), true);
      text += " " + std::to_string(set ? 0 : set.error().value());
      text += write_flags(file->get(), 0) ? " nothing to do" : " refused";
    }
    test::unmount_image(tree);
    return text;
  });
  if (answer == "cannot mount") GTEST_SKIP() << "no ntfs-3g or no FUSE";
  EXPECT_EQ(answer, "0 " + std::to_string(ENOTSUP) + " nothing to do");
}

TEST(Flags, CarryProjectIds) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const TempDir tree;
  // xfs keeps project ids always, ext4 only where the kernel has quotas.
  if (test::make_image(tree, {"mkfs.xfs", "-q"}) != 0) GTEST_SKIP() << "no mkfs.xfs";
  const std::string answer = test::in_child([&]() -> std::string {
    if (!test::enter_private_mounts()) return "no private mounts";
    if (!test::mount_image(tree, {})) return "cannot mount";
    if (::mkdir(tree.path("m/d").c_str(), 0755) != 0) return "mkdir";
    const auto dir = open_dir_path(tree.path("m/d"));
    if (const auto set = write_project(dir->get(), 77); !set) return set.error().message();
    if (!write_flags(dir->get(), FS_PROJINHERIT_FL)) return "write_flags";
    if (::mkdir(tree.path("m/d/below").c_str(), 0755) != 0) return "mkdir";
    const auto below = read_flags(open_dir_path(tree.path("m/d/below"))->get());
    if (below->project_id != 77 || !below->project_inherit) return "not inherited";
    if (!write_project(dir->get(), 0) || !write_flags(dir->get(), 0)) return "not cleared";
    const auto cleared = read_flags(dir->get());
    return cleared->project_id == 0 && !cleared->project_inherit ? "" : "still there";
  });
  if (answer == "cannot mount") GTEST_SKIP() << "the kernel has no xfs";
  EXPECT_EQ(answer, "");
}

TEST(Flags, AreZeroWhereThereAreNone) {
  const auto none = open_at(DirFd(AT_FDCWD), "/proc/self/status", O_RDONLY);
  ASSERT_TRUE(none);
  const auto flags = read_flags(none->get());
  ASSERT_TRUE(flags) << flags.error().message();
  EXPECT_EQ(flags->flags, 0U);
  EXPECT_EQ(flags->project_id, 0U);
  EXPECT_TRUE(write_flags(none->get(), 0));
  EXPECT_TRUE(write_project(none->get(), 0));
  EXPECT_EQ(write_flags(none->get(), FS_NODUMP_FL).error().value(), ENOTSUP);
  EXPECT_EQ(set_immutable(none->get(), true).error().value(), ENOTSUP);
  EXPECT_EQ(write_project(none->get(), 7).error().value(), ENOTSUP);
  EXPECT_EQ(read_flags(-1).error().value(), EBADF);
}

}  // namespace
}  // namespace holdfast::core
