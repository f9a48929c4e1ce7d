#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "precedence_reference.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

// Rules around the order of precedence: their stored form, escaping, errors, what explain() gives.
namespace holdfast::core {
namespace {

using test::parse_terse;
using test::show;

struct Origin {
  std::string component = {};
  std::string kind = {};
  std::string user = {};
  std::string file = {};
  std::uint32_t line = 0;
};
SelectionRule include_of(std::string pattern, const Origin& origin = {}) {
  return {.effect = RuleEffect::kInclude,
          .layer = RuleLayer::kBuiltin,
          .pattern = std::move(pattern),
          .component = origin.component,
          .kind = origin.kind,
          .user = origin.user,
          .file = origin.file,
          .line = origin.line};
}

TEST(EscapePattern, TakesEveryByteLiterally) {
  EXPECT_EQ(escape_pattern("home/al"), "home/al");
  EXPECT_EQ(escape_pattern("a*b?c[d]e\\f"), "a\\*b\\?c\\[d\\]e\\\\f");
  EXPECT_EQ(escape_pattern("!a!"), "\\!a!");
  EXPECT_EQ(escape_pattern(""), "");
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/' || byte == '.') continue;  // a separator; "." names nothing
    for (const std::string& name :
         {std::string(1, static_cast<char>(byte)), "a" + std::string(1, static_cast<char>(byte)),
          std::string(1, static_cast<char>(byte)) + "z"}) {
      SelectionSpec spec;
      spec.rules.push_back(include_of(escape_pattern(name)));
      const auto selection = Selection::compile(spec);
      ASSERT_TRUE(selection) << byte;
      const auto root = selection->root();
      EXPECT_EQ(selection->judge(root, name, false), Selection::Verdict::kSelected) << byte;
      EXPECT_EQ(selection->judge(root, name + "x", false), Selection::Verdict::kUnselected) << byte;
    }
  }
}

SelectionSpec spec_with_rules() {
  SelectionSpec spec{.everything = false, .include = {}, .exclude = {"*.o"}};
  spec.rules.push_back({.effect = RuleEffect::kAlwaysExclude,
                        .layer = RuleLayer::kGiven,
                        .pattern = "home/\xff/\"x\"\n",
                        .component = "firefox",
                        .kind = "application",
                        .user = "\xfe",
                        .file = "browsers.toml",
                        .line = std::numeric_limits<std::uint32_t>::max()});
  spec.rules.push_back(include_of("a"));
  spec.rules.back().effect = RuleEffect::kExclude;
  spec.rules.back().layer = RuleLayer::kSite;
  spec.rules.push_back(include_of("b", {.component = "c", .file = "f", .line = 7}));
  return spec;
}

TEST(SelectionSpec, KeepsRulesInJson) {
  const SelectionSpec spec = spec_with_rules();
  EXPECT_EQ(selection_from_json(to_json(spec)), spec);
  SelectionSpec one;
  one.rules.push_back(include_of(
      "b\xff", {.component = "c", .kind = "user", .user = "al", .file = "f.toml", .line = 7}));
  EXPECT_EQ(to_json(one),
            R"({"everything":false,"exclude":[],"include":[],"rules":[{"component":"c",)"
            R"("effect":"include","file":"f.toml","kind":"user","layer":"builtin","line":7,)"
            R"("pattern":{"base64":"Yv8="},"user":"al"}]})");
}

TEST(SelectionSpec, WritesNoMemberWithoutRules) {
  EXPECT_EQ(to_json(SelectionSpec{}), R"({"everything":false,"exclude":[],"include":[]})");
}

TEST(SelectionSpec, RefusesRulesItWouldNotHaveWritten) {
  const std::string good = to_json(SelectionSpec{
      .everything = false,
      .include = {},
      .exclude = {},
      .rules = {include_of("b", {.component = "c", .kind = "k", .file = "f", .line = 7})}});
  ASSERT_TRUE(selection_from_json(good));
  struct Change {
    std::string_view from;
    std::string_view to;
  };
  const std::vector<Change> changes{{R"("line":7)", R"("line":-7)"},
                                    {R"("line":7)", R"("line":4294967296)"},
                                    {R"("line":7)", R"("line":7.5)"},
                                    {R"("line":7)", R"("line":"7")"},
                                    {R"("line":7,)", ""},
                                    {R"("line":7)", R"("line":7,"more":1)"},
                                    {R"("line":7)", R"("lime":7)"},
                                    {R"("effect":"include")", R"("effect":"prefer")"},
                                    {R"("effect":"include")", R"("effect":0)"},
                                    {R"("layer":"builtin")", R"("layer":"user")"},
                                    {R"("layer":"builtin")", R"("layer":"")"},
                                    {R"("pattern":"b")", R"("pattern":7)"},
                                    {R"("pattern":"b")", R"("pattern":{"base64":"!"})"},
                                    {R"("user":"")", R"("user":null)"},
                                    {R"("rules":[)", R"("rules":[7,)"},
                                    {R"("rules":[)", R"("rules":[[],)"},
                                    {R"("rules":[)", R"("more":[],"rules":[)"},
                                    {R"("rules":[)", R"("rulez":[)"},
                                    {R"("include":[],)", ""}};
  for (const Change& change : changes) {
    std::string text = good;
    const auto at = text.find(change.from);
    ASSERT_NE(at, std::string::npos) << change.from;
    text.replace(at, change.from.size(), change.to);
    EXPECT_FALSE(selection_from_json(text)) << text;
  }
}

TEST(Selection, NamesTheRuleWhosePatternMeansNothing) {
  SelectionSpec spec;
  spec.rules.push_back(include_of("ok", {.file = "a.toml", .line = 1}));
  spec.rules.push_back(include_of("a/../b", {.file = "a.toml", .line = 12}));
  const auto selection = Selection::compile(spec);
  ASSERT_FALSE(selection);
  EXPECT_EQ(selection.error().fault, catalog::Fault::kUsage);
  EXPECT_EQ(selection.error().place, "a/../b");
  EXPECT_EQ(selection.error().reason, "the pattern has .. in it, in a.toml line 12");
}

TEST(Selection, ExplainsAllThatMatchesTheWinnerFirst) {
  const auto spec = parse_terse(
                        "+home -home/al/.cache +home/al/.cache/keep !keep/tmp site-*/al/* "
                        "--include=srv --exclude=*.o --exclude=home/al/.cache/keep/a.o")
                        .spec;
  const auto selection = Selection::compile(spec);
  ASSERT_TRUE(selection);
  EXPECT_EQ(show(selection->explain("home/al/.cache/keep/a.o", false)),
            "unselected, exclude 0 at 'home/al/.cache/keep/a.o', "
            "exclude 1 at 'home/al/.cache/keep/a.o', rule 2 at 'home/al/.cache/keep', "
            "rule 4 at 'home/al/.cache', rule 1 at 'home/al/.cache', rule 0 at 'home'");
  EXPECT_EQ(show(selection->explain("/home//al/.cache/", true)),
            "enter, rule 4 at 'home/al/.cache', rule 1 at 'home/al/.cache', rule 0 at 'home'");
  EXPECT_EQ(show(selection->explain("srv/x", false)), "selected, include 0 at 'srv'");
  EXPECT_EQ(show(selection->explain("etc", true)), "unselected");
}

TEST(Selection, ExplainsRoot) {
  EXPECT_EQ(show(Selection::compile(parse_terse("+a").spec)->explain("", true)), "enter");
  EXPECT_EQ(show(Selection::compile(parse_terse("--everything").spec)->explain("/", true)),
            "selected, everything 0 at ''");
}

TEST(Selection, ExplainsNothingOfWhatIsNoPath) {
  const auto selection = Selection::compile(parse_terse("--everything").spec);
  EXPECT_EQ(show(selection->explain("home/../etc", false)), "unselected");
}

TEST(Selection, GivesARuleThatMatchesTwiceOnceWhereItIsNearest) {
  const auto selection = Selection::compile(parse_terse("+a -**/x").spec);
  EXPECT_EQ(show(selection->explain("a/x/b/x/c", false)),
            "unselected, rule 1 at 'a/x/b/x', rule 0 at 'a'");
}

TEST(Selection, MarksNothingAsMatchedByExplaining) {
  const auto selection = Selection::compile(parse_terse("--include=a --exclude=x +b").spec);
  (void)selection->explain("a/x", false);
  EXPECT_EQ(selection->unmatched_includes(), std::vector<std::string>{"a"});
  EXPECT_EQ(selection->unmatched_excludes(), std::vector<std::string>{"x"});
}

TEST(Selection, NotesAnIncludeBelowWhatARuleTakes) {
  const auto selection =
      Selection::compile(parse_terse("--include=home/al --include=no +home").spec);
  EXPECT_EQ(test::walked(*selection, "home/al/x"), Selection::Verdict::kSelected);
  EXPECT_EQ(selection->unmatched_includes(), std::vector<std::string>{"no"});
}

TEST(Selection, KeepsAnIncludeInForceBelowWhatARuleTakes) {
  // It has matched at home/al/x; that must not be forgotten where a rule excludes home/bo/x.
  const auto selection = Selection::compile(parse_terse("--include=**/x +home -home/*/x").spec);
  EXPECT_EQ(test::walked(*selection, "home/al/x/f"), Selection::Verdict::kSelected);
  EXPECT_EQ(test::walked(*selection, "home/bo/x/f"), Selection::Verdict::kSelected);
}

}  // namespace
}  // namespace holdfast::core
