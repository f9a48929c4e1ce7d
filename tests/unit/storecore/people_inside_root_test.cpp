#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "fixture.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/people/inside_root.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;

/// The path without links; "errno N" when it cannot be followed, "- " in front when nothing is
/// there.
std::string where(DirFd root, std::string_view path) {
  const auto found = resolve_inside(root, path);
  if (!found) return "errno " + std::to_string(found.error().value());
  return (found->exists ? "" : "- ") + found->path;
}
std::string where(const TempDir& tree, std::string_view path) { return where(tree.fd(), path); }

std::string refusal(const TempDir& tree, std::string_view path) {
  const auto file = read_inside(tree.fd(), path);
  if (!file)
    return file.error().reason.empty() ? file.error().cause.message() : file.error().reason;
  return *file ? "read: " + (*file)->bytes : "none";
}

TEST(ResolveInside, GoesWhereThePathSays) {
  const TempDir tree;
  tree.dir("a");
  tree.dir("a/b");
  tree.file("a/f");
  EXPECT_EQ(where(tree, ""), "");
  EXPECT_EQ(where(tree, "/"), "");
  EXPECT_EQ(where(tree, "a/b"), "a/b");
  EXPECT_EQ(where(tree, "//a/./b//"), "a/b");
  EXPECT_EQ(where(tree, "a/b/../f"), "a/f");
  EXPECT_EQ(where(tree, "a/c/d"), "- a/c/d");
  EXPECT_EQ(where(tree, "a/f/d"), "errno " + std::to_string(ENOTDIR));
  EXPECT_EQ(where(tree, "a/f/"), "errno " + std::to_string(ENOTDIR));
  EXPECT_EQ(where(tree, "a/f/.."), "errno " + std::to_string(ENOTDIR));
  EXPECT_EQ(where(tree, "c/../a"), "errno " + std::to_string(ENOENT));
}

TEST(ResolveInside, DotDotNeverLeavesRoot) {
  const TempDir tree;
  tree.dir("top");
  tree.dir("top/a");
  tree.file("outside", "outside");
  const auto root = open_dir_at(tree.fd(), "top");
  ASSERT_TRUE(root);
  const auto up = resolve_inside(*root, "../../a/../..");
  ASSERT_TRUE(up);
  EXPECT_EQ(up->path, "");
  EXPECT_TRUE(up->stat.same_inode(*stat_fd(root->get())));
  const auto out = resolve_inside(*root, "../outside");
  ASSERT_TRUE(out);
  EXPECT_FALSE(out->exists);
  EXPECT_EQ(out->path, "outside");
}

TEST(ResolveInside, AbsoluteTargetsBeginAtRoot) {
  const TempDir tree;
  tree.dir("var");
  tree.dir("var/home");
  tree.dir("var/home/al");
  tree.symlink("var/home", "home");
  tree.symlink("/home/al", "me");
  tree.symlink("/etc", "system");
  tree.symlink("../../../../etc/passwd", "climb");
  EXPECT_EQ(where(tree, "home/al"), "var/home/al");
  EXPECT_EQ(where(tree, "me"), "var/home/al");
  EXPECT_EQ(where(tree, "me/.."), "var/home") << "the parent of what it leads to";
  EXPECT_EQ(where(tree, "system"), "- etc");
  EXPECT_EQ(where(tree, "climb"), "- etc/passwd");
  EXPECT_TRUE(resolve_inside(tree.fd(), "home")->followed);
  EXPECT_FALSE(resolve_inside(tree.fd(), "var/home")->followed);
}

