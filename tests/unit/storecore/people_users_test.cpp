#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/users_expression.hpp"

namespace holdfast::core {
namespace {

using Names = std::vector<std::string>;

const Accounts& accounts() {
  static const Accounts made(parse_passwd("root:x:0:0::/root:\n"
                                          "daemon:x:1:1::/usr/sbin:\n"
                                          "postgres:x:110:110::/var/lib/postgresql:\n"
                                          "stunnel:x:111:111::/run/stunnel:\n"
                                          "nobody:x:65534:65534::/nonexistent:\n"
                                          "alice:x:1000:1000::/home/alice:\n"
                                          "bob:x:1001:1001::/home/bob:\n"
                                          "guest:x:1002:1002::/home/guest:\n"
                                          "stud1:x:1003:1003::/home/stud1:\n"
                                          "stud2:x:1004:1004::/home/stud2:\n"
                                          "all:x:1005:1005::/home/all:\n"
                                          "a*:x:1006:1006::/home/7:\n"
                                          "!x,y:x:1007:1007::/home/xy:\n"
                                          "a b:x:1008:1008::/home/ab:\n"
                                          "twin:x:1000:1000::/home/twin:\n")
                                 .entries);
  return made;
}
const Names kPeople{"root", "alice", "bob",  "guest", "stud1", "stud2",
                    "all",  "a*",    "!x,y", "a b",   "twin"};

Names without(Names names, const Names& gone) {
  for (const std::string& name : gone) std::erase(names, name);
  return names;
}

catalog::Result<Names> choose(std::string_view text) {
  const auto expression = UsersExpression::parse(text);
  if (!expression) return std::unexpected(expression.error());
  const auto chosen = expression->choose(accounts(), {});
  if (!chosen) return std::unexpected(chosen.error());
  Names names;
  for (const Account* account : *chosen) names.push_back(account->name);
  return names;
}

TEST(UsersExpression, FollowsTheTable) {
  struct Case {
    std::string_view text;
    Names chosen;
  };
  const std::vector<Case> cases{
      {"all", kPeople},
      {"all,!guest", without(kPeople, {"guest"})},
      {"!guest", without(kPeople, {"guest"})},
      {"!guest,!bob", without(kPeople, {"guest", "bob"})},
      {"alice", {"alice"}},
      {"bob,alice", {"alice", "bob"}},
      {" bob ,\talice ", {"alice", "bob"}},
      {"all,!guest,guest", kPeople},
      {"guest,!guest", {}},
      {"alice,all,!all", {}},
      {"!all,bob", {"bob"}},
      {"! bob", without(kPeople, {"bob"})},
      {"stud*", {"stud1", "stud2"}},
      {"stud*,!stud2", {"stud1"}},
      {"!stud?", without(kPeople, {"stud1", "stud2"})},
      {"stud[13]", {"stud1"}},
      {"*", kPeople},
      {"#1001", {"bob"}},
      {"#1000", {"alice", "twin"}},
      {"all,!#1000", without(kPeople, {"alice", "twin"})},
      {"#1000,!twin", {"alice"}},
      {"root", {"root"}},
      {"postgres", {"postgres"}},
      {"#110", {"postgres"}},
      {"nobody", {"nobody"}},
      {"all,!postgres", kPeople},
      {"stu*", {"stud1", "stud2"}},  // stunnel is a system account
      {"\\all", {"all"}},
      {"a\\*", {"a*"}},
      {"\\!x\\,y", {"!x,y"}},
      {"a b", {"a b"}},
      {"a\\ b", {"a b"}},
      {"!\\!x\\,y", without(kPeople, {"!x,y"})},
      {"a\\lice", {"alice"}},
      {"\\a*", {"alice", "all", "a*", "a b"}},
  };
  for (const Case& each : cases) {
    const auto chosen = choose(each.text);
    ASSERT_TRUE(chosen) << each.text << ": " << catalog::describe(chosen.error());
    EXPECT_EQ(*chosen, each.chosen) << each.text;
  }
}

TEST(UsersExpression, ANameThatNobodyHasIsAUsageError) {
  struct Case {
    std::string_view text;
    std::string_view place;
    std::string_view hint;
  };
  const std::vector<Case> cases{
      {"alcie", "alcie", "did you mean alice?"},
      {"all,!guets", "!guets", "did you mean guest?"},
      {"Bob", "Bob", "did you mean bob?"},
      {"alice,zebedee", "zebedee", ""},
      {"zebedee,all", "zebedee", ""},
      {"#1999", "#1999", ""},
      {"!#1999", "!#1999", ""},
      {"pupil*", "pupil*", ""},
      {"!pupil*", "!pupil*", ""},
      {"stunn*", "stunn*", "it matches system accounts, which are meant by their whole name only"},
      {"[a", "[a", ""},
      {"a  b", "a  b", "did you mean a b?"},
  };
  for (const Case& each : cases) {
    const auto chosen = choose(each.text);
    ASSERT_FALSE(chosen) << each.text;
    EXPECT_EQ(chosen.error().fault, catalog::Fault::kUsage) << each.text;
    EXPECT_EQ(chosen.error().place, each.place) << each.text;
    EXPECT_EQ(chosen.error().hint, each.hint) << each.text;
  }
}

TEST(UsersExpression, WhatSaysNothingIsAUsageError) {
  for (const std::string_view text : {"", " ", ",", "all,", ",all", "all,,bob", "!", "all,!", "#",
                                      "#x", "#-1", "#12x", "#4294967296", "!!bob", "bob\\"}) {
    const auto expression = UsersExpression::parse(text);
    ASSERT_FALSE(expression) << text;
    EXPECT_EQ(expression.error().fault, catalog::Fault::kUsage) << text;
  }
}

TEST(UsersExpression, EverybodyMayBeNobody) {
  const Accounts none;
  const auto chosen = UsersExpression::everybody().choose(none, {});
  ASSERT_TRUE(chosen);
  EXPECT_TRUE(chosen->empty());
}

TEST(UsersExpression, ALongNameHasNoNearOne) {
  const auto chosen = choose(std::string(100'000, 'a'));
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().hint, "");
}

}  // namespace
}  // namespace holdfast::core
