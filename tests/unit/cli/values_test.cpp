#include "cli/values.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

namespace holdfast::cli {
namespace {

TEST(ParseSize, TakesBytesAndPowersOf1024) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("1048576"), 1048576U);
  EXPECT_EQ(parse_size("500M"), std::uint64_t{500} << 20);
  EXPECT_EQ(parse_size("20G"), std::uint64_t{20} << 30);
  EXPECT_EQ(parse_size("20g"), std::uint64_t{20} << 30);
  EXPECT_EQ(parse_size("20GiB"), std::uint64_t{20} << 30);
  EXPECT_EQ(parse_size("20GB"), std::uint64_t{20} << 30);
  EXPECT_EQ(parse_size("512B"), 512U);
  EXPECT_EQ(parse_size("1.5T"), std::uint64_t{3} << 39);
  EXPECT_EQ(parse_size("0.5K"), 512U);
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_size("15E"), std::uint64_t{15} << 60);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "G", "20X", "-1", "+1", " 1", "1 G", "1..5G", ".5G", "5.G", "1.5", "20Gi", "20GG",
        "1e9", "0x10", "16E", "18446744073709551616", "99999999999999999999T", "1,5G"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(ParseNumber, TakesDigitsOnly) {
  EXPECT_EQ(parse_number("256"), 256U);
  for (const char* text : {"", "-1", "+1", "1.0", "0x1", "1 ", "99999999999999999999"}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(ParseSeconds, TakesFractionsAndNothingOdd) {
  EXPECT_EQ(parse_seconds("30"), 30.0);
  EXPECT_EQ(parse_seconds("0.5"), 0.5);
  for (const char* text : {"", "-1", "inf", "nan", "1e3", "1s", ".5", "1e99", "99999999999999"}) {
    EXPECT_FALSE(parse_seconds(text)) << text;
  }
}

TEST(ParsePair, SplitsAtTheFirstEqualsSign) {
  EXPECT_EQ(parse_pair("a=b=c"), std::make_pair(std::string("a"), std::string("b=c")));
  EXPECT_EQ(parse_pair("a="), std::make_pair(std::string("a"), std::string()));
  EXPECT_FALSE(parse_pair("=b"));
  EXPECT_FALSE(parse_pair("ab"));
  EXPECT_FALSE(parse_pair(""));
}

}  // namespace
}  // namespace holdfast::cli
