#include "catalog/map_guard.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/schema.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using testing::TempDirectory;

constexpr std::size_t kTinyMap = std::size_t{16} << 20;

// An address inside of the map, as a fault would report it.
const void* address_in(const Env& env) {
  const auto txn = ReadTxn::begin(env);
  EXPECT_TRUE(txn);
  const auto value = txn->get(Table::kMeta, meta::kFormat);
  EXPECT_TRUE(value && *value);
  return (*value)->data();
}

TEST(MapGuard, KnowsTheMapOfAnOpenCatalog) {
  const TempDirectory directory;
  const void* address = nullptr;
  {
    const auto env = Env::open(directory.fd(), Env::Mode::kCreate, kTinyMap);
    ASSERT_TRUE(env);
    address = address_in(*env);
    EXPECT_TRUE(is_in_catalog_map(address));
    const int local = 0;
    EXPECT_FALSE(is_in_catalog_map(&local));
    EXPECT_FALSE(is_in_catalog_map(nullptr));
    EXPECT_FALSE(is_in_catalog_map(static_cast<const char*>(address) + kTinyMap));
  }
  EXPECT_FALSE(is_in_catalog_map(address));
}

TEST(MapGuard, KnowsTheWholeDefaultMap) {
  const TempDirectory directory;
  const auto env = Env::open(directory.fd(), Env::Mode::kCreate);
  ASSERT_TRUE(env) << describe(env.error());
  const char* address = static_cast<const char*>(address_in(*env));
  EXPECT_TRUE(is_in_catalog_map(address));
  EXPECT_TRUE(is_in_catalog_map(address + (std::size_t{1} << 29)));  // the smallest map is larger
}

TEST(MapGuard, KnowsSeveralCatalogs) {
  const TempDirectory first;
  const TempDirectory second;
  auto one = std::optional(Env::open(first.fd(), Env::Mode::kCreate, kTinyMap));
  ASSERT_TRUE(*one);
  auto two = std::optional(Env::open(second.fd(), Env::Mode::kCreate, kTinyMap));
  ASSERT_TRUE(*two);
  const void* in_one = address_in(**one);
  const void* in_two = address_in(**two);
  EXPECT_TRUE(is_in_catalog_map(in_one));
  EXPECT_TRUE(is_in_catalog_map(in_two));
  one.reset();
  EXPECT_FALSE(is_in_catalog_map(in_one));
  EXPECT_TRUE(is_in_catalog_map(in_two));
  Env moved = std::move(**two);
  two.reset();
  EXPECT_TRUE(is_in_catalog_map(in_two));
}

TEST(MapGuard, ForgetsEveryCatalog) {
  for (int i = 0; i < 200; ++i) {
    const TempDirectory directory;
    const auto env = Env::open(directory.fd(), Env::Mode::kCreate, kTinyMap);
    ASSERT_TRUE(env);
    ASSERT_TRUE(is_in_catalog_map(address_in(*env)));
  }
}

TEST(MapGuardDeathTest, DamageEndsTheProgram) {
  EXPECT_DEATH(report_damage("page 7"), "the catalog is damaged: page 7");
  EXPECT_EXIT(
      {
        set_damage_handler(+[](const char*) { std::_Exit(12); });
        report_damage("page 9");
      },
      ::testing::ExitedWithCode(12), "");
}

}  // namespace
}  // namespace holdfast::catalog
