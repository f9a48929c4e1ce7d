#include "catalog/name.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::catalog {
namespace {

using std::string_view_literals::operator""sv;

TEST(IsComponent, TakesAnyBytesButSlashAndNul) {
  EXPECT_TRUE(is_component("a"));
  EXPECT_TRUE(is_component("..."));
  EXPECT_TRUE(is_component(".hidden"));
  EXPECT_TRUE(is_component(" "));
  EXPECT_TRUE(is_component("\xff\n\x01"));
  EXPECT_TRUE(is_component(std::string(kMaxNameBytes, 'n')));
}

TEST(IsComponent, RefusesWhatWouldLeaveItsDirectory) {
  EXPECT_FALSE(is_component(""));
  EXPECT_FALSE(is_component("."));
  EXPECT_FALSE(is_component(".."));
  EXPECT_FALSE(is_component("a/b"));
  EXPECT_FALSE(is_component("/"));
  EXPECT_FALSE(is_component("a\0b"sv));
  EXPECT_FALSE(is_component(std::string(kMaxNameBytes + 1, 'n')));
}

TEST(SplitPath, DropsEmptyAndDotComponents) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(split_path("a/b//c"), (Names{"a", "b", "c"}));
  EXPECT_EQ(split_path("/a/./b/"), (Names{"a", "b"}));
  EXPECT_EQ(split_path(""), Names());
  EXPECT_EQ(split_path("/"), Names());
  EXPECT_EQ(split_path("."), Names());
  EXPECT_EQ(split_path("..."), Names{"..."});
}

TEST(SplitPath, RefusesDotDotNulAndTooLong) {
  EXPECT_FALSE(split_path(".."));
  EXPECT_FALSE(split_path("a/../b"));
  EXPECT_FALSE(split_path("a\0b"sv));
  EXPECT_FALSE(split_path("a/" + std::string(kMaxNameBytes + 1, 'n')));
}

TEST(JoinPath, NeedsNoSlashAtTheRoot) {
  EXPECT_EQ(join_path("", "a"), "a");
  EXPECT_EQ(join_path("a", "b"), "a/b");
  EXPECT_EQ(join_path("a/", "b"), "a/b");
  EXPECT_EQ(join_path("/", "b"), "/b");
  EXPECT_EQ(join_path("a", ""), "a");
  EXPECT_EQ(join_path("", ""), "");
}

struct Escaped {
  std::string_view bytes;
  std::string_view printed;
};

TEST(EscapeName, PrintsWhatCanBePrinted) {
  const Escaped cases[] = {
      {"plain name.txt", "plain name.txt"},
      {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"\xc2\xa0", "\xc2\xa0"},                  // first code point behind C1
      {"\xef\xbf\xbf", "\xef\xbf\xbf"},          // U+FFFF: no character, but UTF-8
      {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},  // U+10FFFF
      {"\"quotes'", "\"quotes'"},
  };
  for (const auto& [bytes, printed] : cases) {
    EXPECT_EQ(escape_name(bytes), printed);
  }
}

TEST(EscapeName, EscapesControlBytes) {
  const Escaped cases[] = {
      {"a\\b", "a\\\\b"},         {"a\nb", "a\\nb"},          {"a\tb\r", "a\\tb\\r"},
      {"\x1b[31m", "\\x1b[31m"},  {"\0"sv, "\\x00"},          {"\x01\x1f", "\\x01\\x1f"},
      {"\x7f", "\\x7f"},          {"\xc2\x80", "\\xc2\\x80"}, {"\xc2\x9b", "\\xc2\\x9b"},
      {"\xc2\x9f", "\\xc2\\x9f"},
  };
  for (const auto& [bytes, printed] : cases) {
    EXPECT_EQ(escape_name(bytes), printed);
  }
}

