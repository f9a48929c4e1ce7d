#include "storecore/os/dirents.hpp"

#include <dirent.h>  // NOLINT(misc-include-cleaner): DT_REG and its kin
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "fixture.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;

struct Listing {
  std::map<std::string, Dirent> entries;
  std::size_t chunks = 0;
  std::size_t repeated = 0;
};

Listing list(DirFd parent, const char* name) {
  Listing listing;
  const auto dir = open_dir_at(parent, name);
  EXPECT_TRUE(dir);
  DirReader reader;
  for (auto more = reader.fill(dir->get()); more.value(); more = reader.fill(dir->get())) {
    ++listing.chunks;
    Dirent entry;
    while (reader.next(entry)) {
      if (!listing.entries.emplace(entry.view(), entry).second) ++listing.repeated;
    }
    EXPECT_EQ(entry.name, nullptr);
  }
  return listing;
}

TEST(DirReader, FindsNothingInAnEmptyDirectory) {
  const TempDir tree;
  tree.dir("d");
  EXPECT_TRUE(list(tree.fd(), "d").entries.empty());
}

TEST(DirReader, GivesNamesTypesAndInodes) {
  const TempDir tree;
  tree.dir("d");
  tree.file("d/f");
  tree.dir("d/.hidden");
  tree.file("d/..twodots");
  tree.symlink("f", "d/\x01\x1b[2J\xff");
  const Listing listing = list(tree.fd(), "d");
  ASSERT_EQ(listing.entries.size(), 4U);
  const Dirent& file = listing.entries.at("f");
  EXPECT_EQ(file.length, 1U);
  const auto dir = open_dir_at(tree.fd(), "d");
  EXPECT_EQ(file.inode, stat_at(DirFd(*dir), "f")->inode);
  for (const auto& [name, type] :
       std::map<std::string, std::uint8_t>{{"f", DT_REG},
                                           {".hidden", DT_DIR},
                                           {"..twodots", DT_REG},
                                           {"\x01\x1b[2J\xff", DT_LNK}}) {
    const std::uint8_t found = listing.entries.at(name).type;
    EXPECT_TRUE(found == type || found == DT_UNKNOWN) << name;
  }
}

TEST(DirReader, CrossesChunksWithoutLossOrRepetition) {
  const TempDir tree;
  tree.dir("d");
  constexpr int entries = 5000;  // of 80 bytes: seven chunks
  const std::string filler(50, 'n');
  for (int i = 0; i < entries; ++i) tree.file("d/" + filler + std::to_string(i));
  const Listing listing = list(tree.fd(), "d");
  EXPECT_EQ(listing.entries.size(), static_cast<std::size_t>(entries));
  EXPECT_EQ(listing.repeated, 0U);
  EXPECT_GT(listing.chunks, 3U);
}

TEST(DirReader, ReadsTheLongestNames) {
  const TempDir tree;
  tree.dir("d");
  for (char letter = 'a'; letter <= 'z'; ++letter) tree.file("d/" + std::string(255, letter));
  const Listing listing = list(tree.fd(), "d");
  EXPECT_EQ(listing.entries.size(), 26U);
  EXPECT_EQ(listing.entries.at(std::string(255, 'q')).length, 255U);
}

TEST(DirReader, ReportsErrors) {
  const TempDir tree;
  tree.file("f");
  const auto file = open_at(tree.fd(), "f", O_RDONLY);
  DirReader reader;
  EXPECT_EQ(reader.fill(file->get()).error().value(), ENOTDIR);
  Dirent entry;
  EXPECT_FALSE(reader.next(entry));
}

}  // namespace
}  // namespace holdfast::core
