#include "catalog/lmdb.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/schema.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using testing::TempDirectory;

constexpr std::size_t kSmallMap = std::size_t{64} << 20;

Result<Env> open_env(const TempDirectory& directory, Env::Mode mode) {
  return Env::open(directory.fd(), mode, kSmallMap);
}

void put(Env& env, Table table, std::string_view key, std::string_view value) {
  auto txn = WriteTxn::begin(env);
  ASSERT_TRUE(txn);
  ASSERT_TRUE(txn->put(table, key, value));
  ASSERT_TRUE(txn->commit());
}

void make_catalog(const TempDirectory& directory, int rows = 0) {
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env) << describe(env.error());
  auto txn = WriteTxn::begin(*env);
  ASSERT_TRUE(txn);
  for (int i = 0; i < rows; ++i) {
    ASSERT_TRUE(txn->put(Table::kEntries, sequence_key(static_cast<std::uint64_t>(i)),
                         std::string(80, 'v')));
  }
  ASSERT_TRUE(txn->commit());
}

void expect_refused(const TempDirectory& directory, Env::Mode mode, std::string_view reason) {
  const auto env = open_env(directory, mode);
  ASSERT_FALSE(env);
  EXPECT_EQ(env.error().fault, Fault::kCatalogBad);
  EXPECT_NE(describe(env.error()).find(reason), std::string::npos) << describe(env.error());
}

mode_t permissions_of(const std::string& file) {
  struct stat status{};
  EXPECT_EQ(::stat(file.c_str(), &status), 0);
  return status.st_mode & 07777;
}

TEST(Env, CreatesPrivateFilesAndTables) {
  const TempDirectory directory;
  const mode_t mask = ::umask(0);
  auto env = open_env(directory, Env::Mode::kCreate);
  ::umask(mask);
  ASSERT_TRUE(env) << describe(env.error());
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"data.mdb", "lock.mdb"}));
  EXPECT_EQ(permissions_of(directory.file("data.mdb")), 0600U);
  EXPECT_EQ(permissions_of(directory.file("lock.mdb")), 0600U);
  const auto txn = ReadTxn::begin(*env);
  ASSERT_TRUE(txn);
  const auto format = txn->get(Table::kMeta, meta::kFormat);
  ASSERT_TRUE(format && *format);
  EXPECT_EQ(**format, "1");
  for (std::size_t i = 0; i < kTables; ++i) {
    const auto count = txn->count(static_cast<Table>(i));
    ASSERT_TRUE(count);
    EXPECT_EQ(*count, static_cast<Table>(i) == Table::kMeta ? 1U : 0U);
  }
}

TEST(Env, KeepsRowsFromOneOpeningToTheNext) {
  const TempDirectory directory;
  for (const auto mode : {Env::Mode::kCreate, Env::Mode::kCreate, Env::Mode::kWrite}) {
    auto env = open_env(directory, mode);
    ASSERT_TRUE(env) << describe(env.error());
    put(*env, Table::kOwners, "key", "value");
  }
  const auto env = open_env(directory, Env::Mode::kRead);
  ASSERT_TRUE(env) << describe(env.error());
  const auto txn = ReadTxn::begin(*env);
  ASSERT_TRUE(txn);
  const auto value = txn->get(Table::kOwners, "key");
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, "value");
  EXPECT_GT(env->used_bytes(), 0U);
}

TEST(Env, ForReadingWritesNothing) {
  const TempDirectory directory;
  make_catalog(directory, 10);
  std::filesystem::remove(directory.file("lock.mdb"));
  ::chmod(directory.file("data.mdb").c_str(), 0400);
  {
    auto env = open_env(directory, Env::Mode::kRead);
    ASSERT_TRUE(env) << describe(env.error());
    EXPECT_EQ(directory.names(), std::vector<std::string>{"data.mdb"});
    const auto txn = WriteTxn::begin(*env);
    ASSERT_FALSE(txn);
    EXPECT_EQ(txn.error().cause.value(), EACCES);
  }
  EXPECT_EQ(directory.names(), std::vector<std::string>{"data.mdb"});
}

