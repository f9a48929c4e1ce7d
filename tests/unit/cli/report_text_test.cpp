#include "cli/report_text.hpp"

#include <gtest/gtest.h>

#include "catalog/error.hpp"
#include "cli/options.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/store/state.hpp"

namespace holdfast::cli {
namespace {

core::VolumeReport captured() {
  core::VolumeReport volume;
  volume.root = "/mnt/target";
  volume.store = "/mnt/target/.holdfast";
  volume.state = core::StoreState::kSealed;
  volume.counts.set(core::Count::kEntries, 1234);
  volume.counts.set(core::Count::kFiles, 1000);
  volume.counts.set(core::Count::kDirectories, 234);
  volume.counts.set(core::Count::kBytes, 5U << 20);
  volume.counts.set(core::Count::kLinked, 1000);
  volume.counts.set(core::Count::kHashedFiles, 1);
  volume.counts.set(core::Count::kHashedBytes, 1024);
  volume.counts.set(core::Count::kMissed, 0);
  volume.counts.set(core::Count::kCopied, 0);
  volume.seconds = 3.8;
  volume.phases = {{"link", 2.3, 0, 0}, {"hash", 1.3, 0, 0}};
  volume.next = "holdfast wipe --dry-run /mnt/target";
  return volume;
}

TEST(SummaryText, IsShortAndAligned) {
  core::RunReport report;
  report.volumes.push_back(captured());
  EXPECT_EQ(summary_text(Command::kCapture, report),
            "capture /mnt/target\n"
            "  state       sealed\n"
            "  entries     1,234 (1,000 files, 234 directories)\n"
            "  size        5.0 MiB\n"
            "  linked      1,000\n"
            "  hashed      1 file, 1.0 KiB\n"
            "  missed      0\n"
            "  took        3.8 s (link 2.3 s, hash 1.3 s)\n");
}

TEST(SummaryText, SaysWhenThereWasNothingToDo) {
  core::RunReport report;
  report.volumes.push_back(captured());
  report.volumes[0].nothing_to_do = true;
  EXPECT_TRUE(
      summary_text(Command::kSeal, report).starts_with("seal /mnt/target: nothing to do\n"));
}

TEST(SummaryText, StatusShowsWhereAndWhen) {
  core::RunReport report;
  core::VolumeReport volume = captured();
  volume.captured_at = "2024-01-02T03:04:05Z";
  volume.fs_type = "ext4";
  volume.fs_uuid = "u-u";
  volume.labels = {{"ticket", "7\x1b"}};
  volume.free_bytes = 1U << 30;
  report.volumes.push_back(volume);
  const std::string text = summary_text(Command::kStatus, report);
  for (const char* part :
       {"store       /mnt/target/.holdfast\n", "captured    2024-01-02T03:04:05Z\n",
        "filesystem  ext4 u-u\n", "label       ticket=7\\x1b\n", "free        1.0 GiB\n"}) {
    EXPECT_TRUE(text.contains(part)) << part << text;
  }
  EXPECT_TRUE(summary_text(Command::kStatus, {}).contains("no stores found"));
}

TEST(SummaryText, WipeDryRunSaysGoOrNoGo) {
  core::RunReport report;
  core::VolumeReport volume = captured();
  volume.ready = false;
  volume.reasons = {{"missed-entries", "3 entries were missed"}};
  volume.kept = {"lost+found"};
  volume.not_selected = {{"var\n", 2048}};
  report.volumes.push_back(volume);
  const std::string text = summary_text(Command::kWipe, report);
  EXPECT_TRUE(text.contains("no go:\n  [missed-entries] 3 entries were missed\n")) << text;
  EXPECT_TRUE(text.contains("stays in place:\n  lost+found\n"));
  EXPECT_TRUE(text.contains("     2.0 KiB  var\\n\n"));
  report.volumes[0].ready = true;
  report.volumes[0].reasons.clear();
  EXPECT_TRUE(summary_text(Command::kWipe, report).contains("go: wipe would do it\n"));
}

TEST(NextText, IsNeverEmptyAndNamesEachOnce) {
  core::RunReport report;
  EXPECT_EQ(next_text(report, 0), "next: nothing\n");
  report.volumes = {captured(), captured()};
  EXPECT_EQ(next_text(report, 0), "next: holdfast wipe --dry-run /mnt/target\n");
  report.volumes[1].next = "other";
  EXPECT_EQ(next_text(report, 0), "next: holdfast wipe --dry-run /mnt/target\nnext: other\n");
}

TEST(FailureText, ListsErrorsAndFurtherReasons) {
  core::RunReport report;
  core::VolumeReport volume = captured();
  volume.error = catalog::refused("not-sealed", "", "the capture is not sealed", "seal it").error();
  volume.reasons = {{"not-sealed", "the capture is not sealed"}, {"no-space", "too small"}};
  report.volumes.push_back(volume);
  const auto lines = failure_text(Command::kWipe, report);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].starts_with("holdfast: wipe: refused [not-sealed]: "));
  EXPECT_EQ(lines[1], "hint: seal it");
  EXPECT_TRUE(lines[2].starts_with("holdfast: wipe: refused [no-space]: "));
}

}  // namespace
}  // namespace holdfast::cli
