#include "storecore/rules/rule_book.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/rules/rule_file.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {
namespace {

using Words = std::vector<std::string>;

RuleFile parsed(std::string_view text, std::string_view name = "f.toml",
                RuleLayer layer = RuleLayer::kBuiltin) {
  auto file = parse_rules(text, name, layer);
  EXPECT_TRUE(file) << catalog::describe(file.error());
  return file ? std::move(*file) : RuleFile{};
}

RuleBook book_of(std::string_view text) {
  RuleBook book;
  EXPECT_TRUE(book.add(parsed(text)));
  return book;
}

/// A component x of an application, with @p lines.
std::string component(std::string_view lines, std::string_view name = "x") {
  return "[component." + std::string(name) + "]\ntitle = \"T\"\nkind = \"application\"\n" +
         std::string(lines) + "\n";
}

UserPlaces user(std::string name, std::string home) {
  return {.user = std::move(name), .home = std::move(home), .places = {}};
}

/// Answers from a list, and keeps what it was asked.
class System {
 public:
  explicit System(std::set<std::string, std::less<>> has = {}) : has_(std::move(has)) {}
  [[nodiscard]] Exists exists() {
    return [this](std::string_view pattern) {
      asked.emplace_back(pattern);
      return has_.contains(pattern);
    };
  }
  Words asked;

 private:
  std::set<std::string, std::less<>> has_;
};

/// "USER PATTERN" of each rule.
Words shown(const std::vector<SelectionRule>& rules) {
  Words lines;
  for (const SelectionRule& rule : rules) lines.push_back(rule.user + " " + rule.pattern);
  return lines;
}

/// The names of users of the one component there is.
Words users_of(const Resolved& resolved) {
  return resolved.components.size() == 1 ? resolved.components.front().users : Words{"?"};
}

TEST(RuleBook, NamesBothPlacesOfAComponentThatIsThereTwice) {
  RuleBook book;
  ASSERT_TRUE(book.add(parsed(component("include = ['/a']"), "lib/a.toml")));
  const std::string second =
      component("include = ['/b']", "y") + "\n  " + component("include = ['/c']");
  const auto status = book.add(parsed(second, "etc/b.toml", RuleLayer::kSite));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().fault, catalog::Fault::kUsage);
  EXPECT_EQ(catalog::describe(status.error()),
            "etc/b.toml:6:14: component x is already at lib/a.toml:1:12");
  EXPECT_EQ(book.files().size(), 1U) << "nothing of the file is added";
  EXPECT_TRUE(book.add(parsed(component("include = ['/b']", "y"), "c.toml")));
}

TEST(RuleBook, FindsAComponentThatOneFileHasTwice) {
  RuleFile file = parsed(component("include = ['/a']"));
  file.components.push_back(file.components.front());
  file.components.back().position = {.line = 7, .column = 12};
  RuleBook book;
  const auto status = book.add(file);
  ASSERT_FALSE(status);
  EXPECT_EQ(catalog::describe(status.error()),
            "f.toml:7:12: component x is already at f.toml:1:12");
}

TEST(Resolve, WritesDownWhereARuleComesFrom) {
  RuleBook book;
  ASSERT_TRUE(book.add(parsed(component("include = ['/etc/x']\nexclude = ['*.tmp',\n'/etc/x/y/']\n"
                                        "always_exclude = ['{home}/.x/lock']\nwarning = 'W'"),
                              "/usr/share/a.toml", RuleLayer::kSite)));
  const std::vector<UserPlaces> users{user("al", "home/al")};
  const Resolved resolved = resolve(book, users, System().exists());
  const auto rule = [](RuleEffect effect, std::string pattern, std::string who, unsigned line) {
    return SelectionRule{.effect = effect,
                         .layer = RuleLayer::kSite,
                         .pattern = std::move(pattern),
                         .component = "x",
                         .kind = "application",
                         .user = std::move(who),
                         .file = "a.toml",
                         .line = line};
  };
  const std::vector<SelectionRule> expected{
      rule(RuleEffect::kInclude, "/etc/x", "", 4), rule(RuleEffect::kExclude, "*.tmp", "", 5),
      rule(RuleEffect::kExclude, "/etc/x/y/", "", 6),
      rule(RuleEffect::kAlwaysExclude, "/home/al/.x/lock", "al", 7)};
  EXPECT_EQ(resolved.rules, expected);
  ASSERT_EQ(resolved.components.size(), 1U);
  EXPECT_EQ(
      resolved.components.front(),
      (PresentComponent{
          .name = "x", .title = "T", .kind = "application", .warning = "W", .users = {"al"}}));
}