TEST(Env, MissingOrEmptyCatalogIsDamage) {
  const TempDirectory directory;
  expect_refused(directory, Env::Mode::kRead, "No such file");
  expect_refused(directory, Env::Mode::kWrite, "No such file");
  EXPECT_TRUE(directory.names().empty());
  std::ofstream(directory.file("data.mdb")).close();
  ::chmod(directory.file("data.mdb").c_str(), 0600);
  expect_refused(directory, Env::Mode::kRead, "is empty");
  expect_refused(directory, Env::Mode::kWrite, "is empty");
}

// A power cut during the very first write leaves a file without content; the next run starts anew.
TEST(Env, StartsAnewOverACreationThatWasCutOff) {
  for (const std::size_t size : {0U, 1U, 4096U, 8192U}) {
    const TempDirectory directory;
    std::ofstream(directory.file("data.mdb")) << std::string(size, '\0');
    ::chmod(directory.file("data.mdb").c_str(), 0600);
    const auto env = open_env(directory, Env::Mode::kCreate);
    EXPECT_TRUE(env) << describe(env.error());
  }
}

TEST(Env, DoesNotStartAnewOverAnythingElse) {
  const std::string contents[] = {std::string(8193, '\0'), std::string(4096, 'x'), "x",
                                  std::string(100'000, '\0')};
  for (const std::string& content : contents) {
    const TempDirectory directory;
    std::ofstream(directory.file("data.mdb")) << content;
    ::chmod(directory.file("data.mdb").c_str(), 0600);
    for (const auto mode : {Env::Mode::kCreate, Env::Mode::kWrite, Env::Mode::kRead}) {
      expect_refused(directory, mode, "data.mdb");
    }
    std::ostringstream found;
    found << std::ifstream(directory.file("data.mdb")).rdbuf();
    EXPECT_EQ(found.str(), content);
  }
}

TEST(Env, RefusesWhatIsNotARegularFile) {
  for (const auto mode : {Env::Mode::kCreate, Env::Mode::kWrite, Env::Mode::kRead}) {
    const TempDirectory directory;
    const TempDirectory other;
    make_catalog(other);
    std::filesystem::create_symlink(other.file("data.mdb"), directory.file("data.mdb"));
    expect_refused(directory, mode, "symbolic link");
    std::filesystem::remove(directory.file("data.mdb"));
    std::filesystem::create_symlink(directory.file("nowhere"), directory.file("data.mdb"));
    expect_refused(directory, mode, "symbolic link");
    EXPECT_FALSE(std::filesystem::exists(directory.file("nowhere")));
    std::filesystem::remove(directory.file("data.mdb"));
    ASSERT_EQ(::mkfifo(directory.file("data.mdb").c_str(), 0600), 0);
    expect_refused(directory, mode, "not a regular file");
  }
}

TEST(Env, RefusesALockFileThatLeadsElsewhere) {
  const TempDirectory directory;
  make_catalog(directory);
  std::filesystem::remove(directory.file("lock.mdb"));
  std::filesystem::create_symlink(directory.file("nowhere"), directory.file("lock.mdb"));
  expect_refused(directory, Env::Mode::kWrite, "lock.mdb: is not a regular file");
  EXPECT_FALSE(std::filesystem::exists(directory.file("nowhere")));
  EXPECT_TRUE(open_env(directory, Env::Mode::kRead));
}

TEST(Env, RefusesAFileThatOthersMayWrite) {
  const TempDirectory directory;
  make_catalog(directory);
  for (const mode_t mode : {0620U, 0602U, 0666U}) {
    ::chmod(directory.file("data.mdb").c_str(), mode);
    expect_refused(directory, Env::Mode::kRead, "writable by others");
    expect_refused(directory, Env::Mode::kWrite, "writable by others");
  }
  ::chmod(directory.file("data.mdb").c_str(), 0644);
  EXPECT_TRUE(open_env(directory, Env::Mode::kRead));
}

TEST(Env, RefusesAFileOfAnotherUser) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }
  const TempDirectory directory;
  make_catalog(directory);
  ASSERT_EQ(::chown(directory.file("data.mdb").c_str(), 12345, 12345), 0);
  expect_refused(directory, Env::Mode::kRead, "another user");
  expect_refused(directory, Env::Mode::kCreate, "another user");
}

