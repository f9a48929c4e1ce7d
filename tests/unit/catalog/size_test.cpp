#include <gtest/gtest.h>
#include <lmdb.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/codec.hpp"
#include "catalog/content_index.hpp"
#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kFilesInDirectory = 12;  // about what a home has
constexpr std::uint64_t kDirectories = 3000;

std::string name_of(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return "picture-" + std::string(18 - 8 - digits.size(), '0') + digits;
}

std::uint64_t pages_bytes(const ReadTxn& txn) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < kTables; ++i) {
    MDB_dbi dbi = 0;
    MDB_stat stat{};
    EXPECT_EQ(mdb_dbi_open(txn.handle(), table_name(static_cast<Table>(i)), 0, &dbi), 0);
    EXPECT_EQ(mdb_stat(txn.handle(), dbi, &stat), 0);
    bytes += (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
             std::uint64_t{stat.ms_psize};
  }
  return bytes;
}

Batch batch_of(std::uint64_t directory, std::mt19937& random, ContentIndexBuilder& index) {
  Batch batch;
  const DirId id{directory + 2};
  Directory row = sample_root();
  row.id = id;
  row.parent = kRootDir;
  row.name = name_of(directory);
  row.record.btime = row.record.mtime;
  batch.put(Table::kDirs, dir_key(id), encode(row));
  batch.put(Table::kEntries, entry_key(kRootDir, row.name), encode(directory_entry(row.name, id)));
  std::vector<std::uint64_t> order(kFilesInDirectory);
  for (std::uint64_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::shuffle(order.begin(), order.end(), random);  // as a directory gives its names
  for (const std::uint64_t i : order) {
    const std::string name = name_of(i);
    InodeRecord record = sample_file();
    record.hash = digest_of_text(std::to_string(directory) + "/" + name);
    batch.put(Table::kEntries, entry_key(id, name), encode(inline_entry(name, record)));
    EXPECT_TRUE(index.add(record.hash, entry_key(id, name)));
  }
  return batch;
}

// The promise of docs/format.md: at most 240 bytes a file in all tables, names of 18 bytes, with
// directories found by several threads and so not quite in order.
TEST(Size, OfACatalogIsBelowItsPromise) {
  const TempDirectory directory;
  auto env = Env::open(directory.fd(), Env::Mode::kCreate, std::size_t{256} << 20);
  ASSERT_TRUE(env) << describe(env.error());
  ContentIndexBuilder index(directory.fd());
  Writer writer(*env);
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same catalog every time
  for (std::uint64_t first = 0; first < kDirectories; first += 100) {
    std::vector<std::uint64_t> found(100);
    std::iota(found.begin(), found.end(), first);
    std::shuffle(found.begin(), found.end(), random);
    for (const std::uint64_t i : found) {
      ASSERT_TRUE(writer.apply(batch_of(i, random, index)));
    }
  }
  ASSERT_TRUE(writer.commit());
  ASSERT_TRUE(index.finish(*env));
  const auto txn = ReadTxn::begin(*env);
  ASSERT_TRUE(txn);
  constexpr std::uint64_t files = kFilesInDirectory * kDirectories;
  const std::uint64_t per_file = pages_bytes(*txn) / files;
  RecordProperty("bytes_per_file", static_cast<int>(per_file));
  RecordProperty("file_bytes_per_file", static_cast<int>(env->used_bytes() / files));
  EXPECT_LE(per_file, 240U);
  EXPECT_GE(per_file, 120U) << "too good to be true: is everything there?";
}

}  // namespace
}  // namespace holdfast::catalog
