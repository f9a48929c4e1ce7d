#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "captured_tree.hpp"
#include "catalog/digest.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/tree_remover.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::test {
namespace {

using catalog::FileType;
using core::ListedEntry;

class Listing : public CapturedTree {
 protected:
  void SetUp() override {
    tree.dir("b");
    tree.dir("b/inner");
    tree.file("b/inner/x", "same bytes");
    tree.file("b.txt", "text");
    tree.file("a", "same bytes");
    link("a", "b/z");
    tree.symlink("b/z", "sym");
    tree.file("empty");
  }
  core::RunReport list(std::optional<std::string> path = std::nullopt) {
    shown.clear();
    return core::list(targets(), {.path = std::move(path)}, keep(), context());
  }
  core::RunReport find(const core::FindOptions& options) {
    shown.clear();
    return core::find(targets(), options, keep(), context());
  }
  [[nodiscard]] core::ListVisitor keep() {
    return [this](const ListedEntry& entry) {
      shown.push_back(entry);
      return shown.size() < stop_after;
    };
  }
  [[nodiscard]] Lines paths() const {
    Lines paths;
    for (const ListedEntry& entry : shown) paths.push_back(entry.path);
    return paths;
  }
  [[nodiscard]] const ListedEntry& entry(const std::string& path) const {
    for (const ListedEntry& entry : shown) {
      if (entry.path == path) return entry;
    }
    throw std::runtime_error("not listed: " + path);
  }

  std::vector<ListedEntry> shown;
  std::size_t stop_after = SIZE_MAX;
};

TEST_F(Listing, ShowsParentsBeforeChildrenInByteOrder) {
  capture();
  EXPECT_EQ(list().exit_code(), 0);
  EXPECT_EQ(paths(), (Lines{"a", "b", "b/inner", "b/inner/x", "b/z", "b.txt", "empty", "sym"}));
}

TEST_F(Listing, ShowsWhatIsRecorded) {
  capture();
  ASSERT_EQ(list().exit_code(), 0);
  const ListedEntry& file = entry("a");
  EXPECT_EQ(file.type, FileType::kFile);
  EXPECT_EQ(file.size, 10U);
  EXPECT_EQ(file.mode, 0644U);
  EXPECT_EQ(file.links, 2U);
  EXPECT_EQ(file.held, catalog::Held::kLink);
  EXPECT_EQ(file.hash, catalog::digest_of(std::as_bytes(std::span("same bytes", 10))));
  EXPECT_EQ(entry("b/z").inode, file.inode);
  EXPECT_EQ(entry("b.txt").links, 1U);
  EXPECT_EQ(entry("sym").link_target, "b/z");
  EXPECT_FALSE(entry("sym").hash);
  EXPECT_EQ(entry("b").type, FileType::kDirectory);
  EXPECT_FALSE(entry("b").held);
}

TEST_F(Listing, ShowsWhatAPathNamesAndAllBelow) {
  capture();
  EXPECT_EQ(list("b").exit_code(), 0);
  EXPECT_EQ(paths(), (Lines{"b", "b/inner", "b/inner/x", "b/z"}));
  EXPECT_EQ(list("/b/inner/x").exit_code(), 0);
  EXPECT_EQ(paths(), Lines{"b/inner/x"});
  EXPECT_EQ(list("b/none").exit_code(), 2);
  EXPECT_EQ(list("a/none").exit_code(), 2);
  EXPECT_EQ(list("b/../a").exit_code(), 2);
}

TEST_F(Listing, StopsQuietlyWhenNobodyReads) {
  capture();
  stop_after = 3;
  EXPECT_EQ(list().exit_code(), 0);
  EXPECT_EQ(shown.size(), 3U);
}

TEST_F(Listing, WorksBeforeTheSeal) {
  capture(true);
  EXPECT_EQ(list().exit_code(), 0);
  EXPECT_EQ(shown.size(), 8U);
  EXPECT_FALSE(entry("b.txt").hash);
  EXPECT_EQ(find({.name = "*.txt", .hash = {}, .same_as = {}, .duplicates = false}).exit_code(), 0);
  EXPECT_EQ(paths(), Lines{"b.txt"});
  EXPECT_EQ(find({.name = {}, .hash = {}, .same_as = {}, .duplicates = true}).exit_code(), 5);
}

TEST_F(Listing, ShowsTheRecordedProblemsThatAreAskedFor) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = tree.path("socket");
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(socket);
  capture();
  EXPECT_EQ(
      core::list_problems(targets(), {.missed = true, .skipped = false}, context()).exit_code(), 0);
  EXPECT_EQ(observer.lines(), Lines());
  EXPECT_EQ(
      core::list_problems(targets(), {.missed = false, .skipped = true}, context()).exit_code(), 0);
  EXPECT_EQ(observer.lines(), Lines{"skipped socket"});
}

