#include "catalog/reader.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/codec.hpp"
#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)
using Names = std::vector<std::string>;

constexpr InodeNo kGroup{500};

//   home/al/Documents/{a, link}   home/link     "link" names one inode twice
class ReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(env_) << describe(env_.error());
    auto txn = WriteTxn::begin(*env_);
    ASSERT_TRUE(txn);
    txn_.emplace(std::move(*txn));
    add_directory(kRootDir, kNoDir, "");
    add_directory(DirId{2}, kRootDir, "home");
    add_directory(DirId{3}, DirId{2}, "al");
    add_directory(DirId{4}, DirId{3}, long_name_);
    add_entry(DirId{4}, inline_entry("a", sample_file()));
    add_entry(DirId{4}, grouped_entry("link", kGroup));
    add_entry(DirId{2}, grouped_entry("link", kGroup));
    InodeRecord record = sample_file();
    record.source_inode = record.held_inode = kGroup;
    put(Table::kInodes, inode_key(kGroup), encode(record));
  }

  void put(Table table, std::string_view key, std::string_view value) {
    ASSERT_TRUE(txn_->put(table, key, value));
  }
  void add_entry(DirId parent, const Entry& entry) {
    put(Table::kEntries, entry_key(parent, entry.name), encode(entry));
  }
  void add_directory(DirId id, DirId parent, std::string_view name) {
    Directory directory = sample_root();
    directory.id = id;
    directory.parent = parent;
    directory.name = name;
    put(Table::kDirs, dir_key(id), encode(directory));
    if (parent != kNoDir) {
      add_entry(parent, directory_entry(name, id));
    }
  }
  Reader reader() { return Reader(*txn_); }

  static Reader::EntryVisitor collect(Names& names) {
    return [&names](DirId parent, const Entry& entry) -> Result<bool> {
      names.push_back(std::to_string(raw(parent)) + "/" + entry.name.substr(0, 10));
      return true;
    };
  }

  const std::string long_name_ = std::string(700, 'D');
  TempDirectory directory_;
  Result<Env> env_ = Env::open(directory_.fd(), Env::Mode::kCreate, std::size_t{256} << 20);
  std::optional<WriteTxn> txn_;
};

TEST_F(ReaderTest, FindsEntries) {
  const auto file = reader().find_entry(DirId{4}, "a");
  ASSERT_TRUE(file && *file);
  EXPECT_EQ((*file)->inode, sample_file());
  const auto directory = reader().find_entry(DirId{3}, long_name_);
  ASSERT_TRUE(directory && *directory);
  EXPECT_EQ((*directory)->directory, DirId{4});
  EXPECT_EQ((*directory)->name, long_name_);
  EXPECT_EQ(reader().find_entry(DirId{4}, "b").value(), std::nullopt);
  EXPECT_EQ(reader().find_entry(DirId{9}, "a").value(), std::nullopt);
  EXPECT_EQ(reader().find_entry(DirId{3}, std::string(699, 'D')).value(), std::nullopt);
}

TEST_F(ReaderTest, FillsInTheInodeOfAGroup) {
  const auto entry = reader().find_entry(DirId{4}, "link");
  ASSERT_TRUE(entry && *entry);
  EXPECT_EQ((*entry)->kind, Entry::Kind::kGrouped);
  EXPECT_EQ((*entry)->group, kGroup);
  EXPECT_EQ((*entry)->inode.source_inode, kGroup);
  EXPECT_EQ((*entry)->inode.hash, sample_file().hash);
}

TEST_F(ReaderTest, GroupWithoutItsInodeIsDamage) {
  ASSERT_TRUE(txn_->erase(Table::kInodes, inode_key(kGroup)));
  const auto entry = reader().find_entry(DirId{4}, "link");
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().fault, Fault::kCatalogBad);
}

TEST_F(ReaderTest, ASecondWayToADirectoryIsDamage) {
  add_entry(kRootDir, directory_entry("again", DirId{3}));
  EXPECT_EQ(reader().find_entry(kRootDir, "again").error().fault, Fault::kCatalogBad);
  ASSERT_TRUE(reader().find_entry(DirId{2}, "al").value());
  add_entry(DirId{2}, directory_entry("bo", DirId{3}));
  EXPECT_EQ(reader().find_entry(DirId{2}, "bo").error().fault, Fault::kCatalogBad);
}

TEST_F(ReaderTest, DirectoryEntryWithoutItsRowIsDamage) {
  add_entry(DirId{2}, directory_entry("nobody", DirId{77}));
  EXPECT_EQ(reader().find_entry(DirId{2}, "nobody").error().fault, Fault::kCatalogBad);
}

TEST_F(ReaderTest, ARowWithoutANameIsDamageInEveryWalk) {
  put(Table::kEntries, dir_key(kRootDir), encode(inline_entry("x", sample_file())));
  Names names;
  EXPECT_FALSE(reader().for_each_entry(kRootDir, collect(names)));
  EXPECT_FALSE(reader().for_each_entry_after(dir_key(kRootDir), collect(names)));
  EXPECT_TRUE(names.empty());
}

