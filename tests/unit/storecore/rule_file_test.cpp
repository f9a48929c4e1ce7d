#include "storecore/rules/rule_file.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {
namespace {

/// A component that lacks nothing; a test's own lines come behind it, as its line 5.
constexpr std::string_view kHead = R"([component.x]
title = "X"
kind = "application"
include = ["/x"]
)";

struct Wrong {
  std::string text;
  std::string_view message;  ///< as it is printed
  std::string_view hint;
};

void check(const std::vector<Wrong>& cases) {
  for (const Wrong& c : cases) {
    const auto file = parse_rules(c.text, "f.toml", RuleLayer::kSite);
    ASSERT_FALSE(file) << c.text;
    EXPECT_EQ(file.error().fault, catalog::Fault::kUsage) << c.text;
    EXPECT_EQ(catalog::describe(file.error()), c.message) << c.text;
    EXPECT_EQ(file.error().hint, c.hint) << c.text;
  }
}

std::string behind_head(std::string_view lines) { return std::string(kHead).append(lines); }

TEST(RuleFile, ReadsAComponent) {
  const auto file = parse_rules(R"(# What browsers keep.
[component.firefox]
title = "Firefox"
kind = "application"
detect = ["{home}/.mozilla/firefox"]
include = ["{home}/.mozilla/firefox"]
exclude = [
  "{home}/.mozilla/firefox/*/cache2",
  "{cache}/mozilla",
]
always_exclude = []
warning = "Close it first."
)",
                                "/etc/holdfast/rules.d/browsers.toml", RuleLayer::kSite);
  ASSERT_TRUE(file) << catalog::describe(file.error());
  EXPECT_EQ(file->path, "/etc/holdfast/rules.d/browsers.toml");
  EXPECT_EQ(file->name, "browsers.toml");
  EXPECT_EQ(file->layer, RuleLayer::kSite);
  ASSERT_EQ(file->components.size(), 1U);
  const RuleComponent& firefox = file->components.front();
  EXPECT_EQ(firefox.name, "firefox");
  EXPECT_EQ(firefox.title, "Firefox");
  EXPECT_EQ(firefox.kind, "application");
  EXPECT_EQ(firefox.warning, "Close it first.");
  EXPECT_EQ(firefox.position, (TextPosition{.line = 2, .column = 12}));
  ASSERT_EQ(firefox.detect.size(), 1U);
  EXPECT_EQ(firefox.detect[0].place, "home");
  EXPECT_EQ(firefox.detect[0].rest, "/.mozilla/firefox");
  ASSERT_EQ(firefox.rules.size(), 3U);
  EXPECT_EQ(firefox.rules[0].effect, RuleEffect::kInclude);
  EXPECT_EQ(firefox.rules[0].pattern.position, (TextPosition{.line = 6, .column = 12}));
  EXPECT_EQ(firefox.rules[1].effect, RuleEffect::kExclude);
  EXPECT_EQ(firefox.rules[1].pattern.rest, "/.mozilla/firefox/*/cache2");
  EXPECT_EQ(firefox.rules[1].pattern.position, (TextPosition{.line = 8, .column = 3}));
  EXPECT_EQ(firefox.rules[2].pattern.place, "cache");
  EXPECT_EQ(firefox.rules[2].pattern.position, (TextPosition{.line = 9, .column = 3}));
}

TEST(RuleFile, KeepsTheOrderOfTheFile) {
  const auto file = parse_rules(R"([component.z]
title = "Z"
kind = "system"
always_exclude = ["/b"]
exclude = ["/c"]
include = ["/a"]
[component.a]
title = "A"
kind = "documents"
exclude = ["*.tmp"]
[component]
m = { title = "M", kind = "user", include = ["{home}"] }
)",
                                "f.toml", RuleLayer::kGiven);
  ASSERT_TRUE(file) << catalog::describe(file.error());
  ASSERT_EQ(file->components.size(), 3U);
  EXPECT_EQ(file->components[0].name, "z");
  EXPECT_EQ(file->components[1].name, "a");
  EXPECT_EQ(file->components[2].name, "m");
  ASSERT_EQ(file->components[0].rules.size(), 3U);
  EXPECT_EQ(file->components[0].rules[0].effect, RuleEffect::kAlwaysExclude);
  EXPECT_EQ(file->components[0].rules[1].effect, RuleEffect::kExclude);
  EXPECT_EQ(file->components[0].rules[2].effect, RuleEffect::kInclude);
  EXPECT_EQ(file->components[2].rules[0].pattern.position,
            (TextPosition{.line = 12, .column = 46}));
}

