#include "storecore/os/stat.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "catalog/records.hpp"
#include "fixture.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;

TEST(Stat, AgreesWithLstat) {
  const TempDir tree;
  tree.file("f", "12345");
  tree.symlink("f", "l");
  tree.dir("d");
  for (const std::string name : {"f", "l", "d"}) {
    struct stat expected{};
    ASSERT_EQ(::lstat(tree.path(name).c_str(), &expected), 0);
    const auto stat = stat_at(tree.fd(), name);
    ASSERT_TRUE(stat);
    EXPECT_EQ(stat->type_bits | stat->mode, expected.st_mode);
    EXPECT_EQ(stat->inode, expected.st_ino);
    EXPECT_EQ(stat->size, static_cast<std::uint64_t>(expected.st_size));
    EXPECT_EQ(stat->blocks, static_cast<std::uint64_t>(expected.st_blocks));
    EXPECT_EQ(stat->links, expected.st_nlink);
    EXPECT_EQ(stat->uid, expected.st_uid);
    EXPECT_EQ(stat->gid, expected.st_gid);
    EXPECT_EQ(stat->device, std::uint64_t{major(expected.st_dev)} << 32 | minor(expected.st_dev));
    EXPECT_EQ(stat->mtime.seconds, expected.st_mtim.tv_sec);
    EXPECT_EQ(stat->mtime.nanoseconds, static_cast<std::uint32_t>(expected.st_mtim.tv_nsec));
    EXPECT_EQ(stat->ctime.seconds, expected.st_ctim.tv_sec);
    EXPECT_NE(stat->mount_id, 0U);
  }
}

TEST(Stat, FollowsNoSymlinkButOnCommandLinePaths) {
  const TempDir tree;
  tree.file("f");
  tree.symlink("f", "l");
  EXPECT_TRUE(stat_at(tree.fd(), "l")->is_symlink());
  EXPECT_TRUE(stat_path(tree.path("l"))->is_regular());
}

TEST(Stat, NamesEveryType) {
  const TempDir tree;
  tree.file("f");
  tree.dir("d");
  tree.symlink("f", "l");
  tree.fifo("p");
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string place = tree.path("s");
  ASSERT_LT(place.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, place.c_str(), place.size() + 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);

  using catalog::FileType;
  EXPECT_EQ(file_type(*stat_at(tree.fd(), "f")), FileType::kFile);
  EXPECT_EQ(file_type(*stat_at(tree.fd(), "d")), FileType::kDirectory);
  EXPECT_EQ(file_type(*stat_at(tree.fd(), "l")), FileType::kSymlink);
  EXPECT_EQ(file_type(*stat_at(tree.fd(), "p")), FileType::kFifo);
  EXPECT_EQ(file_type(*stat_at(tree.fd(), "s")), std::nullopt);
  EXPECT_TRUE(stat_at(tree.fd(), "s")->is_socket());
  EXPECT_TRUE(stat_at(tree.fd(), "d")->is_directory());
  const auto null = stat_path("/dev/null");
  EXPECT_EQ(file_type(*null), FileType::kChar);
  EXPECT_EQ(null->rdev, std::uint64_t{1} << 32 | 3);
}

TEST(Stat, SaysWhatIsGone) {
  const TempDir tree;
  EXPECT_EQ(stat_at(tree.fd(), "none").error().value(), ENOENT);
  EXPECT_EQ(stat_fd(-1).error().value(), EBADF);
  EXPECT_EQ(stat_path(tree.path("none")).error().value(), ENOENT);
}

TEST(Stat, TellsMountsOfOneFilesystemApart) {
  EXPECT_TRUE(stat_path("/proc")->is_mount_root());
  EXPECT_FALSE(stat_path("/proc/self/status")->is_mount_root());
  if (!test::is_root()) GTEST_SKIP() << "needs root: a bind mount is made";
  const TempDir tree;
  tree.dir("a");
  tree.dir("b");
  EXPECT_EQ(test::in_child([&]() -> std::string {
              if (!test::enter_private_mounts()) return "no private mounts";
              if (test::run_program({"mount", "--bind", tree.path("a"), tree.path("b")}) != 0) {
                return "mount --bind";
              }
              // Through a descriptor from before the mount, "b" is still looked up as a name.
              const auto first = stat_at(tree.fd(), "a");
              const auto second = stat_path(tree.path("b"));
              if (!first->same_inode(*second)) return "not the same inode";
              if (first->same_volume(*second)) return "the same volume";
              return second->is_mount_root() ? "" : "not a mount root";
            }),
            "");
}

TEST(Stat, ShowsFlags) {
  const TempDir tree;
  tree.file("f");
  if (test::run_program({"chattr", "+i", tree.path("f")}) != 0) {
    GTEST_SKIP() << "needs CAP_LINUX_IMMUTABLE and a filesystem that has flags";
  }
  EXPECT_TRUE(stat_at(tree.fd(), "f")->is_immutable());
  EXPECT_FALSE(stat_at(tree.fd(), "f")->is_append_only());
  EXPECT_EQ(test::run_program({"chattr", "-i", "+a", tree.path("f")}), 0);
  EXPECT_FALSE(stat_at(tree.fd(), "f")->is_immutable());
  EXPECT_TRUE(stat_at(tree.fd(), "f")->is_append_only());
  EXPECT_EQ(test::run_program({"chattr", "-a", tree.path("f")}), 0);
}

}  // namespace
}  // namespace holdfast::core