TEST(EscapeName, EscapesWhatHidesOrReordersText) {
  const Escaped cases[] = {
      {"\xd8\x9c", "\\xd8\\x9c"},           // U+061C
      {"\xe2\x80\x8e", "\\xe2\\x80\\x8e"},  // U+200E
      {"\xe2\x80\x8f", "\\xe2\\x80\\x8f"},  // U+200F
      {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},  // U+2028
      {"\xe2\x80\xa9", "\\xe2\\x80\\xa9"},  // U+2029
      {"\xe2\x80\xaa", "\\xe2\\x80\\xaa"},  // U+202A
      {"\xe2\x80\xab", "\\xe2\\x80\\xab"},  // U+202B
      {"\xe2\x80\xac", "\\xe2\\x80\\xac"},  // U+202C
      {"\xe2\x80\xad", "\\xe2\\x80\\xad"},  // U+202D
      {"\xe2\x80\xae", "\\xe2\\x80\\xae"},  // U+202E
      {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},  // U+2066
      {"\xe2\x81\xa7", "\\xe2\\x81\\xa7"},  // U+2067
      {"\xe2\x81\xa8", "\\xe2\\x81\\xa8"},  // U+2068
      {"\xe2\x81\xa9", "\\xe2\\x81\\xa9"},  // U+2069
      {"\xef\xbb\xbf"
       "a",
       "\\xef\\xbb\\xbfa"},                                      // U+FEFF
      {"\xe2\x80\x8d\xe2\x80\xaf", "\xe2\x80\x8d\xe2\x80\xaf"},  // U+200D, U+202F: their neighbours
      {"\xe2\x81\xa5\xe2\x81\xaa", "\xe2\x81\xa5\xe2\x81\xaa"},  // U+2065, U+206A: likewise
  };
  for (const auto& [bytes, printed] : cases) {
    EXPECT_EQ(escape_name(bytes), printed);
  }
}

TEST(EscapeName, EscapesBytesThatAreNotUtf8) {
  const Escaped cases[] = {
      {"\xff", "\\xff"},
      {"a\x80z", "a\\x80z"},                         // continuation without lead
      {"\xc3", "\\xc3"},                             // lead without continuation
      {"\xc3(", "\\xc3("},                           // broken off by another character
      {"\xc0\x80", "\\xc0\\x80"},                    // overlong NUL
      {"\xc1\xbf", "\\xc1\\xbf"},                    // overlong DEL
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           // overlong slash
      {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},  // overlong slash, four bytes
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // above U+10FFFF
      {"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
      {"\xe2\x82", "\\xe2\\x82"},  // cut off
      {"\xff\xe2\x82\xac", "\\xff\xe2\x82\xac"},
  };
  for (const auto& [bytes, printed] : cases) {
    EXPECT_EQ(escape_name(bytes), printed);
    EXPECT_FALSE(is_utf8(bytes));
  }
}

TEST(EscapeName, NeverLetsAControlByteThroughAndStaysUtf8) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string bytes = {static_cast<char>(first), static_cast<char>(second)};
      const std::string printed = escape_name(bytes);
      EXPECT_TRUE(is_utf8(printed));
      for (const char c : printed) {
        const auto value = static_cast<unsigned char>(c);
        EXPECT_TRUE(value >= 0x20 && value != 0x7f);
      }
    }
  }
}

TEST(Base64, MatchesTheRfc) {
  const Escaped cases[] = {{"", ""},
                           {"f", "Zg=="},
                           {"fo", "Zm8="},
                           {"foo", "Zm9v"},
                           {"foob", "Zm9vYg=="},
                           {"fooba", "Zm9vYmE="},
                           {"foobar", "Zm9vYmFy"},
                           {"\xff\xfe\xfd", "//79"},
                           {"\0"sv, "AA=="}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
}

TEST(Base64, RefusesOtherTexts) {
  for (const std::string_view text : {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Z g=",
                                      "Zg==Zg==", "Zm9v\n", "Zm9-", "=Zg="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Base64, CarriesEveryByte) {
  std::string bytes;
  for (int value = 0; value < 256; ++value) {
    bytes += static_cast<char>(value);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  }
}

}  // namespace
}  // namespace holdfast::catalog