TEST(RuleFile, MayBeEmpty) {
  for (const std::string_view text : {"", "\n\n", "# switched off\n", "[component]\n", "\r\n"}) {
    const auto file = parse_rules(text, "f.toml", RuleLayer::kSite);
    ASSERT_TRUE(file) << text;
    EXPECT_TRUE(file->components.empty()) << text;
  }
}

TEST(RuleFile, TakesAFileOfAnotherSystemsEditor) {
  const auto file = parse_rules(
      "\xef\xbb\xbf[component.x]\r\ntitle = \"\xc3\x84\"\r\nkind = \"user\"\r\ninclude=['/x']\r\n",
      "f.toml", RuleLayer::kSite);
  ASSERT_TRUE(file) << catalog::describe(file.error());
  EXPECT_EQ(file->components[0].title, "\xc3\x84");
  EXPECT_EQ(file->components[0].rules[0].pattern.position.line, 4U);
}

TEST(RuleFile, SaysWhereItIsNoToml) {
  check({{"[component.x\n", "f.toml:1:13: TOML: table header: expected ']', saw '\\n'", ""},
         {"\n\ntitle = \n", "f.toml:3:9: TOML: key-value pair: expected value, saw '\\n'", ""},
         {behind_head("x"), "f.toml:5:2: TOML: key-value pair: encountered end-of-file", ""},
         {behind_head("exclude = ['/a' '/b']\n"),
          "f.toml:5:17: TOML: array: expected comma or closing ']', saw '''", ""},
         {behind_head("title = 'Y'\n"),
          "f.toml:5:9: TOML: key-value pair: cannot redefine existing string 'title'", ""},
         {behind_head("[component.x]\n"),
          "f.toml:5:1: TOML: table header: cannot redefine existing table 'component.x'", ""},
         {"[=\n",
          "f.toml:1:2: TOML: key: expected bare key starting character or string "
          "delimiter, saw '='",
          ""},
         {"a\xc3\xa4 = 1\n", "f.toml:1:2: TOML: key-value pair: expected '=', saw '\xc3\xa4'", ""},
         {"\xe2\x80\xae\n",
          "f.toml:1:1: TOML: root table: expected keys, tables, whitespace or comments, saw "
          "'\\xe2\\x80\\xae'",
          ""}});
}

TEST(RuleFile, SaysWhereItIsNoText) {
  check({{"\xff", "f.toml:1:1: the text is not UTF-8", ""},
         {"# \xc3\xa4\n# \xc3\xa4\xc3\xb6 \xc3(\n", "f.toml:2:6: the text is not UTF-8", ""},
         {"title = \"\xe2\x82", "f.toml:1:10: the text is not UTF-8", ""}});
}

TEST(RuleFile, RefusesKeysThatNobodyKnows) {
  check({{"title = \"x\"\n", "f.toml:1:1: unknown key title", ""},
         {"[components.x]\n", "f.toml:1:2: unknown key components", "did you mean component?"},
         {behind_head("incude = []\n"), "f.toml:5:1: unknown key incude", "did you mean include?"},
         {behind_head("always-exclude = []\n"), "f.toml:5:1: unknown key always-exclude",
          "did you mean always_exclude?"},
         {behind_head("  colour = 1\n"), "f.toml:5:3: unknown key colour", ""},
         {behind_head("move = []\n"), "f.toml:5:1: unknown key move", ""},
         {behind_head("conflict = \"both\"\n"), "f.toml:5:1: unknown key conflict", ""},
         {behind_head("restore_mode = \"copy\"\n"), "f.toml:5:1: unknown key restore_mode", ""},
         {behind_head("\"a\\nb\" = 1\n"), "f.toml:5:1: unknown key a\\nb", ""},
         {behind_head("[component.x.more]\n"), "f.toml:5:14: unknown key more", ""}});
}

TEST(RuleFile, NamesTheFirstOfSeveralErrors) {
  check({{behind_head("zzz = 1\naaa = 1\n"), "f.toml:5:1: unknown key zzz", ""},
         {"[component.b]\nbbb = 1\n[component.a]\naaa = 1\n", "f.toml:2:1: unknown key bbb", ""}});
}

