#include "catalog/writer.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/schema.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using testing::TempDirectory;

class WriterTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env_) << describe(env_.error()); }

  /// What somebody else would see: rows that are committed.
  std::uint64_t committed(Table table = Table::kOwners) {
    const auto txn = ReadTxn::begin(*env_);
    EXPECT_TRUE(txn);
    return txn->count(table).value();
  }

  static Batch batch_of(std::uint64_t first, std::uint64_t rows) {
    Batch batch;
    for (std::uint64_t i = 0; i < rows; ++i) {
      batch.put(Table::kOwners, sequence_key(first + i), "v");
    }
    return batch;
  }

  TempDirectory directory_;
  Result<Env> env_ = Env::open(directory_.fd(), Env::Mode::kCreate, std::size_t{256} << 20);
};

TEST_F(WriterTest, WritesNothingBeforeCommit) {
  Writer writer(*env_);
  ASSERT_TRUE(writer.put(Table::kOwners, "a", "1"));
  EXPECT_EQ(committed(), 0U);
  ASSERT_TRUE(writer.commit());
  EXPECT_EQ(committed(), 1U);
  EXPECT_EQ(writer.rows(), 1U);
}

TEST_F(WriterTest, NothingToCommitIsSuccess) {
  Writer writer(*env_);
  EXPECT_TRUE(writer.commit());
  EXPECT_TRUE(writer.apply(Batch()));
  EXPECT_TRUE(writer.commit());
  EXPECT_EQ(writer.rows(), 0U);
}

TEST_F(WriterTest, CommitsAfterTwentyThousandRows) {
  Writer writer(*env_, {.rows = Writer::kCommitRows, .interval = std::chrono::hours(1)});
  for (std::uint64_t i = 0; i < Writer::kCommitRows - 1; ++i) {
    ASSERT_TRUE(writer.put(Table::kOwners, sequence_key(i), "v"));
  }
  EXPECT_EQ(committed(), 0U);
  ASSERT_TRUE(writer.put(Table::kOwners, sequence_key(99'999), "v"));
  EXPECT_EQ(committed(), Writer::kCommitRows);
  ASSERT_TRUE(writer.put(Table::kOwners, sequence_key(100'000), "v"));
  EXPECT_EQ(committed(), Writer::kCommitRows);
}

TEST_F(WriterTest, NeverSplitsABatch) {
  Writer writer(*env_, {.rows = 100, .interval = std::chrono::hours(1)});
  ASSERT_TRUE(writer.apply(batch_of(0, 99)));
  EXPECT_EQ(committed(), 0U);
  ASSERT_TRUE(writer.apply(batch_of(99, 150)));
  EXPECT_EQ(committed(), 249U);
  ASSERT_TRUE(writer.apply(batch_of(249, 99)));
  EXPECT_EQ(committed(), 249U);
  EXPECT_EQ(writer.rows(), 348U);
}

TEST_F(WriterTest, CommitsWhenTimeIsUp) {
  Writer writer(*env_, {.rows = 1'000'000, .interval = std::chrono::milliseconds(30)});
  ASSERT_TRUE(writer.put(Table::kOwners, "a", "1"));
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  ASSERT_TRUE(writer.put(Table::kOwners, "b", "2"));
  EXPECT_EQ(committed(), 2U);
}

TEST_F(WriterTest, TimeCountsFromTheFirstRow) {
  Writer writer(*env_, {.rows = 1'000'000, .interval = std::chrono::seconds(2)});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(writer.put(Table::kOwners, "a", "1"));
  EXPECT_EQ(committed(), 0U);
}

TEST_F(WriterTest, AbandonsWhatIsOpen) {
  {
    Writer writer(*env_);
    ASSERT_TRUE(writer.apply(batch_of(0, 10)));
  }
  EXPECT_EQ(committed(), 0U);
  Writer writer(*env_);  // and holds no lock of the old transaction
  ASSERT_TRUE(writer.apply(batch_of(0, 3)));
  ASSERT_TRUE(writer.commit());
  EXPECT_EQ(committed(), 3U);
}

TEST_F(WriterTest, AppliesRowsInOrder) {
  Writer writer(*env_);
  Batch batch;
  batch.put(Table::kOwners, "a", "1");
  batch.erase(Table::kOwners, "a");
  batch.erase(Table::kOwners, "never");
  batch.put(Table::kOwners, "b", "1");
  batch.put(Table::kOwners, "b", "2");
  ASSERT_TRUE(writer.apply(batch));
  ASSERT_TRUE(writer.erase(Table::kOwners, "never"));
  const auto txn = writer.transaction();
  ASSERT_TRUE(txn);
  EXPECT_EQ((*txn)->get(Table::kOwners, "a").value(), std::nullopt);
  EXPECT_EQ((*txn)->get(Table::kOwners, "b").value(), "2");
}

TEST_F(WriterTest, GoesOnBehindATransactionThatWasLookedAt) {
  Writer writer(*env_, {.rows = 4, .interval = std::chrono::hours(1)});
  ASSERT_TRUE(writer.apply(batch_of(0, 2)));
  ASSERT_TRUE(writer.transaction());
  EXPECT_EQ((*writer.transaction())->count(Table::kOwners).value(), 2U);
  ASSERT_TRUE(writer.apply(batch_of(2, 1)));
  EXPECT_EQ((*writer.transaction())->count(Table::kOwners).value(), 3U);
  EXPECT_EQ(committed(), 0U);
  ASSERT_TRUE(writer.apply(batch_of(3, 1)));
  EXPECT_EQ(committed(), 4U);
}

TEST_F(WriterTest, ReportsARowThatCannotBeWritten) {
  Writer writer(*env_);
  Batch batch;
  batch.put(Table::kOwners, std::string(600, 'k'), "key too long");
  batch.put(Table::kOwners, "b", "2");
  ASSERT_TRUE(writer.apply(batch));  // nothing is written yet
  EXPECT_FALSE(writer.commit());
  EXPECT_EQ(committed(), 0U);
}

TEST_F(WriterTest, NumbersProblemsBehindTheLast) {
  for (int run = 0; run < 2; ++run) {
    Writer writer(*env_, {.rows = 2, .interval = std::chrono::hours(1)});
    for (int i = 0; i < 3; ++i) {
      Problem problem = testing::sample_problem();
      problem.error_number = run * 3 + i;
      ASSERT_TRUE(writer.add(problem));
    }
    ASSERT_TRUE(writer.commit());
  }
  const auto txn = ReadTxn::begin(*env_);
  ASSERT_TRUE(txn);
  std::vector<int> numbers;
  ASSERT_TRUE(Reader(*txn).for_each_problem([&numbers](const Problem& problem) -> Result<bool> {
    numbers.push_back(problem.error_number);
    return true;
  }));
  EXPECT_EQ(numbers, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace holdfast::catalog
