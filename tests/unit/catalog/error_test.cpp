#include "catalog/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <future>
#include <iterator>
#include <system_error>

namespace holdfast::catalog {
namespace {

TEST(Error, DescribesASystemError) {
  const auto error =
      failed("linkat", "home/al/work", std::error_code(EXDEV, std::system_category()));
  EXPECT_EQ(describe(error.error()), "home/al/work: Invalid cross-device link (linkat)");
  EXPECT_EQ(error.error().fault, Fault::kFailed);
}

TEST(Error, DescribesARuleOfOurOwn) {
  const auto error = refused("not-sealed", "store", "the store is not sealed", "run holdfast seal");
  EXPECT_EQ(describe(error.error()), "store: the store is not sealed");
  EXPECT_EQ(error.error().fault, Fault::kRefused);
  EXPECT_EQ(error.error().reason_code, "not-sealed");
  EXPECT_EQ(error.error().hint, "run holdfast seal");
}

TEST(Error, DescribesReasonAndCauseTogether) {
  Error error;
  error.place = "state.json";
  error.operation = "fsync";
  error.cause = std::make_error_code(std::errc::io_error);
  error.reason = "the state may not be durable";
  EXPECT_EQ(describe(error),
            "state.json: the state may not be durable: Input/output error (fsync)");
}

TEST(Error, DescribesWithoutAPlace) {
  EXPECT_EQ(describe(failed("pipe2", "", std::error_code(EMFILE, std::system_category())).error()),
            "Too many open files (pipe2)");
  EXPECT_EQ(describe(Error()), "");
}

TEST(Error, EscapesThePlace) {
  const auto error = fail(Fault::kDamage, "a\x1b[2Jb\n\xff", "content differs");
  EXPECT_EQ(describe(error.error()), "a\\x1b[2Jb\\n\\xff: content differs");
  EXPECT_EQ(error.error().place, "a\x1b[2Jb\n\xff");
}

TEST(Error, NamesAFullDiskByItsFault) {
  // NOLINTNEXTLINE(misc-include-cleaner): EDQUOT is in <cerrno>
  for (const int value : {ENOSPC, EDQUOT}) {
    EXPECT_EQ(failed("write", "x", std::error_code(value, std::system_category())).error().fault,
              Fault::kNoSpace);
    EXPECT_EQ(failed("write", "x", std::error_code(value, std::generic_category())).error().fault,
              Fault::kNoSpace);
  }
  EXPECT_EQ(failed("write", "x", std::error_code(EIO, std::system_category())).error().fault,
            Fault::kFailed);
  EXPECT_EQ(failed("write", "x", std::error_code(ENOSPC, std::future_category())).error().fault,
            Fault::kFailed);
}

TEST(Error, KeepsErrno) {
  errno = ELOOP;
  EXPECT_EQ(last_error(), std::errc::too_many_symbolic_link_levels);
  EXPECT_EQ(sys_error(EXDEV).error(), std::errc::cross_device_link);
}

TEST(Fault, WorseFollowsTheOrderOfTheExitCodes) {
  const Fault order[] = {Fault::kCatalogBad, Fault::kNoSpace, Fault::kFailed,
                         Fault::kDamage,     Fault::kRefused, Fault::kIncomplete,
                         Fault::kInUse,      Fault::kNoStore, Fault::kUsage};
  for (std::size_t i = 0; i < std::size(order); ++i) {
    for (std::size_t j = i; j < std::size(order); ++j) {
      EXPECT_EQ(worse(order[i], order[j]), order[i]);
      EXPECT_EQ(worse(order[j], order[i]), order[i]);
    }
  }
}

TEST(Fault, ValuesAreTheExitCodes) {
  EXPECT_EQ(static_cast<int>(Fault::kFailed), 1);
  EXPECT_EQ(static_cast<int>(Fault::kUsage), 2);
  EXPECT_EQ(static_cast<int>(Fault::kIncomplete), 3);
  EXPECT_EQ(static_cast<int>(Fault::kDamage), 4);
  EXPECT_EQ(static_cast<int>(Fault::kRefused), 5);
  EXPECT_EQ(static_cast<int>(Fault::kNoStore), 10);
  EXPECT_EQ(static_cast<int>(Fault::kInUse), 11);
  EXPECT_EQ(static_cast<int>(Fault::kCatalogBad), 12);
  EXPECT_EQ(static_cast<int>(Fault::kNoSpace), 13);
}

}  // namespace
}  // namespace holdfast::catalog
