#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "fixture.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/note.hpp"
#include "storecore/people/people.hpp"
#include "storecore/people/places.hpp"
#include "storecore/people/users_expression.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;
using Names = std::vector<std::string>;

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
    "postgres:x:110:110::/var/lib/postgresql:/bin/bash\n"
    "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
    "al:x:1000:1000::/home/al:/bin/bash\n"
    "bo:x:1001:1001::/home/bo:/bin/bash\n";

class ReadPeople : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* dir : {"etc", "root", "usr", "usr/sbin", "var", "var/lib",
                            "var/lib/postgresql", "home", "home/al", "home/bo"}) {
      tree.dir(dir);
    }
    tree.file("etc/passwd", kPasswd);
  }
  People read(std::string_view users = "all") {
    auto people = read_people(tree.fd(), *UsersExpression::parse(users));
    if (!people) {
      ADD_FAILURE() << catalog::describe(people.error());
      return {};
    }
    return std::move(*people);
  }
  std::string error() {
    const auto people = read_people(tree.fd());
    return people ? "no error" : catalog::describe(people.error());
  }
  static Names homes(const People& people) {
    Names names;
    names.reserve(people.users.size());
    for (const UserPlaces& each : people.users) names.push_back(each.user + "=" + each.home);
    return names;
  }
  static Names notes(const People& people) {
    Names lines;
    lines.reserve(people.notes.size());
    for (const PeopleNote& note : people.notes) {
      lines.push_back(std::string(to_word(note.kind)) + ": " + note.user + ": " + note.path + ": " +
                      note.reason);
    }
    return lines;
  }
  TempDir tree;
};

TEST_F(ReadPeople, ReadsAccountsAndPlaces) {
  tree.file("etc/group", "staff:x:50:al,bo\n");
  tree.file("etc/shadow", "al:$y$hash:1::::::\nbo:!:1::::::\n");
  const People people = read();
  EXPECT_TRUE(people.is_system);
  EXPECT_EQ(people.accounts.all().size(), 6U);
  EXPECT_EQ(people.accounts.find_name("al")->password, Password::kUsable);
  EXPECT_EQ(people.accounts.find_name("bo")->password, Password::kLocked);
  EXPECT_EQ(people.accounts.find_id(4711), nullptr) << "an owner whom nobody has";
  EXPECT_EQ(people.groups.find_id(50)->name, "staff");
  EXPECT_EQ(homes(people), (Names{"root=root", "al=home/al", "bo=home/bo"}));
  EXPECT_EQ(people.users[1].places.at("documents"), "home/al/Documents");
  EXPECT_EQ(notes(people), Names{});
}

TEST_F(ReadPeople, ARootWithoutPasswdIsNoSystem) {
  const TempDir empty;
  auto people = read_people(empty.fd());
  ASSERT_TRUE(people);
  EXPECT_FALSE(people->is_system);
  EXPECT_TRUE(people->users.empty());
  empty.dir("etc");
  EXPECT_FALSE(read_people(empty.fd())->is_system);
  const TempDir odd;
  odd.file("etc");
  EXPECT_FALSE(read_people(odd.fd())->is_system);
}

