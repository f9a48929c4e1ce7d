#include "catalog/codec.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the samples are what this is
                          // about
using std::string_literals::operator""s;

// Offsets of docs/format.md in a row of `inodes`.
constexpr std::size_t kKinds = 1;
constexpr std::size_t kPresence = 2;
constexpr std::size_t kMode = 3;
constexpr std::size_t kMtimeNanoseconds = 37;
constexpr std::size_t kCtimeNanoseconds = 49;
constexpr std::size_t kHash = 53;
constexpr std::size_t kRare = 69;

std::string with_byte(std::string value, std::size_t at, unsigned byte) {
  value.at(at) = static_cast<char>(byte);
  return value;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::optional<Entry> round_trip(DirId parent, const Entry& entry) {
  return decode_entry(entry_key(parent, entry.name), encode(entry));
}

TEST(InodeRecord, RoundTrips) {
  for (const InodeRecord& record : sample_inodes()) {
    const auto decoded = decode_inode(encode(record));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, record);
  }
}

// The worked example of docs/format.md.
TEST(InodeRecord, HasTheBytesOfTheDocument) {
  InodeRecord record;
  record.hash_state = HashState::kHashed;
  record.source_inode = InodeNo{0x12d687};
  record.held_inode = record.source_inode;
  record.mode = 0644;
  record.uid = 1000;
  record.gid = 100;
  record.size = 5;
  record.mtime = {1'700'000'000, 123'456'789};
  record.ctime = {1'700'000'100, 5};
  record.btime = {1'600'000'000, 1};
  record.hash = digest_of_text("hello");
  const std::string expected = from_hex(
      "01"                                // version
      "89"                                // file, link, hashed
      "02"                                // btime is present
      "a401"                              // 0644
      "e8030000"                          // uid 1000
      "64000000"                          // gid 100
      "87d6120000000000"                  // inode
      "0500000000000000"                  // size
      "00f153650000000015cd5b07"          // mtime
      "64f153650000000005000000"          // ctime
      "b5e9c1ad071b3e7fc779cfaa5e523818"  // hash
      "00105e5f0000000001000000");        // btime
  EXPECT_EQ(encode(record), expected);
  EXPECT_EQ(decode_inode(expected), record);
}

TEST(Directory, HasTheBytesOfTheDocument) {
  Directory directory;
  directory.id = DirId{3};
  directory.parent = DirId{2};
  directory.name = "al";
  directory.record.inode = InodeNo{4711};
  directory.record.mode = 0750;
  directory.record.uid = 1000;
  directory.record.gid = 100;
  directory.record.atime = {1'700'000'001, 0};
  directory.record.mtime = {1'700'000'002, 0};
  directory.record.ctime = {1'700'000'003, 0};
  directory.record.xattrs = {{"user.x", "1"}};
  directory.record.subtree.entries = 1;
  directory.record.subtree.bytes = 5;
  directory.record.subtree.uids = {1000};
  directory.record.subtree.gids = {100};
  EXPECT_EQ(encode(directory), from_hex("010308"
                                        "e801e803000064000000"
                                        "0200000000000000"
                                        "6712000000000000"
                                        "01f153650000000000000000"
                                        "02f153650000000000000000"
                                        "03f153650000000000000000"
                                        "0200616c"
                                        "010006757365722e780100000031"
                                        "0100000000000000"
                                        "0500000000000000"
                                        "0101e803000064000000"));
}

TEST(Entry, HasTheBytesOfTheDocument) {
  EXPECT_EQ(encode(inline_entry("a", sample_file())),
            from_hex("0102") + encode(sample_file()).substr(1));
  EXPECT_EQ(encode(grouped_entry("a", InodeNo{0x12d687})), from_hex("010387d6120000000000"));
  EXPECT_EQ(encode(directory_entry("a", DirId{3})), from_hex("01010300000000000000"));
  EXPECT_EQ(encode(directory_entry(std::string(500, 'n'), DirId{3})),
            from_hex("0101f401") + std::string(500, 'n') + from_hex("0300000000000000"));
}

TEST(Problem, HasTheBytesOfTheDocument) {
  EXPECT_EQ(encode(Problem{ProblemKind::kMissed, "home/al/work", "linkat", 18, ""}),
            from_hex("010212000000"
                     "0c000000686f6d652f616c2f776f726b"
                     "060000006c696e6b6174"
                     "00000000"));
}

TEST(InodeRecord, OfAFileTakesEightyOneBytes) {
  EXPECT_EQ(encode(sample_file()).size(), 81U);
  InodeRecord without_btime = sample_file();
  without_btime.btime = Timestamp();
  EXPECT_EQ(encode(without_btime).size(), 69U);
}

TEST(InodeRecord, KeepsItsLengthWhenTheHashIsFilledIn) {
  InodeRecord pending = sample_file();
  pending.hash = Digest();
  pending.hash_state = HashState::kPending;
  InodeRecord hashed = pending;
  hashed.hash = digest_of_text("content");
  hashed.hash_state = HashState::kHashed;
  hashed.ctime = {1'800'000'000, 3};
  EXPECT_EQ(encode(pending).size(), encode(hashed).size());
  hashed.hash_state = HashState::kUnstable;
  EXPECT_EQ(encode(pending).size(), encode(hashed).size());
}

TEST(InodeRecord, LeavesOutWhatItsTypeCannotHave) {
  InodeRecord record = sample_file();
  record.link_target = "nonsense";
  record.rdev = 5;
  const auto file = decode_inode(encode(record));
  ASSERT_TRUE(file);
  EXPECT_EQ(*file, sample_file());
  InodeRecord fifo = sample_symlink();
  fifo.type = FileType::kFifo;
  fifo.hash = digest_of_text("x");
  const auto decoded = decode_inode(encode(fifo));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->hash, Digest());
  EXPECT_EQ(decoded->link_target, "");
}

TEST(InodeRecord, OfALinkHoldsItsOwnInode) {
  InodeRecord record = sample_file();
  record.held_inode = InodeNo{5};
  const auto decoded = decode_inode(encode(record));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->held_inode, record.source_inode);
}

TEST(InodeRecord, RefusesAnotherVersion) {
  const std::string value = encode(sample_file());
  for (const unsigned version : {0U, 2U, 3U, 255U}) {
    EXPECT_FALSE(decode_inode(with_byte(value, 0, version)));
  }
}

TEST(InodeRecord, RefusesShortAndTrailingBytes) {
  for (const InodeRecord& record : sample_inodes()) {
    const std::string value = encode(record);
    for (std::size_t size = 0; size < value.size(); ++size) {
      EXPECT_FALSE(decode_inode(std::string_view(value).substr(0, size)));
    }
    EXPECT_FALSE(decode_inode(value + '\0'));
    EXPECT_FALSE(decode_inode(value + value));
  }
}

TEST(InodeRecord, RefusesUnknownEnumerators) {
  const std::string value = encode(sample_file());
  const auto kinds = [](unsigned type, unsigned held, unsigned state) {
    return type | (held << 3U) | (state << 6U);
  };
  ASSERT_EQ(static_cast<unsigned char>(value[kKinds]), kinds(1, 1, 2));
  EXPECT_TRUE(decode_inode(with_byte(value, kKinds, kinds(1, 1, 3))));
  for (const unsigned type : {0U, 2U, 7U}) {
    EXPECT_FALSE(decode_inode(with_byte(value, kKinds, kinds(type, 1, 2))));
  }
  for (const unsigned held : {0U, 5U, 6U, 7U}) {
    EXPECT_FALSE(decode_inode(with_byte(value, kKinds, kinds(1, held, 2))));
  }
  EXPECT_FALSE(decode_inode(with_byte(value, kKinds, kinds(1, 1, 0))));
}

TEST(InodeRecord, RefusesAWayOfHoldingThatItsTypeDoesNotHave) {
  InodeRecord file = sample_file();
  file.held = Held::kNode;
  EXPECT_FALSE(decode_inode(encode(file)));
  for (const Held held : {Held::kCopy, Held::kReflink}) {
    InodeRecord symlink = sample_symlink();
    symlink.held = held;
    EXPECT_FALSE(decode_inode(encode(symlink)));
  }
}

TEST(InodeRecord, RefusesModesThatAreMoreThanPermissions) {
  const std::string value = encode(sample_file());
  EXPECT_TRUE(decode_inode(with_byte(with_byte(value, kMode, 0xff), kMode + 1, 0x0f)));
  EXPECT_FALSE(decode_inode(with_byte(value, kMode + 1, 0x10)));
  EXPECT_FALSE(decode_inode(with_byte(value, kMode + 1, 0x81)));
}

TEST(InodeRecord, RefusesNanosecondsOutOfRange) {
  for (const std::size_t at : {kMtimeNanoseconds, kCtimeNanoseconds, kRare + 8}) {
    std::string value = encode(sample_file());
    value.replace(at, 4, from_hex("ffc99a3b"));  // 999,999,999
    EXPECT_TRUE(decode_inode(value));
    value.replace(at, 4, from_hex("00ca9a3b"));
    EXPECT_FALSE(decode_inode(value));
  }
}

TEST(InodeRecord, RefusesUnknownPresenceBits) {
  const std::string value = encode(sample_file());
  EXPECT_FALSE(decode_inode(with_byte(value, kPresence, 0x02 | 0x40)));
  EXPECT_FALSE(decode_inode(with_byte(value, kPresence, 0x02 | 0x80)));
}

// One record, one encoding: a field that is present has a reason to be.
TEST(InodeRecord, RefusesRareFieldsWithoutAReason) {
  InodeRecord plain = sample_file();
  plain.btime = Timestamp();
  const std::string value = encode(plain);
  const auto with = [&value](unsigned presence, std::string_view hex) {
    return with_byte(value, kPresence, presence) + from_hex(hex);
  };
  EXPECT_TRUE(decode_inode(value));
  EXPECT_FALSE(decode_inode(with(0x02, "000000000000000000000000")));  // btime of zero
  EXPECT_FALSE(decode_inode(with(0x01, "0100000000000000")));          // a link with another inode
  EXPECT_FALSE(decode_inode(with(0x04, "0100000000000000")));  // a file with a device number
  EXPECT_FALSE(decode_inode(with(0x08, "00000000")));          // no flags
  EXPECT_TRUE(decode_inode(with(0x08, "10000000")));
  EXPECT_FALSE(decode_inode(with(0x10, "00000000")));  // no project
  EXPECT_TRUE(decode_inode(with(0x10, "01000000")));
  EXPECT_FALSE(decode_inode(with(0x20, "010061")));  // a file with a link target
  InodeRecord copy = plain;
  copy.held = Held::kCopy;
  const std::string copied = with_byte(encode(copy), kPresence, 0x01);
  EXPECT_FALSE(decode_inode(copied + from_hex("87d6120000000000")));  // its own inode again
  EXPECT_TRUE(decode_inode(copied + from_hex("88d6120000000000")));
  ASSERT_EQ(value.size(), kHash + 16);
}

TEST(InodeRecord, RefusesLinkTargetsThatCannotBe) {
  InodeRecord symlink = sample_symlink();
  symlink.link_target = std::string(4095, 't');
  EXPECT_TRUE(decode_inode(encode(symlink)));
  symlink.link_target += 't';
  EXPECT_FALSE(decode_inode(encode(symlink)));
  symlink.link_target = "a\0b"s;
  EXPECT_FALSE(decode_inode(encode(symlink)));
  symlink.link_target = "";
  std::string value = encode(symlink);
  EXPECT_TRUE(decode_inode(value));
  EXPECT_FALSE(decode_inode(with_byte(value, kPresence, 0x22) + "\0\0"s));
}

TEST(Directory, RoundTrips) {
  Directory plain = sample_directory();
  plain.record = DirectoryRecord();
  for (const Directory& directory : {sample_root(), sample_directory(), plain}) {
    const auto decoded = decode_directory(directory.id, encode(directory));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->id, directory.id);
    EXPECT_EQ(decoded->parent, directory.parent);
    EXPECT_EQ(decoded->name, directory.name);
    EXPECT_EQ(decoded->record, directory.record);
  }
}

TEST(Directory, RefusesShortAndTrailingBytes) {
  const std::string value = encode(sample_directory());
  for (std::size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(decode_directory(DirId{77}, std::string_view(value).substr(0, size)));
  }
  EXPECT_FALSE(decode_directory(DirId{77}, value + "x"));
}

TEST(Directory, RefusesAnotherVersionAndUnknownBits) {
  const std::string value = encode(sample_directory());
  EXPECT_FALSE(decode_directory(DirId{77}, with_byte(value, 0, 2)));
  EXPECT_FALSE(decode_directory(DirId{77}, with_byte(value, 1, 0x40)));
  EXPECT_FALSE(decode_directory(DirId{77}, with_byte(value, 2, 0x1f)));
  EXPECT_FALSE(decode_directory(DirId{77}, with_byte(value, 4, 0x10)));
}

TEST(Directory, RefusesAPlaceThatIsNone) {
  const auto decodes = [](std::uint64_t id, std::uint64_t parent, const std::string& name) {
    Directory directory;
    directory.id = DirId{id};
    directory.parent = DirId{parent};
    directory.name = name;
    return decode_directory(directory.id, encode(directory)).has_value();
  };
  EXPECT_TRUE(decodes(1, 0, ""));
  EXPECT_TRUE(decodes(2, 1, "a"));
  EXPECT_TRUE(decodes(3, 2, std::string(kMaxNameBytes, 'n')));
  EXPECT_FALSE(decodes(0, 0, ""));   // id 0 is none
  EXPECT_FALSE(decodes(1, 0, "a"));  // the root has no name
  EXPECT_FALSE(decodes(2, 0, "a"));  // and is the only one without a parent
  EXPECT_FALSE(decodes(2, 1, ""));
  EXPECT_FALSE(decodes(2, 1, ".."));
  EXPECT_FALSE(decodes(2, 1, "."));
  EXPECT_FALSE(decodes(2, 1, "a/b"));
  EXPECT_FALSE(decodes(2, 1, "a\0b"s));
  EXPECT_FALSE(decodes(2, 1, std::string(kMaxNameBytes + 1, 'n')));
  EXPECT_FALSE(decodes(2, 2, "a"));  // its own parent
  EXPECT_FALSE(decodes(2, 3, "a"));  // a cycle would need one of these
}

bool keeps_xattrs(const std::vector<Xattr>& xattrs) {
  Directory directory = sample_directory();
  directory.record.xattrs = xattrs;
  return decode_directory(directory.id, encode(directory)).has_value();
}

TEST(Directory, RefusesXattrsThatCannotBe) {
  EXPECT_TRUE(keeps_xattrs({{"user.a", std::string(65536, 'v')}}));
  EXPECT_FALSE(keeps_xattrs({{"user.a", std::string(65537, 'v')}}));
  EXPECT_TRUE(keeps_xattrs({{std::string(255, 'n'), ""}}));
  EXPECT_FALSE(keeps_xattrs({{std::string(256, 'n'), ""}}));
  EXPECT_FALSE(keeps_xattrs({{"", "v"}}));
  EXPECT_FALSE(keeps_xattrs({{"user.\0x"s, "v"}}));
  EXPECT_FALSE(keeps_xattrs({{"user.b", ""}, {"user.a", ""}}));
  EXPECT_FALSE(keeps_xattrs({{"user.a", "1"}, {"user.a", "2"}}));
}

TEST(Directory, RefusesSummariesThatCannotBe) {
  const auto decodes = [](const std::vector<std::uint32_t>& ids) {
    Directory directory = sample_directory();
    directory.record.subtree.uids = ids;
    return decode_directory(directory.id, encode(directory)).has_value();
  };
  EXPECT_TRUE(decodes({}));
  EXPECT_TRUE(decodes({1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_FALSE(decodes({1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_FALSE(decodes({2, 1}));
  EXPECT_FALSE(decodes({1, 1}));
}

TEST(Entry, RoundTripsEveryKind) {
  for (const InodeRecord& record : sample_inodes()) {
    const auto decoded = round_trip(DirId{5}, inline_entry("na\xffme\n", record));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->kind, Entry::Kind::kInline);
    EXPECT_EQ(decoded->name, "na\xffme\n");
    EXPECT_EQ(decoded->inode, record);
  }
  const auto group = round_trip(DirId{5}, grouped_entry("g", InodeNo{~0ULL}));
  ASSERT_TRUE(group);
  EXPECT_EQ(group->kind, Entry::Kind::kGrouped);
  EXPECT_EQ(group->group, InodeNo{~0ULL});
  EXPECT_EQ(group->inode, InodeRecord());
  const auto directory = round_trip(DirId{5}, directory_entry("d", DirId{6}));
  ASSERT_TRUE(directory);
  EXPECT_EQ(directory->kind, Entry::Kind::kDirectory);
  EXPECT_EQ(directory->directory, DirId{6});
}

TEST(Entry, RoundTripsLongNames) {
  for (std::size_t size = 1; size <= kMaxNameBytes; ++size) {
    std::string name(size, 'n');
    name.back() = '\xe4';
    const auto decoded = round_trip(DirId{5}, inline_entry(name, sample_symlink()));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->name, name);
    EXPECT_EQ(decoded->inode, sample_symlink());
  }
  EXPECT_FALSE(round_trip(DirId{5}, inline_entry(std::string(766, 'n'), sample_file())));
}

TEST(Entry, RefusesAValueWhoseNameIsNotItsKeys) {
  const std::string name(600, 'n');
  const std::string other(601, 'n');
  EXPECT_FALSE(decode_entry(entry_key(DirId{5}, name), encode(inline_entry(other, sample_file()))));
  // A short name in the value of a long key, and a long one in that of a short key.
  EXPECT_FALSE(decode_entry(entry_key(DirId{5}, name), encode(inline_entry("a", sample_file()))));
  EXPECT_FALSE(decode_entry(entry_key(DirId{5}, "a"), encode(inline_entry(name, sample_file()))));
}

TEST(Entry, RefusesNamesThatAreNoComponents) {
  const std::string value = encode(inline_entry("a", sample_file()));
  EXPECT_TRUE(decode_entry(dir_key(DirId{5}) + "a", value));
  for (const std::string& name : {""s, "."s, ".."s, "a/b"s, "/"s, "a\0b"s}) {
    EXPECT_FALSE(decode_entry(dir_key(DirId{5}) + name, value)) << name;
  }
  // Longer than any key that we make, which would otherwise count as a long name.
  EXPECT_FALSE(decode_entry(dir_key(DirId{5}) + std::string(481, 'n'), value));
  EXPECT_FALSE(decode_entry(dir_key(DirId{5}) + std::string(500, 'n'), value));
  EXPECT_FALSE(decode_entry("", value));
  EXPECT_FALSE(decode_entry("1234567", value));
  EXPECT_FALSE(decode_entry(entry_key(kNoDir, "a"), value));
}

TEST(Entry, RefusesOtherKindsVersionsAndLengths) {
  const std::string key = entry_key(DirId{5}, "a");
  const std::string value = encode(inline_entry("a", sample_file()));
  EXPECT_EQ(value.size(), 82U);
  EXPECT_FALSE(decode_entry(key, with_byte(value, 0, 2)));
  EXPECT_FALSE(decode_entry(key, with_byte(value, 1, 0)));
  EXPECT_FALSE(decode_entry(key, with_byte(value, 1, 4)));
  EXPECT_FALSE(decode_entry(key, value + "x"));
  for (std::size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(decode_entry(key, std::string_view(value).substr(0, size)));
  }
}

TEST(Entry, RefusesADirectoryThatIsOlderThanItsParent) {
  EXPECT_FALSE(round_trip(DirId{5}, directory_entry("d", DirId{5})));
  EXPECT_FALSE(round_trip(DirId{5}, directory_entry("d", DirId{4})));
  EXPECT_FALSE(round_trip(DirId{5}, directory_entry("d", kNoDir)));
}

TEST(Problem, RoundTrips) {
  Problem plain;
  for (const Problem& problem : {sample_problem(), plain}) {
    const auto decoded = decode_problem(encode(problem));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->kind, problem.kind);
    EXPECT_EQ(decoded->path, problem.path);
    EXPECT_EQ(decoded->operation, problem.operation);
    EXPECT_EQ(decoded->error_number, problem.error_number);
    EXPECT_EQ(decoded->reason, problem.reason);
  }
}

TEST(Problem, TakesPathsBeyondPathMax) {
  Problem problem = sample_problem();
  problem.path = std::string(200'000, 'p');
  const auto decoded = decode_problem(encode(problem));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->path, problem.path);
}

TEST(Problem, RefusesWhatCannotBe) {
  const std::string value = encode(sample_problem());
  EXPECT_FALSE(decode_problem(with_byte(value, 0, 2)));
  EXPECT_FALSE(decode_problem(with_byte(value, 1, 0)));
  EXPECT_FALSE(decode_problem(with_byte(value, 1, 12)));
  EXPECT_FALSE(decode_problem(with_byte(value, 5, 0x80)));  // a negative errno
  EXPECT_FALSE(decode_problem(with_byte(value, 9, 0xff)));  // a path of 4 GB
  EXPECT_FALSE(decode_problem(value + "x"));
  for (std::size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(decode_problem(std::string_view(value).substr(0, size)));
  }
  Problem problem = sample_problem();
  problem.path = "a\0b"s;
  EXPECT_FALSE(decode_problem(encode(problem)));
}

}  // namespace
}  // namespace holdfast::catalog