TEST(RuleFile, RefusesValuesOfTheWrongType) {
  check(
      {{"component = 1\n", "f.toml:1:1: component is a number and must be a table", ""},
       {"[[component]]\n", "f.toml:1:3: component is a list and must be a table", ""},
       {"[component]\nx = \"y\"\n", "f.toml:2:1: x is a text and must be a table", ""},
       {"[[component.x]]\n", "f.toml:1:13: x is a list and must be a table", ""},
       {"[component.x]\ntitle = 1.5\n", "f.toml:2:1: title is a number and must be a text", ""},
       {"[component.x]\nkind = true\n", "f.toml:2:1: kind is a truth value and must be a text", ""},
       {behind_head("warning = [\"x\"]\n"), "f.toml:5:1: warning is a list and must be a text", ""},
       {behind_head("exclude = \"/x\"\n"),
        "f.toml:5:1: exclude is a text and must be a list of texts", ""},
       {behind_head("exclude = { a = 1 }\n"),
        "f.toml:5:1: exclude is a table and must be a list of texts", ""},
       {behind_head("exclude = [\"/a\",\n  2020-01-01]\n"),
        "f.toml:6:3: exclude holds a date or time and must be a list of texts", ""},
       {behind_head("detect = [[\"/a\"]]\n"),
        "f.toml:5:11: detect holds a list and must be a list of texts", ""}});
}

TEST(RuleFile, RefusesTextsThatSayNothingOrTooMuch) {
  check({{"[component.x]\ntitle = \"\"\n", "f.toml:2:9: title is empty", ""},
         {"[component.x]\ntitle = \"a\\nb\"\n",
          "f.toml:2:9: title has a line break or another control character in it", ""},
         {"[component.x]\ntitle = \"\\u202e\"\n",
          "f.toml:2:9: title has a line break or another control character in it", ""},
         {behind_head("warning = ''\n"), "f.toml:5:11: warning is empty", ""},
         {behind_head("warning = \"\"\"\na\n\"\"\"\n"),
          "f.toml:5:11: warning has a line break or another control character in it", ""}});
}

TEST(RuleFile, RefusesKindsThatNobodyKnows) {
  constexpr std::string_view hint = "it is user, system, application or documents";
  check({{"[component.x]\nkind = \"app\"\n", "f.toml:2:8: unknown kind 'app'", hint},
         {"[component.x]\nkind = \"User\"\n", "f.toml:2:8: unknown kind 'User'", hint},
         {"[component.x]\nkind = \"\\u001b\"\n", "f.toml:2:8: unknown kind '\\x1b'", hint}});
}

TEST(RuleFile, RefusesBadNamesOfComponents) {
  constexpr std::string_view hint = "names are made of a to z, 0 to 9 and -";
  check({{"[component.Firefox]\n", "f.toml:1:12: 'Firefox' is no name for a component", hint},
         {"[component.a_b]\n", "f.toml:1:12: 'a_b' is no name for a component", hint},
         {"[component.\"\"]\n", "f.toml:1:12: '' is no name for a component", hint},
         {"[component.\"a b\"]\n", "f.toml:1:12: 'a b' is no name for a component", hint},
         {"[component.'\xc3\xa4']\n", "f.toml:1:12: '\xc3\xa4' is no name for a component", hint}});
}

TEST(RuleFile, RefusesComponentsThatLackSomething) {
  constexpr std::string_view needs = "it needs an include, an exclude or an always_exclude";
  constexpr std::string_view kinds = "it is user, system, application or documents";
  check({{"[component.x]\n", "f.toml:1:12: component x has no title", ""},
         {"[component.x]\ntitle = \"X\"\n", "f.toml:1:12: component x has no kind", kinds},
         {"\n[component.x]\ntitle = \"X\"\nkind = \"user\"\n",
          "f.toml:2:12: component x names nothing", needs},
         {"[component.x]\ntitle = \"X\"\nkind = \"user\"\ninclude = []\nexclude = []\n",
          "f.toml:1:12: component x names nothing", needs}});
}