TEST(Env, RefusesATruncatedFile) {
  const TempDirectory directory;
  make_catalog(directory, 10'000);
  const std::string file = directory.file("data.mdb");
  const auto size = std::filesystem::file_size(file);
  ASSERT_GT(size, 600'000U);
  std::filesystem::resize_file(file, size - 1);
  expect_refused(directory, Env::Mode::kRead, "and should have");
  std::filesystem::resize_file(file, size / 2);
  for (const auto mode : {Env::Mode::kCreate, Env::Mode::kWrite, Env::Mode::kRead}) {
    expect_refused(directory, mode, "and should have");
  }
  EXPECT_EQ(std::filesystem::file_size(file), size / 2);
}

TEST(Env, RefusesANewerFormat) {
  const TempDirectory directory;
  {
    auto env = open_env(directory, Env::Mode::kCreate);
    ASSERT_TRUE(env);
    put(*env, Table::kMeta, meta::kFormat, "2");
  }
  for (const auto mode : {Env::Mode::kCreate, Env::Mode::kWrite, Env::Mode::kRead}) {
    expect_refused(directory, mode, "has format 2, this version knows 1");
  }
  const auto env = open_env(directory, Env::Mode::kRead);
  ASSERT_FALSE(env);
  EXPECT_FALSE(env.error().hint.empty());
}

TEST(Env, RefusesAFormatThatIsNone) {
  for (const std::string_view text : {"", "0", "x", "1x", "-1", " 1", "99999999999"}) {
    const TempDirectory directory;
    {
      auto env = open_env(directory, Env::Mode::kCreate);
      ASSERT_TRUE(env);
      put(*env, Table::kMeta, meta::kFormat, text);
    }
    expect_refused(directory, Env::Mode::kRead, "no number");
  }
  const TempDirectory directory;
  {
    auto env = open_env(directory, Env::Mode::kCreate);
    ASSERT_TRUE(env);
    auto txn = WriteTxn::begin(*env);
    ASSERT_TRUE(txn);
    ASSERT_TRUE(txn->erase(Table::kMeta, meta::kFormat));
    ASSERT_TRUE(txn->commit());
  }
  expect_refused(directory, Env::Mode::kRead, "does not say");
  expect_refused(directory, Env::Mode::kCreate, "does not say");
}

TEST(Env, AnswersDamagedPagesWithAnError) {
  const TempDirectory directory;
  make_catalog(directory, 1000);
  {
    const int fd = ::open(directory.file("data.mdb").c_str(), O_WRONLY | O_CLOEXEC);
    const auto size = std::filesystem::file_size(directory.file("data.mdb"));
    const std::array<char, 4096> zeros{};
    for (std::uint64_t at = 8192; at < size; at += zeros.size()) {
      ASSERT_EQ(::pwrite(fd, zeros.data(), zeros.size(), static_cast<off_t>(at)), 4096);
    }
    ::close(fd);
  }
  expect_refused(directory, Env::Mode::kRead, "MDB_CORRUPTED");
}

// Sanitizers need the address space for themselves.
#if defined(__has_feature)
#define HAS_SANITIZER (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#else
#define HAS_SANITIZER 0
#endif
#if !HAS_SANITIZER
TEST(Env, TakesASmallerMapWhenAddressSpaceIsShort) {
  const TempDirectory directory;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = rlim_t{40} << 30;
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
  const auto env = Env::open(directory.fd(), Env::Mode::kCreate);
  ::setrlimit(RLIMIT_AS, &before);
  EXPECT_TRUE(env) << describe(env.error());
}
#endif

TEST(Env, FullMapIsNoSpace) {
  const TempDirectory directory;
  auto env = Env::open(directory.fd(), Env::Mode::kCreate, 256 << 10);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(*env);
  ASSERT_TRUE(txn);
  Status status;
  for (std::uint64_t i = 0; status && i < 100'000; ++i) {
    status = txn->put(Table::kEntries, sequence_key(i), std::string(100, 'x'));
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().fault, Fault::kNoSpace);
  EXPECT_NE(describe(status.error()).find("memory map"), std::string::npos);
}

TEST(WriteTxn, GivesUpWhatIsNotCommitted) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  {
    auto txn = WriteTxn::begin(*env);
    ASSERT_TRUE(txn);
    ASSERT_TRUE(txn->put(Table::kOwners, "key", "value"));
    EXPECT_EQ(txn->get(Table::kOwners, "key").value(), "value");
  }
  const auto txn = ReadTxn::begin(*env);
  ASSERT_TRUE(txn);
  EXPECT_EQ(txn->get(Table::kOwners, "key").value(), std::nullopt);
}

TEST(WriteTxn, ErasesAndDrops) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(*env);
  ASSERT_TRUE(txn);
  ASSERT_TRUE(txn->put(Table::kOwners, "a", "1"));
  ASSERT_TRUE(txn->put(Table::kOwners, "b", "2"));
  EXPECT_EQ(txn->erase(Table::kOwners, "a").value(), true);
  EXPECT_EQ(txn->erase(Table::kOwners, "a").value(), false);
  EXPECT_EQ(txn->count(Table::kOwners).value(), 1U);
  ASSERT_TRUE(txn->drop(Table::kOwners));
  EXPECT_EQ(txn->count(Table::kOwners).value(), 0U);
  ASSERT_TRUE(txn->put(Table::kOwners, "c", "3"));
  ASSERT_TRUE(txn->commit());
}

