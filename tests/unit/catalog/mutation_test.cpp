#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "catalog/codec.hpp"
#include "catalog/digest.hpp"
#include "catalog/ids.hpp"
#include "catalog/manifest.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "samples.hpp"

// Every bit flipped, every length cut, every byte doubled or set to the ends of its range: a
// decoder may refuse or return a record, but what it returns keeps the promises of the headers, and
// encodes to exactly the bytes that were read. The second half is stronger than any list of rules:
// two values that decode to one record would be a value that "this version would not have written".
// The decoders read from a buffer of exactly the value's size, so that a sanitizer sees one byte
// more.
namespace holdfast::catalog {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

void for_each_mutant(std::string_view value, const std::function<void(const std::string&)>& check) {
  for (std::size_t size = 0; size < value.size(); ++size) {
    check(std::string(value.substr(0, size)));
    check(std::string(value.substr(size)));
  }
  for (std::size_t at = 0; at < value.size(); ++at) {
    std::string mutant(value);
    for (unsigned bit = 0; bit < 8; ++bit) {
      mutant[at] = static_cast<char>(static_cast<unsigned char>(value[at]) ^ (1U << bit));
      check(mutant);
    }
    for (const unsigned byte : {0x00U, 0x01U, 0x7fU, 0x80U, 0xfeU, 0xffU}) {
      mutant[at] = static_cast<char>(byte);
      check(mutant);
    }
    mutant[at] = value[at];
    check(mutant.insert(at, 1, value[at]));
  }
  // Two neighbours at once reach lengths and counts of more than one byte.
  for (std::size_t at = 0; at + 1 < value.size(); ++at) {
    std::string mutant(value);
    mutant[at] = mutant[at + 1] = '\xff';
    check(mutant);
  }
}

std::vector<char> exact_copy(std::string_view value) { return {value.begin(), value.end()}; }

std::string_view view_of(const std::vector<char>& bytes) { return {bytes.data(), bytes.size()}; }

bool is_sound(const Timestamp& time) { return time.nanoseconds < 1'000'000'000; }

void expect_sound(const InodeRecord& record) {
  EXPECT_NE(to_word(record.type), "unknown");
  EXPECT_NE(record.type, FileType::kDirectory);
  EXPECT_NE(to_word(record.held), "unknown");
  EXPECT_LE(record.mode, 07777U);
  EXPECT_TRUE(is_sound(record.mtime) && is_sound(record.ctime) && is_sound(record.btime));
  EXPECT_TRUE(record.held != Held::kLink || record.held_inode == record.source_inode);
  EXPECT_TRUE(record.type == FileType::kFile || record.hash == Digest());
  EXPECT_TRUE(record.type == FileType::kSymlink || record.link_target.empty());
  EXPECT_TRUE(record.type == FileType::kChar || record.type == FileType::kBlock ||
              record.rdev == 0);
  EXPECT_EQ(record.link_target.find('\0'), std::string::npos);
}

void expect_sound(const DirectoryRecord& record) {
  EXPECT_LE(record.mode, 07777U);
  EXPECT_TRUE(is_sound(record.atime) && is_sound(record.mtime) && is_sound(record.ctime) &&
              is_sound(record.btime));
  for (std::size_t i = 1; i < record.xattrs.size(); ++i) {
    EXPECT_LT(record.xattrs[i - 1].name, record.xattrs[i].name);
  }
  for (const auto* ids : {&record.subtree.uids, &record.subtree.gids}) {
    EXPECT_LE(ids->size(), kMaxSummaryIds);
    EXPECT_TRUE(std::is_sorted(ids->begin(), ids->end()));
  }
}

TEST(Mutation, OfInodeRecords) {
  std::size_t refused = 0;
  for (const InodeRecord& record : sample_inodes()) {
    for_each_mutant(encode(record), [&refused](const std::string& mutant) {
      const auto bytes = exact_copy(mutant);
      const auto decoded = decode_inode(view_of(bytes));
      if (!decoded) {
        ++refused;
        return;
      }
      expect_sound(*decoded);
      EXPECT_EQ(encode(*decoded), mutant);
    });
  }
  EXPECT_GT(refused, 1000U);
}

TEST(Mutation, OfDirectories) {
  for (const Directory& directory : {sample_root(), sample_directory()}) {
    for_each_mutant(encode(directory), [&directory](const std::string& mutant) {
      const auto bytes = exact_copy(mutant);
      const auto decoded = decode_directory(directory.id, view_of(bytes));
      if (!decoded) {
        return;
      }
      expect_sound(decoded->record);
      EXPECT_TRUE(decoded->id == kRootDir || is_component(decoded->name));
      EXPECT_LT(raw(decoded->parent), raw(decoded->id));
      EXPECT_EQ(encode(*decoded), mutant);
    });
  }
}

void check_entry(const std::string& key, const std::string& value) {
  const auto key_bytes = exact_copy(key);
  const auto value_bytes = exact_copy(value);
  const auto decoded = decode_entry(view_of(key_bytes), view_of(value_bytes));
  if (!decoded) {
    return;
  }
  const auto parent = parent_of_key(key);
  ASSERT_TRUE(parent);
  EXPECT_NE(*parent, kNoDir);
  EXPECT_TRUE(is_component(decoded->name));
  EXPECT_EQ(entry_key(*parent, decoded->name), key);
  EXPECT_EQ(encode(*decoded), value);
  if (decoded->kind == Entry::Kind::kInline) {
    expect_sound(decoded->inode);
  }
  if (decoded->kind == Entry::Kind::kDirectory) {
    EXPECT_GT(raw(decoded->directory), raw(*parent));
  }
}

TEST(Mutation, OfEntriesAndTheirKeys) {
  const Entry entries[] = {
      inline_entry("file", sample_file()),
      inline_entry("copy", sample_copy()),
      inline_entry(std::string(500, 'n'), sample_symlink()),
      grouped_entry("group", InodeNo{77}),
      directory_entry("directory", DirId{300}),
  };
  for (const Entry& entry : entries) {
    const std::string key = entry_key(DirId{258}, entry.name);
    const std::string value = encode(entry);
    for_each_mutant(value, [&key](const std::string& mutant) { check_entry(key, mutant); });
    for_each_mutant(key, [&value](const std::string& mutant) { check_entry(mutant, value); });
  }
}

TEST(Mutation, OfProblems) {
  for_each_mutant(encode(sample_problem()), [](const std::string& mutant) {
    const auto bytes = exact_copy(mutant);
    const auto decoded = decode_problem(view_of(bytes));
    if (decoded) {
      EXPECT_NE(to_word(decoded->kind), "unknown");
      EXPECT_EQ(encode(*decoded), mutant);
    }
  });
}

void check_manifest_line(const std::string& line) {
  const auto entry = parse_manifest_line(line);
  if (!entry) {
    return;
  }
  const auto components = split_path(entry->path);
  ASSERT_TRUE(components);
  std::string again;
  if (const auto* inode = std::get_if<InodeRecord>(&entry->record)) {
    expect_sound(*inode);
    EXPECT_FALSE(components->empty());
    again = manifest_line(entry->path, *inode, entry->grouped);
  } else {
    expect_sound(std::get<DirectoryRecord>(entry->record));
    again = manifest_line(entry->path, std::get<DirectoryRecord>(entry->record));
  }
  EXPECT_TRUE(again == line || again == line + "\n") << line;
}

TEST(Mutation, OfManifestLines) {
  for (const InodeRecord& record : {sample_copy(), sample_symlink(), sample_device()}) {
    for_each_mutant(manifest_line("a/b \xe2\x82\xac", record, true), check_manifest_line);
    for_each_mutant(manifest_line("a/\xff", record, false), check_manifest_line);
  }
  for_each_mutant(manifest_line("", sample_root().record), check_manifest_line);
  for_each_mutant(manifest_line("d", sample_directory().record), check_manifest_line);
}

}  // namespace
}  // namespace holdfast::catalog