TEST(ResolveInside, FollowsFortyLinksAndNoMore) {
  const TempDir tree;
  tree.file("0");
  for (int i = 1; i <= 41; ++i) tree.symlink(std::to_string(i - 1), std::to_string(i));
  tree.symlink("self", "self");
  tree.symlink("pong", "ping");
  tree.symlink("ping", "pong");
  tree.symlink("grow/grow", "grow");
  const std::string eloop = "errno " + std::to_string(ELOOP);
  EXPECT_EQ(where(tree, "40"), "0");
  EXPECT_EQ(where(tree, "41"), eloop);
  EXPECT_EQ(where(tree, "self"), eloop);
  EXPECT_EQ(where(tree, "ping"), eloop);
  EXPECT_EQ(where(tree, "grow"), eloop);
}

TEST(ResolveInside, IsBounded) {
  const TempDir tree;
  std::string deep = "d";
  tree.dir(deep);
  for (int i = 1; i < 300; ++i) tree.dir(deep += "/d");
  EXPECT_EQ(where(tree, deep.substr(0, 511)), deep.substr(0, 511)) << "256 directories";
  EXPECT_EQ(where(tree, deep), "errno " + std::to_string(ENAMETOOLONG));
  EXPECT_EQ(where(tree, std::string(4096, 'a')), "errno " + std::to_string(ENAMETOOLONG));
  EXPECT_EQ(where(tree, std::string(300, 'a')), "errno " + std::to_string(ENAMETOOLONG));
  EXPECT_EQ(where(tree, std::string("a\0b", 3)), "errno " + std::to_string(EINVAL));
}

TEST(ResolveInside, NamesAreBytes) {
  const TempDir tree;
  tree.dir("a\nb *\xff");
  tree.symlink("/a\nb *\xff", "link");
  EXPECT_EQ(where(tree, "link"), "a\nb *\xff");
}

/// What the kernel makes of it. nullopt: its error.
std::optional<Stat> kernel_finds(const TempDir& tree, const std::string& path, int& error) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  for (;;) {
    const Fd fd(
        static_cast<int>(::syscall(SYS_openat2, tree.fd().fd, path.c_str(), &how, sizeof how)));
    error = fd ? 0 : errno;
    if (fd) return *stat_fd(fd.get());
    // Somebody renamed something, anywhere, while it went through a "..".
    if (error != EAGAIN) return std::nullopt;
  }
}

TEST(ResolveInside, AgreesWithTheKernel) {
  const TempDir tree;
  int error = 0;
  if (!kernel_finds(tree, ".", error)) GTEST_SKIP() << "no openat2: errno " << error;
  std::mt19937 random(20260101);  // NOLINT(bugprone-random-generator-seed): the same each time
  const std::array<std::string, 6> names{"a", "b", "c", "d", "e", "f"};
  const auto below = [&](std::size_t count) { return static_cast<std::size_t>(random() % count); };
  const auto any_path = [&](std::size_t most) {
    std::string path = below(4) == 0 ? "/" : "";
    for (std::size_t i = 0, n = 1 + below(most); i < n; ++i) {
      if (i > 0) path += below(8) == 0 ? "//" : "/";
      const std::size_t kind = below(8);
      path += kind == 0 ? ".." : kind == 1 ? "." : names[below(names.size())];
    }
    return below(10) == 0 ? path + "/" : path;
  };
  std::vector<std::string> dirs{"."};
  for (int i = 0; i < 300; ++i) {
    const std::string name = dirs[below(dirs.size())] + "/" + names[below(names.size())];
    if (stat_at(tree.fd(), name)) continue;
    if (const std::size_t kind = below(8); kind < 4) {
      tree.dir(name);
      dirs.push_back(name);
    } else if (kind == 4) {
      tree.file(name);
    } else {
      tree.symlink(any_path(2), name);
    }
  }
  int found_count = 0;
  int links = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string path = any_path(5);
    const auto expected = kernel_finds(tree, path, error);
    const auto found = resolve_inside(tree.fd(), path);
    if (!expected) {
      // Where nothing is, the kernel says ENOENT and we say where it would be.
      const int ours = found ? (found->exists ? 0 : ENOENT) : found.error().value();
      EXPECT_EQ(ours, error) << path;
      continue;
    }
    ASSERT_TRUE(found) << path;
    ASSERT_TRUE(found->exists) << path;
    EXPECT_TRUE(found->stat.same_inode(*expected)) << path << " is not " << found->path;
    // And its plain name is a name of the same thing, without a link on the way.
    const auto again = resolve_inside(tree.fd(), found->path);
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->followed);
    EXPECT_TRUE(again->stat.same_inode(*expected));
    ++found_count;
    links += found->followed ? 1 : 0;
  }
  EXPECT_GT(found_count, 500);
  EXPECT_GT(links, 100);
}