TEST_F(ReaderTest, InodeUnderAnothersNumberIsDamage) {
  put(Table::kInodes, inode_key(kGroup), encode(sample_file()));
  EXPECT_EQ(reader().find_entry(DirId{4}, "link").error().fault, Fault::kCatalogBad);
  EXPECT_EQ(reader().find_inode(kGroup).error().fault, Fault::kCatalogBad);
}

TEST_F(ReaderTest, WalksOneDirectoryInKeyOrder) {
  Names names;
  ASSERT_TRUE(reader().for_each_entry(DirId{2}, collect(names)));
  EXPECT_EQ(names, (Names{"2/al", "2/link"}));
  names.clear();
  ASSERT_TRUE(reader().for_each_entry(DirId{9}, collect(names)));
  EXPECT_TRUE(names.empty());
  EXPECT_EQ(reader().count_entries(DirId{2}).value(), 2U);
  EXPECT_EQ(reader().count_entries(DirId{4}).value(), 2U);
  EXPECT_EQ(reader().count_entries(DirId{9}).value(), 0U);
}

TEST_F(ReaderTest, WalksEverythingAndResumes) {
  Names all;
  ASSERT_TRUE(reader().for_each_entry_after({}, collect(all)));
  EXPECT_EQ(all, (Names{"1/home", "2/al", "2/link", "3/DDDDDDDDDD", "4/a", "4/link"}));
  Names rest;
  ASSERT_TRUE(reader().for_each_entry_after(entry_key(DirId{2}, "link"), collect(rest)));
  EXPECT_EQ(rest, (Names{"3/DDDDDDDDDD", "4/a", "4/link"}));
  rest.clear();
  ASSERT_TRUE(reader().for_each_entry_after(entry_key(DirId{2}, "zzz"), collect(rest)));
  EXPECT_EQ(rest.size(), 3U);
}

TEST_F(ReaderTest, VisitorEndsTheWalk) {
  int seen = 0;
  EXPECT_TRUE(reader().for_each_entry_after(
      {}, [&seen](DirId, const Entry&) -> Result<bool> { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
  const auto status = reader().for_each_entry_after(
      {}, [](DirId, const Entry&) -> Result<bool> { return fail(Fault::kDamage, "x", "stop"); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().reason, "stop");
}

TEST_F(ReaderTest, WalksDirectories) {
  Names names;
  const auto visit = [&names](const Directory& directory) -> Result<bool> {
    names.push_back(std::to_string(raw(directory.id)));
    return directory.id != DirId{3};
  };
  ASSERT_TRUE(reader().for_each_directory(DirId{2}, visit));
  EXPECT_EQ(names, (Names{"2", "3"}));
  const auto found = reader().find_directory(DirId{2});
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->name, "home");
  EXPECT_FALSE(reader().find_directory(DirId{99}).value().has_value());
}

TEST_F(ReaderTest, WalksGroups) {
  int groups = 0;
  ASSERT_TRUE(
      reader().for_each_group([&groups](InodeNo number, const InodeRecord& record) -> Result<bool> {
        EXPECT_EQ(number, kGroup);
        EXPECT_EQ(record.source_inode, kGroup);
        ++groups;
        return true;
      }));
  EXPECT_EQ(groups, 1);
  EXPECT_TRUE(reader().find_inode(kGroup).value().has_value());
  EXPECT_FALSE(reader().find_inode(InodeNo{1}).value().has_value());
}

TEST_F(ReaderTest, NamesDirectoriesByTheirPath) {
  EXPECT_EQ(reader().path_of(kRootDir).value(), "");
  EXPECT_EQ(reader().path_of(DirId{3}).value(), "home/al");
  EXPECT_EQ(reader().components_of(DirId{4}).value(), (Names{"home", "al", long_name_}));
  EXPECT_EQ(reader().path_of(DirId{99}).error().fault, Fault::kCatalogBad);
  EXPECT_EQ(reader().path_of(kNoDir).error().fault, Fault::kCatalogBad);
}

TEST_F(ReaderTest, PathBeyondPathMaxIsFine) {
  std::uint64_t parent = 4;
  for (; parent < 5000; ++parent) {
    add_directory(DirId{parent + 1}, DirId{parent}, "deep");
  }
  const auto components = reader().components_of(DirId{parent});
  ASSERT_TRUE(components);
  EXPECT_EQ(components->size(), 4999U);
  const auto found = reader().find_path(*components);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->entry.directory, DirId{parent});
}

TEST_F(ReaderTest, MissingParentIsDamage) {
  ASSERT_TRUE(txn_->erase(Table::kDirs, dir_key(DirId{2})));
  const auto path = reader().path_of(DirId{4});
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().fault, Fault::kCatalogBad);
}

TEST_F(ReaderTest, FindsPaths) {
  const auto root = reader().find_path({});
  ASSERT_TRUE(root && *root);
  EXPECT_EQ((*root)->entry.kind, Entry::Kind::kDirectory);
  EXPECT_EQ((*root)->entry.directory, kRootDir);
  EXPECT_EQ((*root)->entry.name, "");
  const auto link = reader().find_path({"home", "link"});
  ASSERT_TRUE(link && *link);
  EXPECT_EQ((*link)->parent, DirId{2});
  EXPECT_EQ((*link)->entry.inode.source_inode, kGroup);
  EXPECT_FALSE(reader().find_path({"home", "bob"}).value());
  EXPECT_FALSE(reader().find_path({"home", "link", "below"}).value());
}

TEST_F(ReaderTest, RowThatCannotBeReadIsDamageWithTableAndKey) {
  put(Table::kEntries, entry_key(DirId{2}, "al\n"), "\x02 from the future");
  Names names;
  const auto status = reader().for_each_entry(DirId{2}, collect(names));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().fault, Fault::kCatalogBad);
  EXPECT_NE(status.error().reason.find("table entries, key 0000000000000002616c0a"),
            std::string::npos)
      << status.error().reason;
  put(Table::kDirs, "short", encode(sample_root()));
  EXPECT_FALSE(
      reader().for_each_directory(kNoDir, [](const Directory&) -> Result<bool> { return true; }));
  put(Table::kProblems, sequence_key(1), "");
  EXPECT_FALSE(reader().for_each_problem([](const Problem&) -> Result<bool> { return true; }));
  put(Table::kInodes, "x", "");
  EXPECT_FALSE(
      reader().for_each_group([](InodeNo, const InodeRecord&) -> Result<bool> { return true; }));
}