TEST(WriteTxn, AppendsOnlyInOrder) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(*env);
  ASSERT_TRUE(txn);
  EXPECT_TRUE(txn->append(Table::kContent, "b", ""));
  EXPECT_TRUE(txn->append(Table::kContent, "c", ""));
  for (const std::string_view key : {"a", "c"}) {
    const auto status = txn->append(Table::kContent, key, "");
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().fault, Fault::kCatalogBad);
  }
}

TEST(WriteTxn, TakesEveryKeyThatTheSchemaMakes) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(*env);
  ASSERT_TRUE(txn);
  for (std::size_t size = 470; size <= 765; ++size) {
    const std::string key = entry_key(kRootDir, std::string(size, 'n'));
    ASSERT_TRUE(txn->put(Table::kEntries, key, "v"));
    ASSERT_TRUE(txn->put(Table::kContent, content_key(Digest(), key), ""));
  }
  EXPECT_EQ(txn->count(Table::kEntries).value(), 296U);
  EXPECT_EQ(txn->count(Table::kContent).value(), 296U);
  const auto status = txn->put(Table::kEntries, std::string(512, 'k'), "v");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().fault, Fault::kFailed);
}

TEST(WriteTxn, CommitFailsForGood) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  // Nothing may be written behind this size: the commit's writes fail as on a dying disk.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 64 << 10;
  // NOLINTNEXTLINE(misc-include-cleaner): SIGXFSZ is in <csignal>
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  auto txn = WriteTxn::begin(*env);
  ASSERT_TRUE(txn);
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(txn->put(Table::kEntries, sequence_key(i), std::string(100, 'x')));
  }
  const auto status = txn->commit();
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);  // NOLINT(misc-include-cleaner)
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().fault, Fault::kFailed);
  const auto again = WriteTxn::begin(*env);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().fault, Fault::kFailed);
  const auto reading = ReadTxn::begin(*env);
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->count(Table::kEntries).value(), 0U);
}

