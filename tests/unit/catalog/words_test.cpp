#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>

#include "catalog/problem.hpp"
#include "catalog/records.hpp"

namespace holdfast::catalog {
namespace {

// Numbers and words are in catalogs and scripts: this test is the reason they cannot be changed by
// accident.
TEST(Words, OfProblemsAreFrozen) {
  constexpr std::string_view words[] = {"skipped", "missed",   "unstable", "vanished",
                                        "left",    "conflict", "modified", "corrupt",
                                        "missing", "extra",    "warning"};
  std::uint8_t value = 1;
  for (const std::string_view word : words) {
    const auto kind = problem_kind_from(value);
    ASSERT_TRUE(kind);
    EXPECT_EQ(static_cast<std::uint8_t>(*kind), value);
    EXPECT_EQ(to_word(*kind), word);
    ++value;
  }
  EXPECT_FALSE(problem_kind_from(0));
  EXPECT_FALSE(problem_kind_from(value));
  EXPECT_FALSE(problem_kind_from(255));
  EXPECT_EQ(to_word(ProblemKind::kMissed), "missed");
  EXPECT_EQ(to_word(ProblemKind::kWarning), "warning");
}

TEST(Words, OfTypesAreFrozen) {
  constexpr std::string_view words[] = {"file", "directory", "symlink", "fifo", "char", "block"};
  std::uint8_t value = 1;
  for (const std::string_view word : words) {
    EXPECT_EQ(to_word(static_cast<FileType>(value++)), word);
  }
}

TEST(Words, OfHeldAreFrozen) {
  constexpr std::string_view words[] = {"link", "reflink", "copy", "node"};
  std::uint8_t value = 1;
  for (const std::string_view word : words) {
    EXPECT_EQ(to_word(static_cast<Held>(value++)), word);
  }
}

}  // namespace
}  // namespace holdfast::catalog