TEST(ResolveInside, MagicLinksAreTextBelowRoot) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: proc is mounted";
  const TempDir tree;
  tree.dir("proc");
  tree.symlink("/proc/self/root/etc", "home");
  tree.symlink("/proc/self/cwd", "here");
  EXPECT_EQ(test::in_child([&]() -> std::string {
              if (!test::enter_private_mounts()) return "no private mounts";
              if (::mount("proc", tree.path("proc").c_str(), "proc", 0, nullptr) != 0) {
                return "mount";
              }
              if (::chdir("/usr") != 0) return "chdir";
              const auto root = open_dir_path(tree.path());  // of this namespace
              if (where(*root, "home") != "- etc") return where(*root, "home");
              return where(*root, "here") == "- usr" ? "" : where(*root, "here");
            }),
            "");
}

TEST(ReadInside, ReadsRegularFiles) {
  const TempDir tree;
  tree.dir("usr");
  tree.file("usr/passwd", "text");
  tree.dir("etc");
  tree.symlink("../usr/passwd", "etc/passwd");
  tree.symlink("/usr/passwd", "etc/absolute");
  tree.file("top", "at the top");
  EXPECT_EQ(refusal(tree, "etc/passwd"), "read: text");
  EXPECT_EQ(refusal(tree, "etc/absolute"), "read: text");
  EXPECT_EQ(refusal(tree, "top"), "read: at the top");
  EXPECT_EQ(refusal(tree, "etc/group"), "none");
  EXPECT_EQ(refusal(tree, "nowhere/group"), "none");
  EXPECT_EQ(refusal(tree, "top/group"), "none");
}

TEST(ReadInside, RefusesWhatIsNoPlainFileWithoutWaiting) {
  const TempDir tree;
  tree.dir("dir");
  tree.fifo("fifo");
  tree.symlink("fifo", "to-fifo");
  tree.symlink("/etc/passwd", "outside");
  tree.symlink("loop", "loop");
  tree.file("huge");
  ASSERT_EQ(::truncate(tree.path("huge").c_str(), off_t{kMaxInsideBytes} + 1), 0);
  tree.file("large");
  ASSERT_EQ(::truncate(tree.path("large").c_str(), off_t{kMaxInsideBytes}), 0);
  EXPECT_EQ(refusal(tree, "fifo"), "is no regular file");
  EXPECT_EQ(refusal(tree, "to-fifo"), "is no regular file");
  EXPECT_EQ(refusal(tree, "dir"), "is no regular file");
  EXPECT_EQ(refusal(tree, ""), "is no regular file");
  EXPECT_EQ(refusal(tree, "huge"), "is larger than 16 MiB");
  EXPECT_EQ(refusal(tree, "large").size(), std::string_view("read: ").size() + kMaxInsideBytes);
  EXPECT_EQ(refusal(tree, "outside"), "is a link to etc/passwd, which is not there inside ROOT");
  EXPECT_EQ(refusal(tree, "loop"), "Too many levels of symbolic links");
}

TEST(ReadInside, OpensNoDevice) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a device node is made";
  const TempDir tree;
  if (::mknod(tree.path("null").c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) {
    GTEST_SKIP() << "no device nodes here: errno " << errno;
  }
  EXPECT_EQ(refusal(tree, "null"), "is no regular file");
}

}  // namespace
}  // namespace holdfast::core
