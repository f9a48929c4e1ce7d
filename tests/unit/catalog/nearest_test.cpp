#include "catalog/nearest.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::catalog {
namespace {

constexpr std::array<std::string_view, 3> kWords{"include", "exclude", "title"};

TEST(Nearest, FindsWhatWasMistyped) {
  EXPECT_EQ(nearest("incude", kWords), "include");
  EXPECT_EQ(nearest("titel", kWords), "title");  // swapped neighbours are one step
  EXPECT_EQ(nearest("excludes", kWords), "exclude");
  EXPECT_EQ(nearest("ti", kWords), "title");  // the beginning of it
}

TEST(Nearest, FindsNothingWhereNothingIsNear) {
  EXPECT_EQ(nearest("colour", kWords), std::nullopt);
  EXPECT_EQ(nearest("t", kWords), std::nullopt);
  EXPECT_EQ(nearest("", kWords), std::nullopt);
  EXPECT_EQ(nearest(std::string(41, 'e'), kWords), std::nullopt);
  EXPECT_EQ(nearest("title", {}), std::nullopt);
}

}  // namespace
}  // namespace holdfast::catalog
