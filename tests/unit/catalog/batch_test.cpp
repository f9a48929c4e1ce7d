#include "catalog/batch.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "catalog/schema.hpp"

namespace holdfast::catalog {
namespace {

std::vector<std::string> rows_of(const Batch& batch) {
  std::vector<std::string> rows;
  batch.for_each([&rows](const Batch::Row& row) {
    rows.push_back(std::string(row.action == Batch::Action::kPut ? "put " : "erase ") +
                   table_name(row.table) + " " + std::string(row.key) + "=" +
                   std::string(row.value));
  });
  return rows;
}

TEST(Batch, KeepsRowsInOrder) {
  Batch batch;
  EXPECT_TRUE(batch.empty());
  std::string key = "key";
  batch.put(Table::kMeta, key, "value");
  key = "gone";  // the batch has its own copy
  batch.erase(Table::kDirs, "b");
  batch.put(Table::kContent, "c", "");
  EXPECT_EQ(batch.size(), 3U);
  EXPECT_EQ(rows_of(batch),
            (std::vector<std::string>{"put meta key=value", "erase dirs b=", "put content c="}));
}

TEST(Batch, IsEmptyAfterClear) {
  Batch batch;
  batch.put(Table::kMeta, "a", "b");
  batch.clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_TRUE(rows_of(batch).empty());
  batch.put(Table::kOwners, "x", "y");
  EXPECT_EQ(rows_of(batch), std::vector<std::string>{"put owners x=y"});
}

TEST(Batch, AppendsAnother) {
  Batch first;
  first.put(Table::kMeta, "a", "1");
  Batch second;
  second.put(Table::kMeta, "b", "2");
  second.erase(Table::kDirs, "c");
  first.append(second);
  first.append(Batch());
  EXPECT_EQ(rows_of(first),
            (std::vector<std::string>{"put meta a=1", "put meta b=2", "erase dirs c="}));
}

TEST(Batch, SortsByTableAndKeyAndKeepsTheOrderOfOneKey) {
  Batch batch;
  batch.put(Table::kDirs, "b", "1");
  batch.put(Table::kEntries, "\xff", "2");
  batch.erase(Table::kDirs, "b");
  batch.put(Table::kDirs, "a", "3");
  batch.put(Table::kDirs, "b", "4");
  batch.put(Table::kEntries, "\x01", "5");
  batch.sort();
  EXPECT_EQ(rows_of(batch),
            (std::vector<std::string>{"put entries \x01=5", "put entries \xff=2", "put dirs a=3",
                                      "put dirs b=1", "erase dirs b=", "put dirs b=4"}));
}

}  // namespace
}  // namespace holdfast::catalog