TEST(Resolve, ExpandsForEachPersonWhoHasThePlace) {
  const RuleBook book = book_of(component("include = ['{home}', '{music}/x', '/srv']"));
  std::vector<UserPlaces> users{user("al", "home/al"), user("bo", "data/bo")};
  users[1].places["music"] = "data/bo/My Music";
  users[0].places["home"] = "not/asked";
  const Resolved resolved = resolve(book, users, System().exists());
  EXPECT_EQ(shown(resolved.rules),
            (Words{" /srv", "al /home/al", "bo /data/bo", "bo /data/bo/My Music/x"}));
  EXPECT_EQ(users_of(resolved), (Words{"al", "bo"}));
}

TEST(Resolve, KeepsARuleForEachOfTwoPeopleInOneHome) {
  const RuleBook book = book_of(component("include = ['{home}']"));
  const std::vector<UserPlaces> users{user("al", "home/al"), user("bo", "home/al")};
  EXPECT_EQ(shown(resolve(book, users, System().exists()).rules),
            (Words{"al /home/al", "bo /home/al"}));
}

TEST(Resolve, LetsANameMatchItselfOnly) {
  const RuleBook book = book_of(component("include = ['{home}']\nexclude = ['{home}/*.tmp']"));
  for (const std::string name :
       {"a*b", "a?b", "[ab]", "a\\", "!a", "{home}", "a\nb", "a b", "\xff", "#a", "**"}) {
    const std::vector<UserPlaces> users{user("u", name)};
    const Resolved resolved = resolve(book, users, System().exists());
    ASSERT_EQ(resolved.rules.size(), 2U);
    const auto selection = Selection::compile({.everything = false,
                                               .include = {resolved.rules[0].pattern},
                                               .exclude = {resolved.rules[1].pattern}});
    ASSERT_TRUE(selection) << name;
    const auto verdict = [&](std::string_view path) {
      return selection->judge(selection->root(), path, true);
    };
    EXPECT_EQ(verdict(name), Selection::Verdict::kSelected) << name;
    for (const std::string_view other : {"axb", "a", "b", "home", "a/b", "ab"}) {
      EXPECT_EQ(verdict(other), Selection::Verdict::kUnselected) << name << " " << other;
    }
    const auto inside = selection->enter(selection->root(), name);
    EXPECT_EQ(selection->judge(inside, "x.tmp", false), Selection::Verdict::kUnselected);
    EXPECT_EQ(selection->judge(inside, "x.txt", false), Selection::Verdict::kSelected);
  }
}

TEST(Resolve, AnchorsPlacesOfOneName) {
  const RuleBook book = book_of(component("exclude = ['{home}']"));
  const std::vector<UserPlaces> users{user("root", "root")};
  const Resolved resolved = resolve(book, users, System().exists());
  ASSERT_EQ(resolved.rules.size(), 1U);
  const auto selection = Selection::compile(
      {.everything = true, .include = {}, .exclude = {resolved.rules.front().pattern}});
  ASSERT_TRUE(selection);
  const auto below = selection->enter(selection->root(), "srv");
  EXPECT_EQ(selection->judge(selection->root(), "root", true), Selection::Verdict::kUnselected);
  EXPECT_EQ(selection->judge(below, "root", true), Selection::Verdict::kSelected);
}

TEST(Resolve, TakesWhatIsInRootForAHomeThatIsRoot) {
  const RuleBook book = book_of(
      component("include = ['{home}', '{home}/', '{home}/.', '{home}/**', '{home}/.config']"));
  const std::vector<UserPlaces> users{user("u", "")};
  EXPECT_EQ(shown(resolve(book, users, System().exists()).rules),
            (Words{"u /*", "u /*", "u /*", "u /**", "u /.config"}));
}