// Pages that a transaction takes at the end of the file for a large value and gives up again stay
// unwritten when LMDB has old pages to put them with.
TEST(WriteTxn, LeavesAFileThatReachesToItsLastPage) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  for (std::uint64_t round = 0; round < 8; ++round) {
    auto txn = WriteTxn::begin(*env);
    ASSERT_TRUE(txn);
    for (std::uint64_t i = 0; i < 200; ++i) {
      ASSERT_TRUE(txn->put(Table::kDirs, sequence_key(i), std::string(100 + round, 'x')));
    }
    ASSERT_TRUE(txn->put(Table::kDirs, sequence_key(1000), std::string(60'000, 'x')));
    ASSERT_TRUE(txn->erase(Table::kDirs, sequence_key(1000)));
    ASSERT_TRUE(txn->commit());
    EXPECT_GE(std::filesystem::file_size(directory.file("data.mdb")), env->used_bytes());
  }
}

TEST(WriteTxn, CrashBeforeTheFileIsExtendedIsMadeUpFor) {
  const TempDirectory directory;
  make_catalog(directory, 1000);
  const std::string file = directory.file("data.mdb");
  std::uint64_t used = 0;
  {
    auto env = open_env(directory, Env::Mode::kWrite);
    ASSERT_TRUE(env);
    auto txn = WriteTxn::begin(*env);
    ASSERT_TRUE(txn);
    ASSERT_TRUE(txn->drop(Table::kEntries));
    ASSERT_TRUE(txn->commit());
    used = env->used_bytes();
  }
  // The pages at the end are free now.
  std::filesystem::resize_file(file, used - 4096);
  expect_refused(directory, Env::Mode::kRead, "and should have");
  EXPECT_TRUE(open_env(directory, Env::Mode::kWrite));
  EXPECT_EQ(std::filesystem::file_size(file), used);
  EXPECT_TRUE(open_env(directory, Env::Mode::kRead));
}

TEST(ReadTxn, SeesOneMoment) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  put(*env, Table::kOwners, "key", "old");
  auto before = ReadTxn::begin(*env);
  ASSERT_TRUE(before);
  put(*env, Table::kOwners, "key", "new");
  EXPECT_EQ(before->get(Table::kOwners, "key").value(), "old");
  auto moved = std::move(*before);
  EXPECT_EQ(moved.get(Table::kOwners, "key").value(), "old");
  *before = std::move(moved);
  EXPECT_EQ(before->get(Table::kOwners, "key").value(), "old");
}

TEST(Cursor, WalksInKeyOrder) {
  const TempDirectory directory;
  auto env = open_env(directory, Env::Mode::kCreate);
  ASSERT_TRUE(env);
  for (const std::string_view key : {"c", "a", "e"}) {
    put(*env, Table::kOwners, key, key);
  }
  const auto txn = ReadTxn::begin(*env);
  ASSERT_TRUE(txn);
  auto cursor = Cursor::open(*txn, Table::kOwners);
  ASSERT_TRUE(cursor);
  const auto key_of = [](const Result<std::optional<KeyValue>>& row) {
    return row.value() ? std::string((*row)->key) : std::string("end");
  };
  EXPECT_EQ(key_of(cursor->seek("")), "a");
  EXPECT_EQ(key_of(cursor->next()), "c");
  EXPECT_EQ(key_of(cursor->seek("b")), "c");
  EXPECT_EQ(key_of(cursor->seek("c")), "c");
  EXPECT_EQ(key_of(cursor->next()), "e");
  EXPECT_EQ(key_of(cursor->next()), "end");
  EXPECT_EQ(key_of(cursor->seek("f")), "end");
  EXPECT_EQ(key_of(cursor->last()), "e");
  auto empty = Cursor::open(*txn, Table::kDirs);
  ASSERT_TRUE(empty);
  EXPECT_EQ(key_of(empty->seek("")), "end");
  EXPECT_EQ(key_of(empty->last()), "end");
  EXPECT_EQ(key_of(empty->next()), "end");
}

}  // namespace
}  // namespace holdfast::catalog
