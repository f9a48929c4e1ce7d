#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "storecore/select/pattern.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {
namespace {

struct Case {
  std::string_view pattern;
  std::string_view name;
  bool matches;
};

TEST(GlobMatch, FollowsTheTable) {
  const std::vector<Case> cases{
      {"", "", true},
      {"", "a", false},
      {"a", "a", true},
      {"a", "A", false},
      {"a", "ab", false},
      {"ab", "a", false},
      {"?", "a", true},
      {"?", "", false},
      {"?", "ab", false},
      {"?", "\xff", true},
      {"??", "\xc3\xa4", true},  // bytes, not letters
      {"*", "", true},
      {"*", "abc", true},
      {"*", ".hidden", true},
      {"**", "abc", true},
      {"*.o", "a.o", true},
      {"*.o", ".o", true},
      {"*.o", "a.oo", false},
      {"*.o", "a.o.o", true},
      {"a*", "a", true},
      {"a*c", "abc", true},
      {"a*c", "abcd", false},
      {"a*b*c", "aXbYbZc", true},
      {"a*b*c", "aXbYbZ", false},
      {"*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
      {"*?", "", false},
      {"*?", "x", true},
      {"?*?", "x", false},
      {"[ab]", "a", true},
      {"[ab]", "c", false},
      {"[ab]", "", false},
      {"[ab]", "ab", false},
      {"[a-c]x", "bx", true},
      {"[a-c]x", "dx", false},
      {"[!a]", "b", true},
      {"[!a]", "a", false},
      {"[^a]", "b", true},
      {"[^a]", "a", false},
      {"[]a]", "]", true},
      {"[]a]", "a", true},
      {"[]a]", "b", false},
      {"[!]]", "]", false},
      {"[!]]", "x", true},
      {"[a-]", "-", true},
      {"[-a]", "-", true},
      {"[a-c-e]", "d", false},
      {"[a-c-e]", "-", true},
      {"[c-a]", "b", false},
      {"[\\]]", "]", true},
      {"[\\a-c]", "b", true},
      {"[a\\-c]", "b", false},
      {"[a\\-c]", "-", true},
      {"[*]", "*", true},
      {"[*]", "x", false},
      {"[?]", "x", false},
      {"[[:digit:]]", "7", true},
      {"[[:digit:]]", "x", false},
      {"[[:digit:]x]", "x", true},
      {"[![:digit:]]", "7", false},
      {"[[:alpha:]][[:upper:]][[:lower:]]", "aBc", true},
      {"[[:space:]]", "\t", true},
      {"[[:blank:]]", "\n", false},
      {"[[:xdigit:]]", "F", true},
      {"[[:punct:]]", "_", true},
      {"[[:cntrl:]]", "\x1b", true},
      {"[[:print:]]", "\x7f", false},
      {"[[:graph:]]", " ", false},
      {"[[:alnum:]]", "\xe4", false},
      {"[[:digit]", "[", true},  // no ":]": plain members
      {"[[:digit]", ":", true},
      {"[[]", "[", true},
      {"\\*", "*", true},
      {"\\*", "x", false},
      {"\\a", "a", true},
      {"\\\\", "\\", true},
      {"a\\?b", "a?b", true},
      {"a\\?b", "axb", false},
      // Malformed: matches nothing.
      {"[", "[", false},
      {"[a", "a", false},
      {"[]", "]", false},
      {"[!]", "x", false},
      {"a\\", "a\\", false},
      {"[a\\", "a", false},
      {"[[:nonsense:]]", "a", false},
      {"*[", "x", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(glob_match(c.pattern, c.name), c.matches) << c.pattern << " on " << c.name;
  }
}

TEST(CompilePattern, CutsIntoParts) {
  using Kind = PatternPart::Kind;
  const auto kinds = [](std::string_view source, Anchor anchor) {
    std::string text;
    const auto pattern = compile_pattern(source, anchor);
    for (const PatternPart& part : pattern.value().parts) {
      text +=
          part.kind == Kind::kAnyDepth ? "**" : (part.kind == Kind::kGlob ? "G" : "L") + part.text;
      text += " ";
    }
    return text + (pattern->directories_only ? "/" : "");
  };
  EXPECT_EQ(kinds("a", Anchor::kRoot), "La ");
  EXPECT_EQ(kinds("a", Anchor::kNoSlash), "** La ");
  EXPECT_EQ(kinds("/a", Anchor::kNoSlash), "La ");
  EXPECT_EQ(kinds("a/", Anchor::kNoSlash), "** La /");
  EXPECT_EQ(kinds("a/b/", Anchor::kNoSlash), "La Lb /");
  EXPECT_EQ(kinds("./a//b", Anchor::kNoSlash), "La Lb ");
  EXPECT_EQ(kinds("\\*\\a*", Anchor::kRoot), "G\\*\\a* ");
  EXPECT_EQ(kinds("\\*\\a", Anchor::kRoot), "L*a ");
  EXPECT_EQ(kinds("a/**/**/b", Anchor::kRoot), "La ** Lb ");
  EXPECT_EQ(kinds("**", Anchor::kNoSlash), "** ");
  EXPECT_EQ(kinds("a**", Anchor::kRoot), "Ga** ");
  EXPECT_EQ(kinds("\\!a", Anchor::kRoot), "L!a ");
}

TEST(CompilePattern, SaysWhatIsWrong) {
  const std::vector<std::string_view> wrong{"",       "/",
                                            "//",     ".",
                                            "./",     "!a",
                                            "..",     "../a",
                                            "a/../b", "a/..",
                                            "[",      "a/[b",
                                            "[a/b]",  "a\\",
                                            "a\\/b",  "[[:nonsense:]]",
                                            "x[!]",   std::string_view("a\0b", 3)};
  for (const std::string_view source : wrong) {
    const auto pattern = compile_pattern(source, Anchor::kNoSlash);
    EXPECT_FALSE(pattern.has_value()) << source;
    if (!pattern) {
      EXPECT_FALSE(pattern.error().empty()) << source;
    }
  }
}

}  // namespace
}  // namespace holdfast::core
