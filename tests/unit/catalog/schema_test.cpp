#include "catalog/schema.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

constexpr std::size_t kLmdbMaxKey = 511;

TEST(Schema, OrderOfKeysIsNumericOrder) {
  const std::uint64_t values[] = {0,         1,           2,           127,       128,
                                  255,       256,         257,         65535,     65536,
                                  1U << 31U, 1ULL << 32U, 1ULL << 63U, ~0ULL - 1, ~0ULL};
  for (std::size_t i = 1; i < std::size(values); ++i) {
    EXPECT_LT(dir_key(DirId{values[i - 1]}), dir_key(DirId{values[i]}));
    EXPECT_LT(inode_key(InodeNo{values[i - 1]}), inode_key(InodeNo{values[i]}));
    EXPECT_LT(sequence_key(values[i - 1]), sequence_key(values[i]));
    // A directory's entries end before those of the next one begin, whatever their names.
    EXPECT_LT(entry_key(DirId{values[i - 1]}, std::string(kMaxNameInKey, '\xff')),
              entry_key(DirId{values[i]}, "\x01"));
    EXPECT_EQ(decode_u64_key(dir_key(DirId{values[i]})), values[i]);
  }
}

TEST(Schema, KeyIsBigEndian) {
  EXPECT_EQ(dir_key(DirId{0x0102030405060708}), "\x01\x02\x03\x04\x05\x06\x07\x08");
}

TEST(Schema, KeyOfAnotherLengthIsNoNumber) {
  EXPECT_FALSE(decode_u64_key(""));
  EXPECT_FALSE(decode_u64_key("1234567"));
  EXPECT_FALSE(decode_u64_key("123456789"));
}

TEST(Schema, EntryKeyHoldsParentAndName) {
  const std::string key = entry_key(DirId{258}, "na\xffme");
  EXPECT_EQ(parent_of_key(key), DirId{258});
  EXPECT_EQ(name_part(key), "na\xffme");
  EXPECT_FALSE(key_has_long_name(key));
}

TEST(Schema, KeyWithoutANameHasNoParent) {
  EXPECT_FALSE(parent_of_key(""));
  EXPECT_FALSE(parent_of_key(dir_key(DirId{5})));
  EXPECT_EQ(name_part(dir_key(DirId{5})), "");
  EXPECT_EQ(name_part("abc"), "");
}

TEST(Schema, LongNamesStayBelowTheLimitAndApart) {
  for (std::size_t size = kMaxNameInKey - 1; size <= kMaxNameBytes; ++size) {
    const std::string name(size, 'n');
    const std::string key = entry_key(DirId{9}, name);
    EXPECT_LE(key.size(), kLmdbMaxKey);
    EXPECT_LE(content_key(Digest(), key).size(), kLmdbMaxKey);
    EXPECT_EQ(key_has_long_name(key), size > kMaxNameInKey);
    EXPECT_EQ(parent_of_key(key), DirId{9});
    // Longer by one, or another at the end: another key.
    EXPECT_NE(key, entry_key(DirId{9}, name + "n"));
    std::string other = name;
    other.back() = 'm';
    EXPECT_NE(key, entry_key(DirId{9}, other));
  }
}

TEST(Schema, LongKeyIsPrefixNulAndHash) {
  const std::string name = std::string(464, 'a') + std::string(100, 'b');
  const Digest hash = testing::digest_of_text(name);
  std::string expected = dir_key(DirId{3}) + std::string(464, 'a');
  expected += '\0';
  for (const auto byte : hash.bytes) {
    expected += static_cast<char>(byte);
  }
  EXPECT_EQ(entry_key(DirId{3}, name), expected);
  EXPECT_EQ(expected.size(), 489U);
}

TEST(Schema, TableNamesAreFrozen) {
  const std::vector<std::string_view> names = {"entries", "inodes",   "content", "dirs",
                                               "owners",  "problems", "meta"};
  ASSERT_EQ(names.size(), kTables);
  for (std::size_t i = 0; i < kTables; ++i) {
    EXPECT_EQ(table_name(static_cast<Table>(i)), names[i]);
  }
}

}  // namespace
}  // namespace holdfast::catalog