TEST_F(Listing, WithoutAStoreIsExit10) {
  EXPECT_EQ(list().exit_code(), 10);
  EXPECT_EQ(core::status(targets(), context()).exit_code(), 10);
}

using Find = Listing;

TEST_F(Find, ByNameLooksAtTheLastComponent) {
  capture();
  EXPECT_EQ(find({.name = "b*", .hash = {}, .same_as = {}, .duplicates = false}).exit_code(), 0);
  EXPECT_EQ(paths(), (Lines{"b", "b.txt"}));
  EXPECT_EQ(find({.name = "none", .hash = {}, .same_as = {}, .duplicates = false}).exit_code(), 0);
  EXPECT_EQ(paths(), Lines());
}

TEST_F(Find, ByHashShowsEveryName) {
  capture();
  const auto hash = catalog::digest_of(std::as_bytes(std::span("same bytes", 10)));
  EXPECT_EQ(find({.name = {}, .hash = hash, .same_as = {}, .duplicates = false}).exit_code(), 0);
  Lines found = paths();
  std::ranges::sort(found);
  EXPECT_EQ(found, (Lines{"a", "b/inner/x", "b/z"}));
}

TEST_F(Find, SameAsComparesBytesAndNotOnlyHashes) {
  capture();
  const TempDir other;
  other.file("sample", "same bytes");
  const core::FindOptions question{
      .name = {}, .hash = {}, .same_as = other.path("sample"), .duplicates = false};
  EXPECT_EQ(find(question).exit_code(), 0);
  EXPECT_EQ(shown.size(), 3U);
  // What the hash promises does not hold any more.
  overwrite_quietly("a", "SAME");
  EXPECT_EQ(find(question).exit_code(), 0);
  EXPECT_EQ(paths(), Lines{"b/inner/x"});
  other.fifo("pipe");
  EXPECT_EQ(find({.name = {}, .hash = {}, .same_as = other.path("pipe"), .duplicates = false})
                .exit_code(),
            2);
}

TEST_F(Find, DuplicatesAreNamesOfDifferentInodes) {
  tree.file("again", "text");
  tree.file("single", "nobody has this");
  link("single", "single too");
  capture();
  EXPECT_EQ(find({.name = {}, .hash = {}, .same_as = {}, .duplicates = true}).exit_code(), 0);
  std::map<std::uint64_t, std::set<std::string>> groups;
  std::uint64_t last = 1;
  for (const ListedEntry& entry : shown) {
    ASSERT_TRUE(entry.group);
    EXPECT_GE(*entry.group, last);
    last = *entry.group;
    groups[*entry.group].insert(entry.path);
  }
  ASSERT_EQ(groups.size(), 2U);
  std::set<std::set<std::string>> contents;
  for (const auto& [group, names] : groups) contents.insert(names);
  EXPECT_EQ(contents,
            (std::set<std::set<std::string>>{{"a", "b/inner/x", "b/z"}, {"again", "b.txt"}}));
}

using Status = Listing;

TEST_F(Status, TellsStateAndCountsWhileTheStoreIsInUse) {
  capture();
  const core::Store busy = open_store();
  const core::VolumeReport report = core::status(targets(), context()).volumes.front();
  EXPECT_EQ(report.exit_code, 0);
  EXPECT_EQ(report.state, core::StoreState::kSealed);
  EXPECT_EQ(report.counts.get(core::Count::kEntries), 8U);
  EXPECT_EQ(report.counts.get(core::Count::kMissed), 0U);
  EXPECT_FALSE(report.captured_at.empty());
  EXPECT_TRUE(report.free_bytes);
  EXPECT_FALSE(report.next.empty());
}

TEST_F(Status, OfADamagedStateIsExit12) {
  capture();
  tree.file(".holdfast/state.json", "{}");
  EXPECT_EQ(core::status(targets(), context()).exit_code(), 12);
}

}  // namespace
}  // namespace holdfast::test