TEST_F(ReaderTest, FindsNamesByContent) {
  const Digest hash = sample_file().hash;
  const Digest other = digest_of_text("other");
  add_entry(DirId{3}, inline_entry("b", sample_file()));
  for (const auto& [parent, name] :
       {std::pair{DirId{4}, "link"}, std::pair{DirId{4}, "a"}, std::pair{DirId{3}, "b"}}) {
    put(Table::kContent, content_key(hash, entry_key(parent, name)), "");
  }
  put(Table::kContent, content_key(other, entry_key(DirId{2}, "link")), "");
  Names names;
  ASSERT_TRUE(reader().for_each_with_hash(hash, collect(names)));
  EXPECT_EQ(names, (Names{"3/b", "4/a", "4/link"}));
  names.clear();
  ASSERT_TRUE(reader().for_each_with_hash(digest_of_text("none"), collect(names)));
  EXPECT_TRUE(names.empty());
  int rows = 0;
  ASSERT_TRUE(reader().for_each_content(
      [&](const Digest& found, DirId parent, std::string_view key) -> Result<bool> {
        EXPECT_TRUE(found == hash || found == other);
        const auto entry = reader().find_by_key(key);
        EXPECT_TRUE(entry && *entry);
        EXPECT_EQ(parent_of_key(key), parent);
        ++rows;
        return true;
      }));
  EXPECT_EQ(rows, 4);
}

TEST_F(ReaderTest, ContentWithoutItsEntryIsDamage) {
  const Digest hash = sample_file().hash;
  put(Table::kContent, content_key(hash, entry_key(DirId{4}, "gone")), "");
  Names names;
  EXPECT_EQ(reader().for_each_with_hash(hash, collect(names)).error().fault, Fault::kCatalogBad);
  put(Table::kContent, content_key(hash, {}), "");
  EXPECT_EQ(reader().for_each_with_hash(hash, collect(names)).error().fault, Fault::kCatalogBad);
}

TEST_F(ReaderTest, ReadsMetaAndOwners) {
  EXPECT_EQ(reader().meta(meta::kFormat).value(), "1");
  EXPECT_EQ(reader().meta(meta::kLabels).value(), std::nullopt);
  using Kind = Reader::OwnerKind;
  EXPECT_EQ(owner_key(Kind::kGroup, 0x01020304), "\x02\x01\x02\x03\x04");
  put(Table::kOwners, owner_key(Kind::kUser, 1000), "al");
  put(Table::kOwners, owner_key(Kind::kGroup, 1000), "users");
  EXPECT_EQ(reader().owner_name(Kind::kUser, 1000).value(), "al");
  EXPECT_EQ(reader().owner_name(Kind::kGroup, 1000).value(), "users");
  EXPECT_EQ(reader().owner_name(Kind::kUser, 1001).value(), std::nullopt);
  for (const std::string_view name : {std::string_view(""), std::string_view("a:b"),
                                      std::string_view("a\nb"), std::string_view("a\0b", 3)}) {
    put(Table::kOwners, owner_key(Kind::kUser, 7), name);
    EXPECT_EQ(reader().owner_name(Kind::kUser, 7).error().fault, Fault::kCatalogBad);
  }
}

}  // namespace
}  // namespace holdfast::catalog
