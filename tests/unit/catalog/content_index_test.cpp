#include "catalog/content_index.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/reader.hpp"
#include "catalog/schema.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using testing::digest_of_text;
using testing::TempDirectory;
using Row = std::pair<Digest, std::string>;

// Some contents are shared by many names, some names are long.
std::vector<Row> sample_rows(int count) {
  std::vector<Row> rows;
  for (int i = 0; i < count; ++i) {
    const Digest hash = digest_of_text(std::to_string(i % 3 == 0 ? i % 30 : i));
    const std::string name =
        (i % 17 == 0 ? std::string(600, 'l') : std::string("name-")) + std::to_string(i);
    rows.emplace_back(hash, entry_key(DirId{static_cast<std::uint64_t>(i % 7 + 1)}, name));
  }
  return rows;
}

class ContentIndexTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env_) << describe(env_.error()); }

  std::vector<Row> stored() {
    const auto txn = ReadTxn::begin(*env_);
    EXPECT_TRUE(txn);
    std::vector<Row> rows;
    EXPECT_TRUE(Reader(*txn).for_each_content(
        [&rows](const Digest& hash, DirId, std::string_view key) -> Result<bool> {
          rows.emplace_back(hash, key);
          return true;
        }));
    return rows;
  }

  TempDirectory directory_;
  TempDirectory scratch_;
  Result<Env> env_ = Env::open(directory_.fd(), Env::Mode::kCreate, std::size_t{256} << 20);
};

TEST_F(ContentIndexTest, SortsWhateverTheSizeOfItsRuns) {
  std::vector<Row> rows = sample_rows(5000);
  std::vector<Row> sorted = rows;
  std::sort(sorted.begin(), sorted.end());
  // One row a run, a few, many, and all in memory.
  for (const std::size_t run_bytes :
       {std::size_t{1}, std::size_t{500}, std::size_t{20'000}, ContentIndexBuilder::kRunBytes}) {
    ContentIndexBuilder builder(scratch_.fd(), run_bytes);
    for (const auto& [hash, key] : rows) {
      ASSERT_TRUE(builder.add(hash, key));
    }
    ASSERT_TRUE(builder.finish(*env_));
    EXPECT_TRUE(stored() == sorted) << run_bytes;
    EXPECT_TRUE(scratch_.names().empty());
  }
}

TEST_F(ContentIndexTest, CommitsSeveralTimes) {
  const std::vector<Row> rows = sample_rows(45'000);
  ContentIndexBuilder builder(scratch_.fd(), 100'000);
  for (const auto& [hash, key] : rows) {
    ASSERT_TRUE(builder.add(hash, key));
  }
  ASSERT_TRUE(builder.finish(*env_));
  EXPECT_EQ(stored().size(), rows.size());
}

TEST_F(ContentIndexTest, ReplacesWhatWasThere) {
  ContentIndexBuilder builder(scratch_.fd(), 300);
  for (const auto& [hash, key] : sample_rows(100)) {
    ASSERT_TRUE(builder.add(hash, key));
  }
  ASSERT_TRUE(builder.finish(*env_));
  EXPECT_EQ(stored().size(), 100U);
  // The builder may be used again, and begins with nothing.
  ASSERT_TRUE(builder.add(digest_of_text("x"), entry_key(kRootDir, "x")));
  ASSERT_TRUE(builder.finish(*env_));
  EXPECT_EQ(stored(), (std::vector<Row>{{digest_of_text("x"), entry_key(kRootDir, "x")}}));
  ASSERT_TRUE(builder.finish(*env_));
  EXPECT_TRUE(stored().empty());
}

TEST_F(ContentIndexTest, RowAddedTwiceCountsOnce) {
  for (const std::size_t run_bytes : {std::size_t{1}, ContentIndexBuilder::kRunBytes}) {
    ContentIndexBuilder builder(scratch_.fd(), run_bytes);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(builder.add(digest_of_text("x"), entry_key(kRootDir, "x")));
    }
    ASSERT_TRUE(builder.finish(*env_));
    EXPECT_EQ(stored().size(), 1U);
  }
}

TEST_F(ContentIndexTest, HashesAreOrderedByAllTheirBytes) {
  ContentIndexBuilder builder(scratch_.fd(), 1);
  std::vector<Row> rows;
  for (std::size_t at = 0; at < 16; ++at) {
    for (const unsigned byte : {0x01U, 0x7fU, 0x80U, 0xffU}) {
      Digest hash;
      hash.bytes[at] = static_cast<std::uint8_t>(byte);
      rows.emplace_back(hash, entry_key(kRootDir, "n"));
    }
  }
  for (const auto& [hash, key] : rows) {
    ASSERT_TRUE(builder.add(hash, key));
  }
  ASSERT_TRUE(builder.finish(*env_));
  std::sort(rows.begin(), rows.end());
  EXPECT_EQ(stored(), rows);
}

TEST_F(ContentIndexTest, SaysWhenRunsCannotBeWritten) {
  const int closed = ::open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ContentIndexBuilder builder(closed, 1);  // no files can be made there
  const auto status = builder.add(digest_of_text("x"), entry_key(kRootDir, "x"));
  ::close(closed);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().fault, Fault::kFailed);
}

}  // namespace
}  // namespace holdfast::catalog