TEST(RuleFile, RefusesBadPatterns) {
  const auto line = [](std::string_view patterns) {
    return behind_head(std::string("exclude = [").append(patterns) + "]\n");
  };
  constexpr std::string_view braces = "a brace that stands for itself is {{ or }}";
  constexpr std::string_view beginning =
      "a variable stands at the beginning; a brace that stands for itself is {{ or }}";
  check({{line("''"), "f.toml:5:12: '': the pattern names nothing", ""},
         {line("'/'"), "f.toml:5:12: '/': the pattern names nothing", ""},
         {line("'/a', '!b'"),
          "f.toml:5:18: '!b': the pattern begins with !; a name that does is \\!", ""},
         {line("'../a'"), "f.toml:5:12: '../a': the pattern has .. in it", ""},
         {line("'{home}/../a'"), "f.toml:5:12: '{home}/../a': the pattern has .. in it", ""},
         {line("'[a'"),
          "f.toml:5:12: '[a': the pattern has a [ without its ], or an unknown class in it", ""},
         {line("'{home}/a\\'"),
          "f.toml:5:12: '{home}/a\\\\': the pattern ends a name in a backslash", ""},
         {line("\"a\\u0000\""), "f.toml:5:12: 'a\\x00': the pattern holds a NUL byte", ""},
         {line("'{hme}/a'"), "f.toml:5:12: '{hme}/a': there is no variable {hme}",
          "did you mean {home}?"},
         {line("'{HOME}'"), "f.toml:5:12: '{HOME}': there is no variable {HOME}", braces},
         {line("'{}'"), "f.toml:5:12: '{}': there is no variable {}", braces},
         {line("'{home'"), "f.toml:5:12: '{home': a { without its }", braces},
         {line("'{ho{me}'"), "f.toml:5:12: '{ho{me}': a { without its }", braces},
         {line("'{home}a'"),
          "f.toml:5:12: '{home}a': {home} is a whole path: a / comes behind it, or nothing", ""},
         {line("'/{home}'"), "f.toml:5:12: '/{home}': a { that does not begin the pattern",
          beginning},
         {line("'**/{home}'"), "f.toml:5:12: '**/{home}': a { that does not begin the pattern",
          beginning},
         {line("'a}'"), "f.toml:5:12: 'a}': a } without its {", beginning}});
}

TEST(RuleFile, RefusesADetectThatCannotBeAnswered) {
  check({{behind_head("detect = []\n"), "f.toml:5:1: detect is an empty list",
          "leave it out for a component that is always there"},
         {behind_head("detect = ['**/x']\n"),
          "f.toml:5:11: detect has ** in it, which would search the whole volume", ""},
         {behind_head("detect = ['/x', '{home}/**/x']\n"),
          "f.toml:5:17: detect has ** in it, which would search the whole volume", ""}});
}

TEST(RuleFile, RefusesNestingThatWouldExhaustTheStack) {
  std::string keys = "a";
  for (int i = 0; i < 400'000; ++i) keys += ".a";
  check({{keys + " = 1\n", "f.toml:1:1: more than 256 dots in one line",
          "spread the list over more lines"},
         {"\n[" + keys + "]\n", "f.toml:2:1: more than 256 dots in one line",
          "spread the list over more lines"}});
  const auto nested = parse_rules("a = " + std::string(400'000, '['), "f.toml", RuleLayer::kSite);
  ASSERT_FALSE(nested);
  EXPECT_EQ(nested.error().place, "f.toml:1:13");
}

TEST(PlacePattern, TakesBracesForThemselves) {
  const auto system = parse_place_pattern("{{a}}/b");
  ASSERT_TRUE(system);
  EXPECT_EQ(system->place, "");
  EXPECT_EQ(system->rest, "{a}/b");
  const auto person = parse_place_pattern("{documents}/{{}}");
  ASSERT_TRUE(person);
  EXPECT_EQ(person->place, "documents");
  EXPECT_EQ(person->rest, "/{}");
  const auto three = parse_place_pattern("{{{home}");
  ASSERT_FALSE(three);
  EXPECT_EQ(three.error().reason, "a { that does not begin the pattern");
}

TEST(PlacePattern, KnowsEveryPlace) {
  EXPECT_EQ(place_names().size(), 13U);
  for (const std::string_view name : place_names()) {
    const auto pattern = parse_place_pattern("{" + std::string(name) + "}");
    ASSERT_TRUE(pattern) << name;
    EXPECT_EQ(pattern->place, name);
    EXPECT_EQ(pattern->rest, "");
  }
}

}  // namespace
}  // namespace holdfast::core
