#include "storecore/run/failpoint.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): POSIX, not C

#include <string>

#include "fixture.hpp"

namespace holdfast::core {
namespace {

/// How far a child gets that passes "one" five times and "two" once, in turns.
/// The environment is read once in a process: only children may arrive at failpoints here.
std::string passes(const char* spec) {
  return test::in_child([spec]() -> std::string {
    if (spec != nullptr) ::setenv("HOLDFAST_FAILPOINT", spec, 1);
    for (int i = 0; i < 5; ++i) {
      failpoint("one");
      if (i == 3) failpoint("two");
    }
    return "passed";
  });
}

constexpr const char* kKilled = "killed by signal 9";

TEST(Failpoint, DoesNothingUnlessAsked) {
  ::unsetenv("HOLDFAST_FAILPOINT");
  EXPECT_EQ(passes(nullptr), "passed");
  EXPECT_EQ(passes(""), "passed");
  EXPECT_EQ(passes("other"), "passed");
  EXPECT_EQ(passes("on"), "passed");
}

TEST(Failpoint, KillsAtTheNthArrival) {
  EXPECT_EQ(passes("one"), kKilled);
  EXPECT_EQ(passes("two"), kKilled);
  EXPECT_EQ(passes("one:1"), kKilled);
  EXPECT_EQ(passes("one:5"), kKilled);
  EXPECT_EQ(passes("one:6"), "passed");
  EXPECT_EQ(passes("two:2"), "passed");
}

TEST(Failpoint, TakesNoNonsenseForACount) {
  EXPECT_EQ(passes("one:0"), "passed");
  EXPECT_EQ(passes("one:x"), "passed");
  EXPECT_EQ(passes("one:"), "passed");
}

}  // namespace
}  // namespace holdfast::core