TEST_F(ReadPeople, APasswdThatCannotBeReadIsAnErrorAndNoWait) {
  ASSERT_EQ(::unlink(tree.path("etc/passwd").c_str()), 0);
  tree.fifo("etc/passwd");
  EXPECT_EQ(error(), "etc/passwd: is no regular file");
  ASSERT_EQ(::unlink(tree.path("etc/passwd").c_str()), 0);
  tree.dir("etc/passwd");
  EXPECT_EQ(error(), "etc/passwd: is no regular file");
  ASSERT_EQ(::rmdir(tree.path("etc/passwd").c_str()), 0);
  tree.symlink("../../../../etc/hostname", "etc/passwd");
  EXPECT_EQ(error(), "etc/passwd: is a link to etc/hostname, which is not there inside ROOT");
  ASSERT_EQ(::unlink(tree.path("etc/passwd").c_str()), 0);
  tree.file("etc/passwd");
  ASSERT_EQ(::truncate(tree.path("etc/passwd").c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(error(), "etc/passwd: is larger than 16 MiB");
}

TEST_F(ReadPeople, ASymlinkedPasswdIsReadInsideRoot) {
  ASSERT_EQ(std::rename(tree.path("etc/passwd").c_str(), tree.path("usr/passwd").c_str()), 0);
  tree.symlink("/usr/passwd", "etc/passwd");
  EXPECT_EQ(homes(read()), (Names{"root=root", "al=home/al", "bo=home/bo"}));
}

TEST_F(ReadPeople, OtherFilesOfAnOddKindAreNoted) {
  tree.fifo("etc/group");
  tree.dir("etc/shadow");
  tree.symlink("nowhere", "etc/login.defs");
  const People people = read();
  EXPECT_EQ(homes(people).size(), 3U);
  EXPECT_TRUE(people.groups.all().empty());
  EXPECT_EQ(notes(people),
            (Names{"unreadable: : etc/shadow: is no regular file",
                   "unreadable: : etc/group: is no regular file",
                   "unreadable: : etc/login.defs: is a link to etc/nowhere, which is not there "
                   "inside ROOT"}));
}

TEST_F(ReadPeople, LoginDefsSaysWhoIsOneOfThePeople) {
  tree.dir("usr/etc");
  tree.file("usr/etc/login.defs", "UID_MIN 1001\n");
  EXPECT_EQ(homes(read()), (Names{"root=root", "bo=home/bo"}));
  tree.file("etc/login.defs", "UID_MIN 100\nUID_MAX 1000\n");
  const People people = read();
  EXPECT_EQ(homes(people), (Names{"root=root", "postgres=var/lib/postgresql", "al=home/al"}));
  EXPECT_EQ(notes(people), Names{"above-range: bo: etc/passwd: user number 1001 is above UID_MAX "
                                 "(1000): counted as a system account"});
}

TEST_F(ReadPeople, ReadsWhoWasChosen) {
  const People people = read("postgres,bo");
  EXPECT_EQ(homes(people), (Names{"postgres=var/lib/postgresql", "bo=home/bo"}));
  EXPECT_EQ(people.homes, (std::vector<UserHome>{{"root", "root"},
                                                 {"postgres", "var/lib/postgresql"},
                                                 {"al", "home/al"},
                                                 {"bo", "home/bo"}}));
  const auto misspelt = read_people(tree.fd(), *UsersExpression::parse("bob"));
  ASSERT_FALSE(misspelt);
  EXPECT_EQ(misspelt.error().fault, catalog::Fault::kUsage);
  EXPECT_EQ(misspelt.error().hint, "did you mean bo?");
}

TEST_F(ReadPeople, APlaceInTheHomeOfSomebodyNotChosenIsRefused) {
  tree.dir("home/al/.config");
  tree.file("home/al/.config/user-dirs.dirs", "XDG_DOWNLOAD_DIR=\"/home/bo\"\n");
  const People people = read("al");
  EXPECT_FALSE(people.users[0].places.contains("downloads"));
  EXPECT_EQ(notes(people), Names{"refused-place: al: home/bo: it is in somebody else's home"});
}

TEST_F(ReadPeople, AHomeOfTwoIsThereOnce) {
  tree.symlink("al", "home/same");
  tree.file("etc/passwd", std::string(kPasswd) + "cy:x:1002:1002::/home/same:/bin/bash\n");
  const People people = read();
  EXPECT_EQ(homes(people), (Names{"root=root", "al=home/al", "bo=home/bo"}));
  EXPECT_EQ(notes(people), Names{"shared-home: cy: home/al: the home is that of al too"});
  EXPECT_EQ(homes(read("cy")), Names{"cy=home/al"}) << "for whom it is there";
  EXPECT_EQ(homes(read("!al")), (Names{"root=root", "bo=home/bo", "cy=home/al"}));
}

TEST_F(ReadPeople, HomesThatAreNoneAreListed) {
  tree.file("etc/passwd",
            "a:x:1000:1000::/:\nb:x:1001:1001::/nonexistent:\nc:x:1002:1002::/usr:\n"
            "d:x:1003:1003::/home/al:\nbroken line\nd:x:1:1::/:\n"
            "e f\x01:x:1004:1004::/home/\xff *:\n");
  tree.dir("home/\xff *");
  const People people = read();
  EXPECT_EQ(homes(people), (Names{"d=home/al", "e f\x01=home/\xff *"}));
  EXPECT_EQ(notes(people), (Names{"bad-line: : etc/passwd: line 5: has too few fields",
                                  "repeated-name: : etc/passwd: line 6: the name is on line 4 too",
                                  "system-home: a: : the home is the whole system",
                                  "no-home: b: nonexistent: the home is not there",
                                  "system-home: c: usr: the home is a part of the system"}));
}

TEST_F(ReadPeople, RubbishIsCountedAndNotRepeated) {
  std::string rubbish;
  for (int i = 0; i < 1000; ++i) rubbish += "\xff\x01\n";
  tree.file("etc/passwd", rubbish);
  const People people = read();
  EXPECT_TRUE(people.is_system);
  EXPECT_TRUE(people.users.empty());
  ASSERT_EQ(people.notes.size(), LineFaults::kMaxKept + 1);
  EXPECT_EQ(people.notes.back().reason, "and 980 lines more");
}

}  // namespace
}  // namespace holdfast::core
