#include "storecore/os/at_calls.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not C
#include <stdio.h>   // NOLINT(modernize-deprecated-headers): renameat2() is not C either
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "catalog/records.hpp"
#include "fixture.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;

int error_of(const SysStatus& result) { return result ? 0 : result.error().value(); }
template <class T>
int error_of(const SysResult<T>& result) {
  return result ? 0 : result.error().value();
}

TEST(Fd, ClosesWhatItOwnsAndNothingElse) {
  const int number = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  {
    Fd first(number);
    const Fd second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is the promise
    EXPECT_EQ(second.get(), number);
  }
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  Fd released(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int kept = released.release();
  released.reset();
  EXPECT_NE(::fcntl(kept, F_GETFD), -1);
  ::close(kept);
}

TEST(Fd, MoveAssignmentClosesTheOldOne) {
  Fd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int old = first.get();
  first = Fd(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_NE(first.get(), old);
  EXPECT_EQ(::fcntl(old, F_GETFD), -1);
}

TEST(RaiseFdLimit, ReachesTheHardLimitAndLeavesNoDescriptorOpen) {
  EXPECT_EQ(test::in_child([]() -> std::string {
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 64;
              if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return "setrlimit";
              const int before = ::dup(0);
              ::close(before);
              if (raise_fd_limit() != limit.rlim_max) return "not the hard limit";
              rlimit now{};
              ::getrlimit(RLIMIT_NOFILE, &now);
              if (now.rlim_cur != limit.rlim_max) return "soft limit not raised";
              const int after = ::dup(0);
              return after == before ? "" : "a descriptor was left open";
            }),
            "");
}

TEST(OpenDirAt, RefusesSymlinksAndFiles) {
  const TempDir tree;
  tree.dir("d");
  tree.file("f");
  tree.symlink("d", "l");
  const auto dir = open_dir_at(tree.fd(), "d");
  ASSERT_TRUE(dir);
  EXPECT_NE(::fcntl(dir->get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(error_of(open_dir_at(tree.fd(), "l")), ENOTDIR);
  EXPECT_EQ(error_of(open_dir_at(tree.fd(), "f")), ENOTDIR);
  EXPECT_EQ(error_of(open_dir_at(tree.fd(), "none")), ENOENT);
}

TEST(OpenDirPath, FollowsSymlinks) {
  const TempDir tree;
  tree.dir("d");
  tree.symlink("d", "l");
  EXPECT_TRUE(open_dir_path(tree.path("l")));
  EXPECT_EQ(error_of(open_dir_path(tree.path("none"))), ENOENT);
}

TEST(OpenFileAt, DoesNotHangOnAFifoAndRefusesSymlinks) {
  const TempDir tree;
  tree.fifo("p");
  tree.file("f", "content");
  tree.symlink("f", "l");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(open_file_at(tree.fd(), "p"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_EQ(error_of(open_file_at(tree.fd(), "l")), ELOOP);
  EXPECT_TRUE(open_file_at(tree.fd(), "f"));
}

TEST(OpenFileAt, DoesNotWaitForAWriteLease) {
  const TempDir tree;
  tree.file("f", "content");
  const Fd holder(::openat(tree.fd().fd, "f", O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::fcntl(holder.get(), F_SETLEASE, F_WRLCK), 0);
  const auto previous = ::signal(SIGIO, SIG_IGN);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of(open_file_at(tree.fd(), "f")), EAGAIN);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  ::fcntl(holder.get(), F_SETLEASE, F_UNLCK);
  ::signal(SIGIO, previous);
}

TEST(OpenFileAt, LeavesTheAccessTimeAlone) {
  const TempDir tree;
  tree.file("f", "content");
  const catalog::Timestamp old{.seconds = 1000, .nanoseconds = 5};
  ASSERT_TRUE(set_times_at(tree.fd(), "f", old, {}));
  const auto file = open_file_at(tree.fd(), "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(read_all(file->get(), 100).value(), "content");
  EXPECT_EQ(stat_at(tree.fd(), "f")->atime, old);
}

TEST(OpenFileAt, ReadsFilesOfOthersWithoutNoAtime) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a second user is played";
  const TempDir tree;
  tree.file("f", "content");
  ASSERT_EQ(::chmod(tree.path().c_str(), 0755), 0);
  tree.dir("d");
  EXPECT_EQ(test::in_child([&]() -> std::string {
              constexpr uid_t nobody = 65534;
              if (::setresuid(nobody, nobody, nobody) != 0) return "setresuid";
              if (!open_file_at(tree.fd(), "f")) return "file";
              if (!open_dir_at(tree.fd(), "d")) return "directory";
              return {};
            }),
            "");
}

TEST(OpenPathAt, PinsAnEntryOfAnyType) {
  const TempDir tree;
  tree.fifo("p");
  tree.symlink("nowhere", "l");
  const auto fifo = open_path_at(tree.fd(), "p");
  const auto link = open_path_at(tree.fd(), "l");
  ASSERT_TRUE(fifo);
  ASSERT_TRUE(link);
  EXPECT_EQ(file_type(*stat_fd(fifo->get())), catalog::FileType::kFifo);
  EXPECT_EQ(file_type(*stat_fd(link->get())), catalog::FileType::kSymlink);
}

TEST(CreateFileAt, NeverOpensWhatIsThere) {
  const TempDir tree;
  tree.symlink("target", "l");
  const auto file = create_file_at(tree.fd(), "f", 0640);
  ASSERT_TRUE(file);
  EXPECT_TRUE(write_all(file->get(), "abc"));
  EXPECT_EQ(error_of(create_file_at(tree.fd(), "f", 0640)), EEXIST);
  EXPECT_EQ(error_of(create_file_at(tree.fd(), "l", 0640)), EEXIST);
  EXPECT_EQ(tree.content("f"), "abc");
}

TEST(OpenAt, AddsNoFollowToTheFlagsGiven) {
  const TempDir tree;
  tree.file("f");
  tree.symlink("f", "l");
  EXPECT_EQ(error_of(open_at(tree.fd(), "l", O_RDONLY)), ELOOP);
  const auto file = open_at(tree.fd(), "new", O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE(file);
  EXPECT_EQ(stat_fd(file->get())->mode, 0600U);
}

TEST(LinkAt, LinksASymlinkItself) {
  const TempDir tree;
  tree.file("f", "x");
  tree.symlink("f", "l");
  ASSERT_TRUE(link_at(tree.fd(), "l", tree.fd(), "l2"));
  const auto second = stat_at(tree.fd(), "l2");
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->is_symlink());
  EXPECT_TRUE(second->same_inode(*stat_at(tree.fd(), "l")));
  EXPECT_EQ(stat_at(tree.fd(), "f")->links, 1U);
  EXPECT_EQ(error_of(link_at(tree.fd(), "f", tree.fd(), "l")), EEXIST);
}

TEST(RenameNoReplace, KeepsAnExistingTarget) {
  const TempDir tree;
  tree.file("a", "1");
  tree.file("b", "2");
  EXPECT_EQ(error_of(rename_no_replace(tree.fd(), "a", tree.fd(), "b")), EEXIST);
  EXPECT_EQ(tree.content("b"), "2");
  EXPECT_TRUE(rename_no_replace(tree.fd(), "a", tree.fd(), "c"));
  EXPECT_EQ(tree.content("c"), "1");
  EXPECT_TRUE(rename_replace(tree.fd(), "c", tree.fd(), "b"));
  EXPECT_EQ(tree.content("b"), "1");
}

TEST(RenameNoReplace, SaysWhatTheKernelSaysOfADirectoryIntoItself) {
  // EINVAL also means "no such flag": the second try must not turn this into success.
  const TempDir tree;
  tree.dir("d");
  const auto dir = open_dir_at(tree.fd(), "d");
  EXPECT_EQ(error_of(rename_no_replace(tree.fd(), "d", DirFd(*dir), "below")), EINVAL);
  EXPECT_TRUE(stat_at(tree.fd(), "d"));
}

TEST(RenameNoReplace, WorksWhereTheFilesystemHasNoSuchFlag) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const TempDir tree;
  if (test::make_image(tree, {"mkfs.ntfs", "-q", "-f", "-F"}) != 0) GTEST_SKIP() << "no mkfs.ntfs";
  const std::string answer = test::in_child([&]() -> std::string {
    if (!test::enter_private_mounts()) return "no private mounts";
    if (!test::mount_image(tree, {"-t", "ntfs-3g", "-o", "loop"})) return "cannot mount";
    std::string text;
    {
      const auto root = open_dir_path(tree.path("m"));
      const DirFd dir(*root);
      for (const char* name : {"a", "b"}) {
        if (!write_all(create_file_at(dir, name, 0600)->get(), name)) text = "cannot write ";
      }
      const bool flag_missing =
          ::renameat2(dir.fd, "a", dir.fd, "c", RENAME_NOREPLACE) != 0 && errno == EINVAL;
      text += flag_missing ? "no flag " : "has the flag ";
      text += std::to_string(error_of(rename_no_replace(dir, "a", dir, "b"))) + " ";
      text += std::to_string(error_of(rename_no_replace(dir, "a", dir, "c"))) + " ";
      text += read_all(open_file_at(dir, "b")->get(), 9).value();
      text += read_all(open_file_at(dir, "c")->get(), 9).value();
    }
    test::unmount_image(tree);
    return text;
  });
  if (answer == "cannot mount") GTEST_SKIP() << "no ntfs-3g or no FUSE";
  EXPECT_EQ(answer, "no flag " + std::to_string(EEXIST) + " 0 ba");
}

TEST(AtCalls, MakesAndRemovesEntries) {
  const TempDir tree;
  EXPECT_TRUE(mkdir_at(tree.fd(), "d", 0700));
  EXPECT_EQ(error_of(mkdir_at(tree.fd(), "d", 0700)), EEXIST);
  tree.file("d/f");
  EXPECT_EQ(error_of(rmdir_at(tree.fd(), "d")), ENOTEMPTY);
  EXPECT_EQ(error_of(unlink_at(tree.fd(), "d")), EISDIR);
  const auto dir = open_dir_at(tree.fd(), "d");
  EXPECT_TRUE(unlink_at(DirFd(*dir), "f"));
  EXPECT_TRUE(rmdir_at(tree.fd(), "d"));
  EXPECT_TRUE(mknod_at(tree.fd(), "p", S_IFIFO | 0600, 0));
  EXPECT_EQ(file_type(*stat_at(tree.fd(), "p")), catalog::FileType::kFifo);
}

TEST(MknodAt, KeepsBothHalvesOfTheDeviceNumber) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: device nodes are made";
  const TempDir tree;
  const std::uint64_t rdev = std::uint64_t{259} << 32 | 70'000;
  ASSERT_TRUE(mknod_at(tree.fd(), "b", S_IFBLK | 0600, rdev));
  const auto stat = stat_at(tree.fd(), "b");
  EXPECT_EQ(file_type(*stat), catalog::FileType::kBlock);
  EXPECT_EQ(stat->rdev, rdev);
}

TEST(ReadlinkAt, ReadsTargetsOfAnyLength) {
  const TempDir tree;
  for (const std::size_t length : {1U, 255U, 256U, 257U, 4000U}) {
    const std::string target(length, 't');
    const std::string name = "l" + std::to_string(length);
    const SysStatus made = symlink_at(target.c_str(), tree.fd(), name.c_str());
    if (!made && made.error().value() == ENAMETOOLONG) continue;  // ext4 stops at a block
    ASSERT_TRUE(made) << length;
    EXPECT_EQ(readlink_at(tree.fd(), name.c_str()).value(), target);
  }
  tree.file("f");
  EXPECT_EQ(error_of(readlink_at(tree.fd(), "f")), EINVAL);
}

TEST(AtCalls, CarriesNamesWithControlBytes) {
  const TempDir tree;
  std::string name;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte != '/' && name.size() < NAME_MAX) name.push_back(static_cast<char>(byte));
  }
  tree.file(name, "x");
  EXPECT_TRUE(link_at(tree.fd(), name.c_str(), tree.fd(), "\x1b[31m\n"));
  EXPECT_EQ(stat_at(tree.fd(), name)->links, 2U);
  EXPECT_EQ(tree.content("\x1b[31m\n"), "x");
}

TEST(SetTimes, LeavesOutWhatIsNotGiven) {
  const TempDir tree;
  tree.file("f");
  const auto file = open_at(tree.fd(), "f", O_RDONLY);
  const catalog::Timestamp atime{.seconds = -5, .nanoseconds = 7};
  const catalog::Timestamp mtime{.seconds = 4'000'000'000, .nanoseconds = 999'999'999};
  ASSERT_TRUE(set_times_fd(file->get(), atime, mtime));
  ASSERT_TRUE(set_times_fd(file->get(), {}, {}));
  EXPECT_EQ(stat_at(tree.fd(), "f")->atime, atime);
  EXPECT_EQ(stat_at(tree.fd(), "f")->mtime, mtime);
  const catalog::Timestamp other{.seconds = 3, .nanoseconds = 4};
  ASSERT_TRUE(set_times_at(tree.fd(), "f", other, {}));
  EXPECT_EQ(stat_at(tree.fd(), "f")->atime, other);
  EXPECT_EQ(stat_at(tree.fd(), "f")->mtime, mtime);
}

TEST(SetTimes, TakesNoNumberForAWord) {
  const TempDir tree;
  tree.file("f");
  const catalog::Timestamp now{.seconds = 1, .nanoseconds = UTIME_NOW};
  const catalog::Timestamp omit{.seconds = 1, .nanoseconds = UTIME_OMIT};
  EXPECT_EQ(error_of(set_times_at(tree.fd(), "f", now, {})), EINVAL);
  EXPECT_EQ(error_of(set_times_at(tree.fd(), "f", {}, omit)), EINVAL);
}

TEST(SetTimes, ReachesTheSymlinkItself) {
  const TempDir tree;
  tree.file("f");
  tree.symlink("f", "l");
  const catalog::Timestamp time{.seconds = 77, .nanoseconds = 8};
  ASSERT_TRUE(set_times_at(tree.fd(), "l", time, time));
  EXPECT_EQ(stat_at(tree.fd(), "l")->mtime, time);
  EXPECT_NE(stat_at(tree.fd(), "f")->mtime, time);
}

TEST(SetTimes, WorksOnDirectories) {
  const TempDir tree;
  tree.dir("d");
  const auto dir = open_dir_at(tree.fd(), "d");
  const catalog::Timestamp time{.seconds = 88, .nanoseconds = 9};
  ASSERT_TRUE(set_times_fd(dir->get(), time, time));
  ASSERT_TRUE(chmod_fd(dir->get(), 01751));
  EXPECT_EQ(stat_at(tree.fd(), "d")->mtime, time);
  EXPECT_EQ(stat_at(tree.fd(), "d")->mode, 01751U);
}

TEST(ChownAt, ReachesTheSymlinkItself) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: owners are changed";
  const TempDir tree;
  tree.file("f");
  tree.symlink("f", "l");
  ASSERT_TRUE(chown_at(tree.fd(), "l", 1234, 5678));
  EXPECT_EQ(stat_at(tree.fd(), "l")->uid, 1234U);
  EXPECT_EQ(stat_at(tree.fd(), "l")->gid, 5678U);
  EXPECT_EQ(stat_at(tree.fd(), "f")->uid, 0U);
  const auto file = open_at(tree.fd(), "f", O_RDONLY);
  ASSERT_TRUE(chown_fd(file->get(), 12, 34));
  EXPECT_EQ(stat_at(tree.fd(), "f")->uid, 12U);
  EXPECT_EQ(stat_at(tree.fd(), "f")->gid, 34U);
}

TEST(ReadAndWrite, MoveEverythingAndStopAtTheEnd) {
  const TempDir tree;
  const auto file = open_at(tree.fd(), "f", O_RDWR | O_CREAT, 0600);
  std::string big(300'000, 'a');
  big[299'999] = 'z';
  ASSERT_TRUE(write_all(file->get(), big));
  ASSERT_TRUE(pwrite_all(file->get(), "XY", 100'000));
  EXPECT_TRUE(write_all(file->get(), ""));
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(pread_some(file->get(), buffer, 99'999).value(), 4U);
  EXPECT_EQ(static_cast<char>(buffer[1]), 'X');
  EXPECT_EQ(pread_some(file->get(), buffer, 299'998).value(), 2U);
  EXPECT_EQ(pread_some(file->get(), buffer, 300'000).value(), 0U);
  EXPECT_EQ(read_some(file->get(), buffer).value(), 0U);
  EXPECT_EQ(error_of(pread_some(file->get(), buffer, UINT64_MAX)), EINVAL);
  EXPECT_EQ(error_of(pwrite_all(file->get(), "x", UINT64_MAX)), EFBIG);
}

TEST(ReadAll, RefusesMoreThanTheLimit) {
  const TempDir tree;
  tree.file("f", std::string(200'000, 'q'));
  const auto at_limit = open_at(tree.fd(), "f", O_RDONLY);
  EXPECT_EQ(read_all(at_limit->get(), 200'000)->size(), 200'000U);
  const auto above = open_at(tree.fd(), "f", O_RDONLY);
  EXPECT_EQ(error_of(read_all(above->get(), 199'999)), EFBIG);
}

TEST(WriteAll, ReportsAFullDisk) {
  const auto full = open_at(DirFd(AT_FDCWD), "/dev/full", O_WRONLY);
  ASSERT_TRUE(full);
  EXPECT_EQ(error_of(write_all(full->get(), "x")), ENOSPC);
}

TEST(Barriers, SucceedOnFilesAndDirectories) {
  const TempDir tree;
  const auto file = create_file_at(tree.fd(), "f", 0600);
  EXPECT_TRUE(fdatasync_fd(file->get()));
  EXPECT_TRUE(fsync_fd(file->get()));
  EXPECT_TRUE(fsync_fd(tree.fd().fd));
  EXPECT_EQ(error_of(syncfs_fd(-1)), EBADF);
}

TEST(OpenDirBelow, FollowsNoSymlinkAndTakesOnlyComponents) {
  const TempDir tree;
  tree.dir("a");
  tree.dir("a/b");
  tree.symlink("a", "l");
  const auto below = [&](const std::vector<std::string>& path) {
    return error_of(open_dir_below(tree.fd(), path));
  };
  EXPECT_EQ(below({"a", "b"}), 0);
  EXPECT_EQ(below({}), 0);
  EXPECT_EQ(below({"l", "b"}), ENOTDIR);
  EXPECT_EQ(below({"a", ".."}), EINVAL);
  EXPECT_EQ(below({"a/b"}), EINVAL);
  EXPECT_EQ(below({std::string("a\0b", 3)}), EINVAL);
  EXPECT_EQ(below({"a", "none"}), ENOENT);
}

TEST(OpenDirBelow, GoesDeeperThanPathMax) {
  const TempDir tree;
  constexpr std::size_t depth = 3000;
  const std::vector<std::string> path(depth, "level");
  static_assert(depth * 6 > PATH_MAX);
  auto dir = open_dir_at(tree.fd(), ".");
  for (const std::string& name : path) {
    ASSERT_TRUE(mkdir_at(DirFd(*dir), name.c_str(), 0700));
    dir = open_dir_at(DirFd(*dir), name.c_str());
    ASSERT_TRUE(dir);
  }
  const auto deepest = open_dir_below(tree.fd(), path);
  ASSERT_TRUE(deepest);
  EXPECT_TRUE(stat_fd(deepest->get())->same_inode(*stat_fd(dir->get())));
}

TEST(SpaceOf, AgreesWithStatfs) {
  const TempDir tree;
  const auto space = space_of(tree.fd().fd);
  struct statfs info{};
  ASSERT_EQ(::fstatfs(tree.fd().fd, &info), 0);
  ASSERT_TRUE(space);
  EXPECT_EQ(space->fs_magic, info.f_type);
  EXPECT_EQ(space->total_bytes, info.f_blocks * static_cast<std::uint64_t>(info.f_frsize));
  EXPECT_LE(space->free_bytes, space->total_bytes);
  EXPECT_GT(space->free_inodes, 0U);
  EXPECT_EQ(error_of(space_of(-1)), EBADF);
}

}  // namespace
}  // namespace holdfast::core