TEST(Resolve, AsksForWhatDetectNamesAlone) {
  const RuleBook book =
      book_of(component("include = ['{home}/a', '/b']", "one") +
              component("detect = ['/opt/x', '{home}/.x*']\ninclude = ['{home}/.x']", "two"));
  const std::vector<UserPlaces> users{user("a*", "home/a*"), user("bo", "home/bo")};
  System none;
  const Resolved without = resolve(book, users, none.exists());
  EXPECT_EQ(none.asked, (Words{"/opt/x", "/home/a\\*/.x*", "/home/bo/.x*"}));
  ASSERT_EQ(without.components.size(), 1U);
  EXPECT_EQ(without.components.front().name, "one");
  System all({"/opt/x"});
  const Resolved with = resolve(book, users, all.exists());
  EXPECT_EQ(all.asked, (Words{"/opt/x"}));
  EXPECT_EQ(with.components.size(), 2U);
}

TEST(Resolve, DecidesPersonByPerson) {
  const RuleBook book =
      book_of(component("detect = ['{home}/.x', '{config}/x']\ninclude = ['{home}/.x', '/etc/x']"));
  std::vector<UserPlaces> users{user("al", "al"), user("bo", "bo"), user("cy", "cy")};
  users[2].places["config"] = "cy/.config";
  EXPECT_TRUE(resolve(book, users, System().exists()).rules.empty());
  const Resolved one = resolve(book, users, System({"/bo/.x"}).exists());
  EXPECT_EQ(shown(one.rules), (Words{" /etc/x", "bo /bo/.x"}));
  EXPECT_EQ(users_of(one), Words{"bo"});
  const Resolved other = resolve(book, users, System({"/cy/.config/x"}).exists());
  EXPECT_EQ(shown(other.rules), (Words{" /etc/x", "cy /cy/.x"}));
  EXPECT_EQ(users_of(other), Words{"cy"});
}

TEST(Resolve, IsThereForEverybodyWhenTheSystemHasIt) {
  const RuleBook book =
      book_of(component("detect = ['/opt/x', '{home}/.x']\ninclude = ['{home}/.x', '/etc/x']"));
  const std::vector<UserPlaces> users{user("al", "al"), user("bo", "bo")};
  const Resolved resolved = resolve(book, users, System({"/opt/x"}).exists());
  EXPECT_EQ(shown(resolved.rules), (Words{" /etc/x", "al /al/.x", "bo /bo/.x"}));
  EXPECT_EQ(users_of(resolved), (Words{"al", "bo"}));
}

TEST(Resolve, NamesNobodyForAPartOfTheSystem) {
  const RuleBook book = book_of(component("include = ['/etc/x']"));
  const std::vector<UserPlaces> users{user("al", "al")};
  const Resolved resolved = resolve(book, users, System().exists());
  EXPECT_EQ(shown(resolved.rules), Words{" /etc/x"});
  EXPECT_EQ(users_of(resolved), Words{});
}

TEST(Resolve, NamesWhomDetectFoundThoughTheRulesAreTheSystems) {
  const RuleBook book = book_of(component("detect = ['{home}/.x']\ninclude = ['/var/lib/x']"));
  const std::vector<UserPlaces> users{user("al", "al"), user("bo", "bo")};
  const Resolved resolved = resolve(book, users, System({"/bo/.x"}).exists());
  EXPECT_EQ(shown(resolved.rules), Words{" /var/lib/x"});
  EXPECT_EQ(users_of(resolved), Words{"bo"});
}

TEST(Resolve, LeavesOutComponentsWithoutARule) {
  const RuleBook book = book_of(component("include = ['{music}']"));
  const std::vector<UserPlaces> users{user("al", "al")};
  for (const Resolved& resolved :
       {resolve(book, users, System().exists()), resolve(book, {}, System().exists())}) {
    EXPECT_TRUE(resolved.rules.empty());
    EXPECT_TRUE(resolved.components.empty());
  }
}

}  // namespace
}  // namespace holdfast::core
