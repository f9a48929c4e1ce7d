#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/manifest.hpp"
#include "catalog/records.hpp"
#include "fixture.hpp"
#include "storecore/store/journal.hpp"
#include "storecore/store/manifest_reader.hpp"

namespace holdfast::core {
namespace {

using catalog::ManifestEntry;
using catalog::Status;
using test::TempDir;

std::string a_manifest(const std::vector<std::string>& names) {
  std::string text = catalog::manifest_header("an-id");
  for (const std::string& name : names) {
    catalog::InodeRecord record;
    record.source_inode = record.held_inode = catalog::InodeNo{7};
    record.hash_state = catalog::HashState::kHashed;
    text += catalog::manifest_line(name, record, false);
  }
  return text + catalog::manifest_trailer(names.size() + 1, catalog::checksum64(text));
}

struct Seen {
  ManifestRead read;
  std::vector<std::string> paths;
};

Seen read_text(const std::string& text) {
  const TempDir dir;
  dir.file("m", text);
  Seen seen;
  const auto read = read_manifest(dir.fd(), "m", [&](ManifestEntry&& entry) -> Status {
    seen.paths.push_back(entry.path);
    return {};
  });
  EXPECT_TRUE(read);
  if (read) seen.read = *read;
  return seen;
}

TEST(ManifestReader, ReadsAWholeOne) {
  const Seen seen = read_text(a_manifest({"a", "b", "c"}));
  EXPECT_TRUE(seen.read.found);
  EXPECT_TRUE(seen.read.whole);
  EXPECT_EQ(seen.read.capture_id, "an-id");
  EXPECT_EQ(seen.read.bad_lines, 0U);
  EXPECT_EQ(seen.paths, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(ManifestReader, AMissingOneIsNoError) {
  const TempDir dir;
  const auto read = read_manifest(dir.fd(), "m", [](ManifestEntry&&) { return Status{}; });
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->found);
  EXPECT_FALSE(read->whole);
}

TEST(ManifestReader, ADamagedLineCostsNoOther) {
  std::string text = a_manifest({"a", "b", "c"});
  text[text.find("\"b\"") + 10] = '\0';
  const Seen seen = read_text(text);
  EXPECT_FALSE(seen.read.whole);
  EXPECT_EQ(seen.read.bad_lines, 1U);
  EXPECT_EQ(seen.paths, (std::vector<std::string>{"a", "c"}));
}

TEST(ManifestReader, OneThatWasCutOffIsNotWhole) {
  const std::string text = a_manifest({"a", "b", "c"});
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(read_text(text.substr(0, length)).read.whole) << length;
  }
  EXPECT_FALSE(read_text(text + "more\n").read.whole);
}

TEST(ManifestReader, NoFlippedBitPassesForAWholeOne) {
  const std::string text = a_manifest({"a", "b"});
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string flipped = text;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x04);
    EXPECT_FALSE(read_text(flipped).read.whole) << i;
  }
}

std::vector<std::string> whole_lines(DirFd dir, std::uint64_t& bad) {
  std::vector<std::string> lines;
  const auto read = Journal::read_whole_lines(dir, "j", [&](std::string_view line) -> Status {
    lines.emplace_back(line);
    return {};
  });
  EXPECT_TRUE(read);
  bad = read.value_or(99);
  return lines;
}

TEST(JournalDamage, GoodLinesAroundABadOneAreRead) {
  const TempDir dir;
  {
    auto journal = Journal::open(dir.fd(), "j");
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->append_all({"one", "two", "three"}));
  }
  std::string text = dir.content("j");
  text[text.find("two")] = 'x';
  dir.file("damaged", text);
  ASSERT_EQ(::rename(dir.path("damaged").c_str(), dir.path("j").c_str()), 0);
  EXPECT_FALSE(Journal::read(dir.fd(), "j", [](std::string_view) { return Status{}; }));
  std::uint64_t bad = 0;
  EXPECT_EQ(whole_lines(dir.fd(), bad), (std::vector<std::string>{"one", "three"}));
  EXPECT_EQ(bad, 1U);
  ASSERT_TRUE(Journal::replace(dir.fd(), "j", {"one", "three"}));
  EXPECT_TRUE(Journal::read(dir.fd(), "j", [](std::string_view) { return Status{}; }));
  EXPECT_EQ(dir.content("j.damaged-1"), text);
  EXPECT_EQ(whole_lines(dir.fd(), bad), (std::vector<std::string>{"one", "three"}));
}

TEST(JournalDamage, ATornEndIsNone) {
  const TempDir dir;
  {
    auto journal = Journal::open(dir.fd(), "j");
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->append_all({"one", "two"}));
  }
  const std::string text = dir.content("j");
  dir.file("torn", text.substr(0, text.size() - 3));
  ASSERT_EQ(::rename(dir.path("torn").c_str(), dir.path("j").c_str()), 0);
  std::uint64_t bad = 0;
  EXPECT_EQ(whole_lines(dir.fd(), bad), (std::vector<std::string>{"one"}));
  EXPECT_EQ(bad, 0U);
}

}  // namespace
}  // namespace holdfast::core
