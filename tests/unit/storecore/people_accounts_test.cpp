#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "storecore/people/accounts.hpp"
#include "storecore/people/user_dirs.hpp"

namespace holdfast::core {
namespace {

using Lines = std::vector<LineFaults::One>;

TEST(ParsePasswd, ReadsEveryField) {
  const auto file = parse_passwd(
      "root:x:0:0:root:/root:/bin/bash\n"
      "al:x:1000:1001:Al Ice,,,:/home/al:/bin/zsh");
  ASSERT_EQ(file.entries.size(), 2U) << "the last line needs no newline";
  EXPECT_EQ(file.entries[1], (Account{.name = "al",
                                      .password = Password::kUnknown,
                                      .uid = 1000,
                                      .gid = 1001,
                                      .comment = "Al Ice,,,",
                                      .home = "/home/al",
                                      .shell = "/bin/zsh",
                                      .line = 2}));
  EXPECT_EQ(file.bad.count, 0U);
}

TEST(ParsePasswd, PassesOverWhatIsNoAccount) {
  const auto file = parse_passwd(
      "\n# comment\n  \n+\n+::::::\n-guest\n+@staff::::::\n  al:x:1000:1000::/home/al:\n");
  ASSERT_EQ(file.entries.size(), 1U);
  EXPECT_EQ(file.entries[0].name, "al") << "blanks in front are nothing, as in glibc";
  EXPECT_EQ(file.entries[0].line, 8U);
  EXPECT_EQ(file.entries[0].shell, "");
  EXPECT_EQ(file.bad.count, 0U);
}

TEST(ParsePasswd, NamesBadLinesAndReadsOn) {
  const auto file = parse_passwd(std::string("al:x:1000\n"
                                             ":x:1:1::/:\n"
                                             "a:x:one:1::/:\n"
                                             "b:x:1:-1::/:\n"
                                             "c:x:4294967295:1::/:\n"
                                             "d:x:99999999999:1::/:\n"
                                             "e:x:1 :1::/:\n") +
                                 std::string("f\0:x:1:1::/:\n", 13) + "g:x:4294967294:1::/:\n");
  EXPECT_EQ(file.bad.first, (Lines{{1, "has too few fields"},
                                   {2, "has no name"},
                                   {3, "has no number as its user id"},
                                   {4, "has no number as its group"},
                                   {5, "has no number as its user id"},
                                   {6, "has no number as its user id"},
                                   {7, "has no number as its user id"},
                                   {8, "holds a NUL byte"}}));
  ASSERT_EQ(file.entries.size(), 1U);
  EXPECT_EQ(file.entries[0].uid, 4'294'967'294U);
}

TEST(ParsePasswd, TakesTheShellMissingAndColonsInIt) {
  const auto file = parse_passwd("a:x:1:1::/a\nb:x:2:2::/b:/bin/sh:more\n");
  ASSERT_EQ(file.entries.size(), 2U);
  EXPECT_EQ(file.entries[0].shell, "");
  EXPECT_EQ(file.entries[1].shell, "/bin/sh:more");
}

TEST(ParsePasswd, OfOneNameTheFirstLineWins) {
  const auto file =
      parse_passwd("al:x:1000:1000::/home/al:\nbo:x:1001:1001::/home/bo:\nal:x:0:0::/:\n");
  ASSERT_EQ(file.entries.size(), 2U);
  EXPECT_EQ(file.entries[0].uid, 1000U);
  EXPECT_EQ(file.repeated.first, (Lines{{3, "the name is on line 1 too"}}));
}

TEST(ParsePasswd, CountsRubbishAndKeepsTheFirstOfIt) {
  std::string rubbish;
  for (int i = 0; i < 5000; ++i) rubbish += "\x01\xff\xfe:\n";
  const auto file = parse_passwd(rubbish);
  EXPECT_TRUE(file.entries.empty());
  EXPECT_EQ(file.bad.count, 5000U);
  EXPECT_EQ(file.bad.first.size(), LineFaults::kMaxKept);
}

TEST(ParsePasswd, NamesAreBytes) {
  const auto file = parse_passwd("a b\xff*:x:1000:1000::/home/ * \xff:\n");
  ASSERT_EQ(file.entries.size(), 1U);
  EXPECT_EQ(file.entries[0].name, "a b\xff*");
  EXPECT_EQ(file.entries[0].home, "/home/ * \xff");
}

TEST(ParseGroup, ReadsMembers) {
  const auto file = parse_group("staff:x:50:al,,bo\nempty:x:51:\nshort:x:52\nbad:x:no:\n+\n");
  ASSERT_EQ(file.entries.size(), 3U);
  EXPECT_EQ(file.entries[0],
            (Group{.name = "staff", .gid = 50, .members = {"al", "bo"}, .line = 1}));
  EXPECT_TRUE(file.entries[1].members.empty());
  EXPECT_TRUE(file.entries[2].members.empty());
  EXPECT_EQ(file.bad.first, (Lines{{4, "has no number as its group id"}}));
}

TEST(Accounts, AreFoundByNameAndNumber) {
  const Accounts accounts(
      parse_passwd("root:x:0:0::/root:\ntoor:x:0:0::/root:\nal:x:1000:1000::/home/al:\n").entries);
  ASSERT_NE(accounts.find_name("toor"), nullptr);
  EXPECT_EQ(accounts.find_id(0)->name, "root") << "the first of several";
  EXPECT_EQ(accounts.find_id(1000)->name, "al");
  EXPECT_EQ(accounts.find_id(1001), nullptr);
  EXPECT_EQ(accounts.find_name("Al"), nullptr);
  const Accounts copy = accounts;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_EQ(copy.find_name("al"), &copy.all()[2]);
}

TEST(AddPasswords, SaysWhetherSomebodyCouldLogIn) {
  auto accounts = parse_passwd(
                      "a:x:1:1::/:\nb:x:2:2::/:\nc:x:3:3::/:\nd:x:4:4::/:\ne:x:5:5::/:\n"
                      "f:$1$old:6:6::/:\ng::7:7::/:\nh:*:8:8::/:\ni:x:9:9::/:\n")
                      .entries;
  add_passwords(
      "a:$y$j9T$hash:19000:0:99999:7:::\nb:!$y$j9T$hash:1::::::\nc:*:1::::::\nd::1::::::\n"
      "f:*:1::::::\nrubbish\n+\na:*:1::::::\ni:x:1::::::\n",
      accounts);
  const std::vector<Password> expected{Password::kUsable, Password::kLocked,  Password::kLocked,
                                       Password::kEmpty,  Password::kUnknown, Password::kUsable,
                                       Password::kEmpty,  Password::kLocked,  Password::kLocked};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(accounts[i].password, expected[i]) << accounts[i].name;
  }
}

TEST(ParseUidRange, ReadsLoginDefs) {
  EXPECT_EQ(parse_uid_range(""), (UidRange{1000, 60000}));
  EXPECT_EQ(parse_uid_range("#UID_MIN 1\nUID_MIN\t\t\t  500\nSYS_UID_MIN 2\nUID_MAX 0x7d0\n"),
            (UidRange{500, 2000}));
  EXPECT_EQ(parse_uid_range("UID_MIN 010\n"), (UidRange{8, 60000}));
  EXPECT_EQ(parse_uid_range("UID_MIN \"600\" # people\r\n"), (UidRange{600, 60000}));
  EXPECT_EQ(parse_uid_range("UID_MIN many\nUID_MAX\nUID_MAX 70000\n"), (UidRange{1000, 70000}));
  EXPECT_EQ(parse_uid_range("UID_MIN 5000\nUID_MAX 4000\n"), (UidRange{1000, 60000}))
      << "a range of nobody is a mistake";
}

TEST(IsPerson, IsRootAndWhoIsInTheRange) {
  const UidRange range{.min = 1000, .max = 70000};
  const auto person = [&](std::uint32_t uid) { return is_person({.uid = uid}, range); };
  EXPECT_TRUE(person(0));
  EXPECT_FALSE(person(1));
  EXPECT_FALSE(person(999));
  EXPECT_TRUE(person(1000));
  EXPECT_TRUE(person(70000));
  EXPECT_FALSE(person(70001));
  EXPECT_FALSE(person(65534)) << "nobody";
}

TEST(ParseUserDirs, ReadsWhatXdgUserDirsWrites) {
  const auto dirs = parse_user_dirs(
      "# This file is written by xdg-user-dirs-update\n"
      "# Format is XDG_xxx_DIR=\"$HOME/yyy\"\n"
      "XDG_DESKTOP_DIR=\"$HOME/Schreibtisch\"\n"
      "XDG_PICTURES_DIR=\"$HOME/Bilder/alle meine\"\n"
      "XDG_MUSIC_DIR=\"/srv/media/music/\"\n"
      "XDG_TEMPLATES_DIR=\"$HOME/\"\n"
      "XDG_PUBLICSHARE_DIR=\"$HOME\"\n"
      "  XDG_DOWNLOAD_DIR = \"$HOME/a\\\"b\\$c\\\\d\\`e\" # more\n"
      "XDG_PROJECTS_DIR=\"$HOME/Projects\"\n");
  EXPECT_EQ(dirs.bad.count, 0U);
  const std::map<std::string, UserDir, std::less<>> expected{
      {"desktop", {true, "Schreibtisch"}},
      {"downloads", {true, "a\"b$c\\d`e"}},
      {"music", {false, "srv/media/music"}},
      {"pictures", {true, "Bilder/alle meine"}},
      {"public", {true, ""}},
      {"templates", {true, ""}}};
  EXPECT_EQ(dirs.dirs, expected);
}

TEST(ParseUserDirs, OfOneNameTheLastLineWins) {
  const auto dirs =
      parse_user_dirs("XDG_MUSIC_DIR=\"$HOME/a\"\nXDG_MUSIC_DIR=\"$HOME/b\"\nXDG_MUSIC_DIR=c\n");
  EXPECT_EQ(dirs.dirs.at("music").path, "b");
}

TEST(ParseUserDirs, ExpandsNothingElse) {
  const auto dirs = parse_user_dirs("XDG_MUSIC_DIR=\"$HOME/$(reboot)/${HOME}/~\"\n");
  EXPECT_EQ(dirs.dirs.at("music").path, "$(reboot)/${HOME}/~");
}

TEST(ParseUserDirs, KeepsDotDotForWhoFollowsIt) {
  const auto dirs = parse_user_dirs("XDG_MUSIC_DIR=\"$HOME/../../etc\"\n");
  EXPECT_EQ(dirs.dirs.at("music").path, "../../etc");
}

TEST(ParseUserDirs, NamesBadLines) {
  const auto dirs = parse_user_dirs(std::string("XDG_MUSIC_DIR=$HOME/Music\n"
                                                "XDG_MUSIC_DIR=\"Music\"\n"
                                                "XDG_MUSIC_DIR=\"$HOMEwork/Music\"\n"
                                                "XDG_MUSIC_DIR=\"$HOME/Music\n"
                                                "XDG_MUSIC_DIR=\"$HOME/Music\\\n"
                                                "\x7f\x45LF rubbish\n") +
                                    std::string("XDG_MUSIC_DIR=\"$HOME/\0\"\n", 24));
  EXPECT_TRUE(dirs.dirs.empty());
  EXPECT_EQ(dirs.bad.first, (Lines{{1, "has no quotes around its path"},
                                   {2, "has a path that begins with neither $HOME nor a slash"},
                                   {3, "has a path that begins with neither $HOME nor a slash"},
                                   {4, "has no quote at the end of its path"},
                                   {5, "has no quote at the end of its path"},
                                   {6, "is no line of a user-dirs.dirs"},
                                   {7, "holds a NUL byte"}}));
}

}  // namespace
}  // namespace holdfast::core
