#include "storecore/select/selection.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"

namespace holdfast::core {
namespace {

using Verdict = Selection::Verdict;
using Patterns = std::vector<std::string>;

/// Asks as the walker does: from the root down, not below what is unselected. A trailing slash
/// makes the last component a directory.
Verdict verdict_of(const Selection& selection, std::string_view path) {
  const bool is_directory = path.ends_with('/');
  const auto components = catalog::split_path(path).value_or(Patterns{});
  Selection::State state = selection.root();
  Verdict verdict = selection.root_verdict();
  for (std::size_t i = 0; i < components.size(); ++i) {
    const bool is_last = i + 1 == components.size();
    const std::string& name = components[i];
    verdict = selection.judge(state, name, !is_last || is_directory);
    if (is_last || verdict == Verdict::kUnselected) break;
    state = selection.enter(state, name);
  }
  return verdict;
}

struct Case {
  Patterns include;
  Patterns exclude;
  std::string_view path;
  Verdict expected;
};

constexpr Verdict kYes = Verdict::kSelected;
constexpr Verdict kEnter = Verdict::kEnter;
constexpr Verdict kNo = Verdict::kUnselected;

std::string show(const Case& c) {
  std::string text;
  for (const std::string& pattern : c.include) text += " +" + pattern;
  for (const std::string& pattern : c.exclude) text += " -" + pattern;
  return text + " on " + std::string(c.path);
}

void check(const std::vector<Case>& cases, bool everything) {
  for (const Case& c : cases) {
    const auto selection =
        Selection::compile({.everything = everything, .include = c.include, .exclude = c.exclude});
    ASSERT_TRUE(selection) << show(c);
    EXPECT_EQ(verdict_of(*selection, c.path), c.expected) << show(c);
  }
}

TEST(Selection, AnchorsIncludesAtRoot) {
  check({{{"home"}, {}, "home/", kYes},
         {{"home"}, {}, "home", kYes},
         {{"home"}, {}, "home/al/x", kYes},
         {{"home"}, {}, "srv/", kNo},
         {{"home"}, {}, "srv/home/", kNo},
         {{"/home"}, {}, "home/", kYes},
         {{"/home"}, {}, "a/home", kNo},
         {{"./home"}, {}, "home/", kYes},
         {{"home/"}, {}, "home", kNo},
         {{"home/"}, {}, "home/", kYes},
         {{"home/"}, {}, "home/f", kYes},
         {{"home/al"}, {}, "home/", kEnter},
         {{"home/al"}, {}, "home", kNo},
         {{"home/al"}, {}, "home/al/", kYes},
         {{"home/al"}, {}, "home/al/d/f", kYes},
         {{"home/al"}, {}, "home/bo/", kNo},
         {{"home/al"}, {}, "home/f", kNo},
         {{"home//al/"}, {}, "home/al/", kYes},
         {{"home/*"}, {}, "home/", kEnter},
         {{"home/*"}, {}, "home/bo", kYes},
         {{"home/*/Documents"}, {}, "home/bo/", kEnter},
         {{"home/*/Documents"}, {}, "home/bo/Documents/", kYes},
         {{"home/*/Documents"}, {}, "home/bo/Music/", kNo},
         {{"home/[a-c]?"}, {}, "home/bo/", kYes},
         {{"home/[a-c]?"}, {}, "home/zo/", kNo},
         {{"\\*"}, {}, "*", kYes},
         {{"\\*"}, {}, "x", kNo}},
        false);
}

TEST(Selection, IncludesAtAnyDepthWithTwoStars) {
  check({{{"**/x"}, {}, "x", kYes},
         {{"**/x"}, {}, "a/b/x", kYes},
         {{"**/x"}, {}, "a/b/x/", kYes},
         {{"**/x"}, {}, "a/b/x/y", kYes},
         {{"**/x"}, {}, "a/", kEnter},
         {{"**/x"}, {}, "a/b/", kEnter},
         {{"**/x"}, {}, "a/b/y", kNo},
         {{"**/x/"}, {}, "a/x", kNo},
         {{"**/x/"}, {}, "a/x/", kYes},
         {{"**/a/b"}, {}, "a/b", kYes},
         {{"**/a/b"}, {}, "c/a/b", kYes},
         {{"**/a/b"}, {}, "a/a/b", kYes},
         {{"**/a/b"}, {}, "a/c/b", kNo},
         {{"a/**"}, {}, "a/", kEnter},
         {{"a/**"}, {}, "a", kNo},
         {{"a/**"}, {}, "a/f", kYes},
         {{"a/**"}, {}, "a/d/", kYes},
         {{"a/**"}, {}, "a/d/f", kYes},
         {{"a/**/"}, {}, "a/f", kNo},
         {{"a/**/"}, {}, "a/d/", kYes},
         {{"a/**/"}, {}, "a/d/f", kYes},
         {{"a/**/b"}, {}, "a/b", kYes},
         {{"a/**/b"}, {}, "a/x/b", kYes},
         {{"a/**/b"}, {}, "a/x/y/b", kYes},
         {{"a/**/b"}, {}, "a/x/", kEnter},
         {{"a/**/b"}, {}, "a/x/c", kNo},
         {{"a/**/b"}, {}, "x/a/b", kNo},
         {{"a/**/**/b"}, {}, "a/b", kYes},
         {{"a/**/b/**/c"}, {}, "a/b/c", kYes},
         {{"a/**/b/**/c"}, {}, "a/1/b/2/3/c", kYes},
         {{"a/**/b/**/c"}, {}, "a/c/b", kNo},
         {{"**"}, {}, "f", kYes},
         {{"**"}, {}, "d/", kYes},
         {{"**/"}, {}, "f", kNo},
         {{"**/"}, {}, "d/f", kYes},
         {{"a**b"}, {}, "axxb", kYes},
         {{"a**b"}, {}, "a/b", kNo}},
        false);
}

TEST(Selection, FloatsExcludesWithoutASlash) {
  check({{{}, {"x"}, "x", kNo},
         {{}, {"x"}, "a/b/x", kNo},
         {{}, {"x"}, "a/x/f", kNo},
         {{}, {"x"}, "a/y", kYes},
         {{}, {"x/"}, "a/x", kYes},
         {{}, {"x/"}, "a/x/", kNo},
         {{}, {"/x"}, "x", kNo},
         {{}, {"/x"}, "a/x", kYes},
         {{}, {"a/x"}, "a/x", kNo},
         {{}, {"a/x"}, "b/a/x", kYes},
         {{}, {"a/x/"}, "a/x/", kNo},
         {{}, {"**/a/x"}, "b/a/x", kNo},
         {{}, {"*.o"}, "src/deep/a.o", kNo},
         {{}, {"*.o"}, "src/deep/a.c", kYes},
         {{}, {"a/*"}, "a/", kYes},
         {{}, {"a/*"}, "a/f", kNo},
         {{}, {"a/**"}, "a/", kYes},
         {{}, {"a/**"}, "a/f", kNo},
         {{}, {".cache", "tmp/"}, "home/al/.cache/", kNo},
         {{}, {".cache", "tmp/"}, "home/al/tmp", kYes},
         {{}, {"*"}, "f", kNo},
         {{}, {}, "any/thing", kYes}},
        true);
}

TEST(Selection, LetsExcludeBeatInclude) {
  check({{{"home"}, {"*.o"}, "home/a.o", kNo},
         {{"home"}, {"*.o"}, "home/a.c", kYes},
         {{"home"}, {"home"}, "home/", kNo},
         {{"home/al"}, {"home"}, "home/", kNo},
         {{"home/al"}, {"home/al/x"}, "home/al/x", kNo},
         {{"home/al"}, {"home/al/x"}, "home/al/y", kYes},
         {{"home/al", "home/bo"}, {}, "home/bo/", kYes},
         {{"home/al", "home"}, {}, "home/bo/", kYes},
         {{}, {}, "home", kNo},
         {{}, {}, "home/", kNo}},
        false);
}

TEST(Selection, RefusesPatternsThatMeanNothing) {
  for (const char* pattern : {"", "/", "!x", "a/../b", "[a"}) {
    const auto include =
        Selection::compile({.everything = false, .include = {pattern}, .exclude = {}});
    const auto exclude =
        Selection::compile({.everything = true, .include = {}, .exclude = {"ok", pattern}});
    ASSERT_FALSE(include) << pattern;
    ASSERT_FALSE(exclude) << pattern;
    EXPECT_EQ(include.error().fault, catalog::Fault::kUsage);
    EXPECT_EQ(exclude.error().place, pattern);
    EXPECT_FALSE(exclude.error().reason.empty());
  }
}

Selection compiled(Patterns include, Patterns exclude, bool everything = false) {
  auto selection = Selection::compile(
      {.everything = everything, .include = std::move(include), .exclude = std::move(exclude)});
  return std::move(selection.value());
}

TEST(Selection, KnowsWhenNoNameNeedsALook) {
  EXPECT_TRUE(compiled({}, {}, true).root().takes_all());
  EXPECT_FALSE(compiled({}, {"*.o"}, true).root().takes_all());
  EXPECT_FALSE(compiled({"home"}, {}).root().takes_all());

  const Selection home = compiled({"home", "srv/www"}, {"/home/al/tmp"});
  EXPECT_FALSE(home.enter(home.root(), "home").takes_all()) << "the exclude is below";
  EXPECT_TRUE(home.enter(home.enter(home.root(), "home"), "bo").takes_all());
  EXPECT_TRUE(home.enter(home.enter(home.root(), "srv"), "www").takes_all());
  EXPECT_FALSE(home.enter(home.root(), "srv").takes_all());
}

TEST(Selection, StillTakesAllBelow) {
  const Selection home = compiled({"home"}, {});
  const auto state = home.enter(home.root(), "home");
  ASSERT_TRUE(state.takes_all());
  EXPECT_EQ(home.judge(state, "anything", true), kYes);
  EXPECT_TRUE(home.enter(state, "anything").takes_all());
}

TEST(Selection, ReportsPatternsThatMatchedNothing) {
  const Selection selection = compiled({"home", "srv", "**/notes"}, {"*.o", "home/none", "build/"});
  EXPECT_EQ(selection.unmatched_includes(), (Patterns{"home", "srv", "**/notes"}));
  EXPECT_EQ(selection.unmatched_excludes(), (Patterns{"*.o", "home/none", "build/"}));
  verdict_of(selection, "home/al/a.o");
  verdict_of(selection, "var/build");
  EXPECT_EQ(selection.unmatched_includes(), (Patterns{"srv", "**/notes"}));
  EXPECT_EQ(selection.unmatched_excludes(), (Patterns{"home/none", "build/"}));
  verdict_of(selection, "var/notes");
  verdict_of(selection, "var/build/");
  EXPECT_EQ(selection.unmatched_includes(), Patterns{"srv"});
  EXPECT_EQ(selection.unmatched_excludes(), Patterns{"home/none"});
}

TEST(Selection, CountsAnIncludeBelowAnotherAsMatched) {
  const Selection selection = compiled({"home", "home/al/x", "home/al/none", "**/x"}, {});
  verdict_of(selection, "home/al/x");
  verdict_of(selection, "home/al/y");
  EXPECT_EQ(selection.unmatched_includes(), Patterns{"home/al/none"});
  // Everything that could still match below home/bo has matched: no name needs a look there.
  const auto home = selection.enter(selection.root(), "home");
  EXPECT_TRUE(selection.enter(home, "bo").takes_all());
}

TEST(Selection, DoesNotCountWhatAnExcludeTook) {
  const Selection selection = compiled({"home/al"}, {"al"});
  EXPECT_EQ(verdict_of(selection, "home/al/"), kNo);
  EXPECT_EQ(selection.unmatched_includes(), Patterns{"home/al"});
  EXPECT_TRUE(selection.unmatched_excludes().empty());
}

TEST(Selection, GivesTheRootsVerdict) {
  EXPECT_EQ(compiled({}, {}, true).root_verdict(), kYes);
  EXPECT_EQ(compiled({"**"}, {}).root_verdict(), kEnter);
}

TEST(SelectionSpec, SurvivesJson) {
  const SelectionSpec spec{.everything = false,
                           .include = {"home", "\xc3\xa4 \"quoted\"\n", "raw \xff\xfe"},
                           .exclude = {"*.o"}};
  EXPECT_EQ(selection_from_json(to_json(spec)), spec);
  EXPECT_EQ(selection_from_json(to_json(SelectionSpec{})), SelectionSpec{});
  EXPECT_EQ(to_json({.everything = true, .include = {}, .exclude = {"a"}}),
            R"({"everything":true,"exclude":["a"],"include":[]})");
}

TEST(SelectionSpec, RefusesJsonItWouldNotHaveWritten) {
  const std::vector<std::string_view> wrong{
      "",
      "null",
      "[]",
      "{}",
      R"({"everything":true,"include":[],"exclude":[])",
      R"({"everything":true,"include":[]})",
      R"({"everything":1,"include":[],"exclude":[]})",
      R"({"everything":true,"include":[],"exclude":[7]})",
      R"({"everything":true,"include":"a","exclude":[]})",
      R"({"everything":true,"include":[],"exclude":[],"rules":[]})",
      R"({"everything":true,"include":[{"base64":"!"}],"exclude":[]})",
      R"({"everything":true,"include":[{"base64":"YQ==","x":1}],"exclude":[]})",
      R"({"everything":true,"include":[{"x":"YQ=="}],"exclude":[]})"};
  for (const std::string_view text : wrong) EXPECT_FALSE(selection_from_json(text)) << text;
}

}  // namespace
}  // namespace holdfast::core
