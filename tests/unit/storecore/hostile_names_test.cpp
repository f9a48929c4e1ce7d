// What a forged catalog, journal or manifest can say of names must not lead a restore out of its
// destination: refused where it is decoded, and harmless where a path is walked all the same.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "captured_tree.hpp"
#include "catalog/codec.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "fixture.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {
namespace {

using catalog::DirId;
using catalog::Table;
using namespace std::string_view_literals;

constexpr unsigned kSeed = 20240229;
constexpr std::size_t kRounds = 20'000;

/// Pieces of which names that lead somewhere are made, and a few that do not.
constexpr std::array kPieces{".."sv,  "."sv,  "/"sv,    "\0"sv,   "a"sv, "in"sv,
                             "out"sv, "\n"sv, "link"sv, "\xff"sv, " "sv, "\\"sv};

std::string random_name(std::mt19937& dice) {
  std::string name;
  const std::size_t pieces = dice() % 5;
  for (std::size_t i = 0; i < pieces; ++i) name += kPieces.at(dice() % kPieces.size());
  if (dice() % 64 == 0) name.append(700 + dice() % 100, 'n');
  return name;
}

/// True when @p path can be followed without leaving where it begins.
bool stays_inside(std::string_view path) {
  if (path.find('\0') != std::string_view::npos || path.starts_with('/')) return false;
  const std::string framed = fmt::format("/{}/", path);
  return framed.find("/../") == std::string::npos;
}

TEST(HostileNames, AreRefusedWhereverRowsAreDecoded) {
  std::mt19937 dice(kSeed);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < kRounds; ++i) {
    catalog::Entry entry;
    entry.name = random_name(dice);
    const auto decoded =
        catalog::decode_entry(catalog::entry_key(DirId{7}, entry.name), catalog::encode(entry));
    const catalog::Directory directory{
        .id = DirId{9}, .parent = DirId{7}, .name = entry.name, .record = {}};
    const auto row = catalog::decode_directory(directory.id, catalog::encode(directory));
    const bool sound = catalog::is_component(entry.name);
    ASSERT_EQ(decoded.has_value(), sound) << catalog::escape_name(entry.name);
    ASSERT_EQ(row.has_value(), sound) << catalog::escape_name(entry.name);
    ASSERT_TRUE(!sound || (stays_inside(entry.name) && entry.name.find('/') == std::string::npos &&
                           !entry.name.empty()));
    taken += sound ? 1 : 0;
  }
  EXPECT_GT(taken, kRounds / 20);
  EXPECT_LT(taken, kRounds / 2);
}

TEST(HostileNames, AreRefusedInJournals) {
  std::mt19937 dice(kSeed);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::string path = random_name(dice);
    const std::string coded = catalog::to_base64(path);
    WipePlan plan;
    const bool moves = add_plan_line(fmt::format("move 1 {}", coded), plan);
    const bool stays = add_plan_line(fmt::format("stay 1 {}", coded), plan);
    RestoreNotes notes;
    const bool from = add_restore_line(fmt::format("1 moved - {} -", coded), notes);
    const bool into = add_restore_line(fmt::format("1 moved - - {}", coded), notes);
    const bool flags = parse_flag_note(fmt::format("flags 1 16 {}", coded)).has_value();
    ASSERT_EQ(moves, stays);
    ASSERT_EQ(from, into);
    ASSERT_TRUE(!(moves || from || flags) || stays_inside(path)) << catalog::escape_name(path);
    ASSERT_TRUE(!moves || flags);
    taken += moves ? 1 : 0;
  }
  EXPECT_GT(taken, kRounds / 20);
}

/// Goes up from @p dir until it meets @p top; false when it comes to the end without.
bool is_below(const Fd& dir, const Stat& top) {
  auto at = open_dir_at(dir, ".");
  for (int level = 0; at && level < 64; ++level) {
    const auto stat = stat_fd(at->get());
    if (!stat) return false;
    if (stat->same_inode(top)) return true;
    auto up = open_dir_at(*at, "..");
    at = std::move(up);
  }
  return false;
}

TEST(HostileNames, DoNotLeadOutWhenTheyAreWalked) {
  const test::TempDir tree;
  for (const char* name : {"in", "in/a", "in/a/in", "out", "out/a"}) tree.dir(name);
  tree.symlink("../out", "in/link");
  tree.symlink("..", "in/a/out");
  const auto top = open_dir_at(tree.fd(), "in");
  ASSERT_TRUE(top);
  const auto inside = stat_fd(top->get());
  ASSERT_TRUE(inside);
  std::mt19937 dice(kSeed);
  std::size_t opened = 0;
  for (std::size_t i = 0; i < kRounds / 4; ++i) {
    std::vector<std::string> components;
    for (std::size_t count = 1 + dice() % 3; count != 0; --count)
      components.push_back(random_name(dice));
    std::string path;
    for (const std::string& component : components) path += component + "/";
    for (const auto& found : {open_dir_below(*top, components), open_parent(*top, path)}) {
      if (!found) continue;
      ++opened;
      ASSERT_TRUE(is_below(*found, *inside)) << catalog::escape_name(path);
    }
  }
  EXPECT_GT(opened, 10U);
}

class HostileRows : public test::CapturedTree {
 protected:
  /// Puts a row into the sealed catalog, with its checksum.
  void forge(const std::string& name) {
    Store store = open_store();
    {
      auto env = open_catalog_for_write(store);
      ASSERT_TRUE(env);
      auto txn = catalog::WriteTxn::begin(*env);
      ASSERT_TRUE(txn);
      if (!forged_.empty()) {
        ASSERT_TRUE(txn->erase(Table::kEntries, forged_));
      }
      forged_ = catalog::entry_key(catalog::kRootDir, name);
      ASSERT_TRUE(txn->put(Table::kEntries, forged_, catalog::encode(catalog::Entry())));
      ASSERT_TRUE(txn->commit());
    }
    ASSERT_TRUE(note_catalog_sum(store));
    ASSERT_TRUE(store.save());
  }

 private:
  std::string forged_;
};

TEST_F(HostileRows, RestoreStopsAtNamesThatLeadOut) {
  tree.file("sound", "content");
  capture();
  if (IsSkipped()) return;
  const test::TempDir elsewhere;
  elsewhere.dir("to");
  RestoreOptions options;
  options.to = elsewhere.path("to");
  options.mode = RestoreMode::kCopy;
  std::mt19937 dice(kSeed);
  for (int tried = 0; tried < 40;) {
    const std::string name = random_name(dice);
    if (catalog::is_component(name)) continue;
    ++tried;
    forge(name);
    const RunReport run = restore(targets(), options, context());
    ASSERT_EQ(run.exit_code(), 12) << catalog::escape_name(name) << ": " << message(run);
    struct stat found{};
    ASSERT_NE(fstatat(elsewhere.fd().fd, "out", &found, AT_SYMLINK_NOFOLLOW), 0);
    ASSERT_NE(fstatat(elsewhere.fd().fd, "a", &found, AT_SYMLINK_NOFOLLOW), 0);
  }
}

}  // namespace
}  // namespace holdfast::core
