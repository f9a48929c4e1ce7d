#include "storecore/hash/hash_file.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>

#include "catalog/digest.hpp"
#include "fixture.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;

/// Around the size of the reader's buffer, where one read becomes several.
constexpr std::size_t kSizes[] = {0, 1, 4096, 262'143, 262'144, 262'145, 786'432, 2'000'001};

std::string bytes(std::size_t count) {
  std::string text(count, '\0');
  for (std::size_t i = 0; i < count; ++i) text[i] = static_cast<char>((i * 131) >> 3);
  return text;
}

/// What xxh128sum, which shares no code with the reader, prints for it.
std::string foreign_digest(const TempDir& tree, const std::string& name) {
  std::string output;
  EXPECT_EQ(test::run_program({"xxh128sum", tree.path(name)}, {}, &output), 0);
  return output.substr(0, 32);
}

TEST(HashFile, AgreesWithXxh128sumAtEverySize) {
  const TempDir tree;
  FileHasher hasher;
  for (const std::size_t size : kSizes) {
    tree.file("f", bytes(size));
    const auto twice_looked = hasher.hash(tree.fd(), "f");
    ASSERT_TRUE(twice_looked);
    EXPECT_TRUE(twice_looked->stable);
    EXPECT_EQ(twice_looked->bytes_read, size);
    EXPECT_EQ(catalog::to_hex(twice_looked->digest), foreign_digest(tree, "f")) << size;
    const auto once_looked = hasher.hash_once(tree.fd(), "f", size);
    ASSERT_TRUE(once_looked);
    EXPECT_TRUE(once_looked->stable);
    EXPECT_EQ(once_looked->bytes_read, size);
    EXPECT_EQ(once_looked->digest, twice_looked->digest) << size;
  }
}

TEST(HashFile, AFileThatIsShorterThanExpectedIsReadToItsEnd) {
  const TempDir tree;
  FileHasher hasher;
  for (const std::size_t size : kSizes) {
    tree.file("f", bytes(size));
    const auto hashed = hasher.hash_once(tree.fd(), "f", size + 1);
    ASSERT_TRUE(hashed);
    EXPECT_TRUE(hashed->stable);
    EXPECT_EQ(hashed->bytes_read, size);
    EXPECT_EQ(catalog::to_hex(hashed->digest), foreign_digest(tree, "f")) << size;
  }
}

TEST(HashFile, AFileWithMoreBytesThanExpectedIsNotReadToItsEnd) {
  const TempDir tree;
  constexpr std::size_t size = 2'000'001;
  tree.file("f", bytes(size));
  for (const std::uint64_t expected :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{300'000}}) {
    const auto hashed = FileHasher().hash_once(tree.fd(), "f", expected);
    ASSERT_TRUE(hashed);
    EXPECT_FALSE(hashed->stable);
    EXPECT_LT(hashed->bytes_read, size);
    EXPECT_EQ(hashed->stat.size, size);
  }
}

TEST(HashFile, ADeviceWithoutAnEndIsLeftAfterAWhile) {
  const auto dev = open_dir_path("/dev");
  ASSERT_TRUE(dev);
  EXPECT_EQ(FileHasher().hash_once(*dev, "zero", 4096).error().value(), EINVAL);
}

TEST(HashFile, OneLookGivesTheStatOfWhatWasRead) {
  const TempDir tree;
  tree.file("f", "content");
  const auto hashed = FileHasher().hash_once(tree.fd(), "f", 7);
  const auto stat = stat_at(tree.fd(), "f");
  ASSERT_TRUE(hashed && stat);
  EXPECT_TRUE(hashed->stat.same_inode(*stat));
  EXPECT_EQ(hashed->stat.size, 7);
  EXPECT_EQ(hashed->stat.ctime, stat->ctime);
}

TEST(HashFile, WhatIsNoFileIsNotRead) {
  const TempDir tree;
  tree.dir("d");
  tree.fifo("p");
  tree.symlink("f", "l");
  FileHasher hasher;
  for (const char* name : {"d", "p", "l", "absent"}) {
    EXPECT_FALSE(hasher.hash(tree.fd(), name)) << name;
    EXPECT_FALSE(hasher.hash_once(tree.fd(), name, 1)) << name;
  }
  EXPECT_EQ(hasher.hash(tree.fd(), "p").error().value(), EINVAL);
}

}  // namespace
}  // namespace holdfast::core
