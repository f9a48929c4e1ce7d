#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "captured_tree.hpp"
#include "catalog/error.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::test {
namespace {

using core::Count;
using core::VolumeReport;

class Verify : public CapturedTree {
 protected:
  void SetUp() override {
    tree.dir("home");
    tree.dir("home/al");
    tree.dir("home/bo");
    tree.file("home/al/letter", "dear bo");
    tree.file("home/al/empty");
    tree.file("home/bo/plan", "a plan");
    link("home/al/letter", "home/bo/letter");
    link("home/al/letter", "home/letter");
    tree.symlink("al/letter", "home/latest");
    tree.fifo("home/pipe");
    capture();
  }
  static void expect_all_accounted_for(const VolumeReport& report) {
    EXPECT_EQ(counted(report, Count::kOk) + counted(report, Count::kModified) +
                  counted(report, Count::kCorrupt) + counted(report, Count::kMissing),
              counted(report, Count::kEntries));
  }
};

TEST_F(Verify, FindsEverythingAsItWasCaptured) {
  for (const bool quick : {false, true}) {
    for (const unsigned jobs : {1U, 4U}) {
      const VolumeReport report = verify(quick, jobs);
      EXPECT_EQ(report.exit_code, 0) << quick << jobs;
      EXPECT_EQ(observer.lines(), Lines());
      EXPECT_EQ(counted(report, Count::kOk), 10U);
      EXPECT_EQ(counted(report, Count::kOk), counted(report, Count::kEntries));
    }
  }
}

TEST_F(Verify, ReadsEachInodeOnce) {
  const VolumeReport report = verify();
  EXPECT_EQ(counted(report, Count::kHashedFiles), 2U);  // the empty one is not read
  EXPECT_EQ(counted(report, Count::kHashedBytes), 13U);
}

TEST_F(Verify, ListsAnEditUnderEveryName) {
  append("home/bo/letter");
  for (const bool quick : {false, true}) {
    const VolumeReport report = verify(quick);
    EXPECT_EQ(report.exit_code, 3);
    EXPECT_EQ(observer.lines(), (Lines{"modified home/al/letter", "modified home/bo/letter",
                                       "modified home/letter"}));
    expect_all_accounted_for(report);
  }
}

TEST_F(Verify, CallsAnEditWithTheOldMtimeAnEdit) {
  overwrite_quietly("home/bo/plan", "b");
  EXPECT_EQ(verify().exit_code, 3);
  EXPECT_EQ(observer.lines(), Lines{"modified home/bo/plan"});
}

TEST_F(Verify, CallsOtherBytesWithoutAnEditDamage) {
  // A ctime that we moved ourselves proves no edit.
  overwrite_quietly("home/bo/plan", "b");
  {
    core::Store store = open_store();
    const auto now = core::now();
    store.record().own_changes.push_back(
        {.from = {.seconds = now.seconds - 60, .nanoseconds = 0}, .to = now});
    ASSERT_TRUE(store.save());
  }
  EXPECT_EQ(verify().exit_code, 4);
  EXPECT_EQ(observer.lines(), Lines{"corrupt home/bo/plan"});
}

TEST_F(Verify, ListsAChangedModeInBothModes) {
  ASSERT_EQ(::chmod(tree.path("home/al/letter").c_str(), 0600), 0);
  for (const bool quick : {false, true}) {
    EXPECT_EQ(verify(quick).exit_code, 3);
    EXPECT_EQ(observer.lines().size(), 3U);
  }
}

TEST_F(Verify, DoesNotMindThatAFifoWasUsed) {
  ASSERT_EQ(::utimensat(AT_FDCWD, tree.path("home/pipe").c_str(), nullptr, 0), 0);
  EXPECT_EQ(verify(true).exit_code, 0);
}

TEST_F(Verify, ListsAMissingDirectoryOnceAndCountsWhatWasInIt) {
  remove(".holdfast/tree/home/bo");
  for (const bool quick : {false, true}) {
    const VolumeReport report = verify(quick);
    EXPECT_EQ(report.exit_code, 4);
    EXPECT_EQ(observer.lines(), Lines{"missing home/bo"});
    EXPECT_EQ(counted(report, Count::kMissing), 3U);
    expect_all_accounted_for(report);
  }
}

TEST_F(Verify, ListsAnotherFileUnderTheNameAsMissing) {
  remove(".holdfast/tree/home/bo/plan");
  tree.file(".holdfast/tree/home/bo/plan", "a plan");
  remove(".holdfast/tree/home/latest");
  tree.symlink("al/letter", ".holdfast/tree/home/latest");
  for (const bool quick : {false, true}) {
    const VolumeReport report = verify(quick);
    EXPECT_EQ(report.exit_code, 4);
    EXPECT_EQ(observer.lines(), (Lines{"missing home/bo/plan", "missing home/latest"}));
    expect_all_accounted_for(report);
  }
}

TEST_F(Verify, DoesNotFollowASymlinkInPlaceOfADirectory) {
  rename(".holdfast/tree/home/bo", "elsewhere");
  tree.symlink(tree.path("elsewhere"), ".holdfast/tree/home/bo");
  EXPECT_EQ(verify().exit_code, 4);
  EXPECT_EQ(observer.lines(), Lines{"missing home/bo"});
}

TEST_F(Verify, ListsAStrayAlsoWhereTheNumberOfNamesIsRight) {
  rename(".holdfast/tree/home/al/letter", ".holdfast/tree/home/al/lettre");
  for (const bool quick : {false, true}) {
    EXPECT_EQ(verify(quick).exit_code, 4);
    EXPECT_EQ(observer.lines(), (Lines{"extra home/al/lettre", "missing home/al/letter"}));
  }
}

TEST_F(Verify, ListsAStrayDirectoryOnce) {
  tree.dir(".holdfast/tree/home/al/new");
  tree.file(".holdfast/tree/home/al/new/file");
  const VolumeReport report = verify();
  EXPECT_EQ(report.exit_code, 3);
  EXPECT_EQ(observer.lines(), Lines{"extra home/al/new"});
  EXPECT_EQ(counted(report, Count::kExtra), 1U);
}

TEST_F(Verify, CallsAMirrorThatIsGoneDamage) {
  rename(".holdfast/tree", ".holdfast/eert");
  EXPECT_EQ(verify().exit_code, 4);
}

TEST_F(Verify, TellsADamagedCatalogBeforeItIsMapped) {
  const core::Fd fd(::open(tree.path(".holdfast/catalog/data.mdb").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::pwrite(fd.get(), "\xff", 1, 9000), 1);
  EXPECT_EQ(verify().exit_code, 12);
}

TEST_F(Verify, FindsBelowRootWhatRestoreMovedThere) {
  // As after `restore --mode move`: the mirror's own names stand below ROOT.
  rename("home", "old");
  rename(".holdfast/tree/home", "home");
  {
    core::Store store = open_store();
    store.record().moved_out = true;
    ASSERT_TRUE(store.save());
  }
  for (const bool quick : {false, true}) {
    const VolumeReport report = verify(quick);
    EXPECT_EQ(report.exit_code, 0) << quick;
    EXPECT_EQ(observer.lines(), Lines());
    EXPECT_EQ(counted(report, Count::kOk), 10U);
  }
  tree.file("home/bo/new", "the users work on");
  remove("home/bo/plan");
  tree.file("home/bo/plan", "a plan");  // another inode
  remove("home/al");
  const VolumeReport report = verify();
  EXPECT_EQ(report.exit_code, 4);
  EXPECT_EQ(observer.lines(), (Lines{"missing home/al", "missing home/bo/plan"}));
  expect_all_accounted_for(report);
}

TEST_F(Verify, FindsMappedPlacesByTheRestoreNotes) {
  // As after `restore --mode move --map home/al=users/al`, with one file put beside what had its
  // name.
  rename("home", "old");
  tree.dir("users");
  rename(".holdfast/tree/home/al", "users/al");
  rename(".holdfast/tree/home", "home");
  rename("home/bo/plan", "home/bo/plan (1)");
  {
    core::Store store = open_store();
    store.record().moved_out = true;
    ASSERT_TRUE(store.save());
    ASSERT_TRUE(core::add_restore_notes(
        store, {.finished = {},
                .moved = {{.to = "", .from = "", .into = ""},
                          {.to = "", .from = "home/al", .into = "users/al"},
                          {.to = "", .from = "home/bo/plan", .into = "home/bo/plan (1)"}}}));
  }
  for (const bool quick : {false, true}) {
    const VolumeReport report = verify(quick);
    EXPECT_EQ(report.exit_code, 0) << quick;
    EXPECT_EQ(observer.lines(), Lines());
    EXPECT_EQ(counted(report, Count::kOk), 10U);
  }
  // What was mapped out of a directory does not go with it.
  remove("home");
  const VolumeReport report = verify();
  EXPECT_EQ(report.exit_code, 4);
  EXPECT_EQ(observer.lines(), Lines{"missing home"});
  EXPECT_EQ(counted(report, Count::kOk), 3U);
  expect_all_accounted_for(report);
}

class VerifyOf : public CapturedTree {};

TEST_F(VerifyOf, AnUnsealedStoreIsRefused) {
  tree.file("file", "bytes");
  capture(true);
  const VolumeReport report = verify();
  EXPECT_EQ(report.exit_code, 5);
  ASSERT_TRUE(report.error);
  EXPECT_EQ(report.error->reason_code, "not-sealed");
}

TEST_F(VerifyOf, ADirectoryWithManySubdirectoriesSeesAllOfThem) {
  const int count = 1300;  // more than are queued at once
  for (int i = 0; i < count; ++i) {
    const std::string name = "d" + std::to_string(i);
    tree.dir(name);
    tree.file(name + "/f", name);
  }
  capture();
  for (const unsigned jobs : {1U, 4U}) {
    const VolumeReport report = verify(false, jobs);
    EXPECT_EQ(report.exit_code, 0);
    EXPECT_EQ(counted(report, Count::kOk), 2U * static_cast<unsigned>(count));
    EXPECT_EQ(counted(report, Count::kHashedFiles), static_cast<std::uint64_t>(count));
  }
}

}  // namespace
}  // namespace holdfast::test
