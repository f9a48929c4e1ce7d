#include "cli/json.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/store/state.hpp"

namespace holdfast::cli {
namespace {

using Json = nlohmann::json;

core::VolumeReport sealed_volume(const std::string& root) {
  core::VolumeReport volume;
  volume.root = root;
  volume.store = root + "/.holdfast";
  volume.capture_id = "c-1";
  volume.labels = {{"ticket", "7"}};
  volume.fs_type = "ext4";
  volume.fs_uuid = "u-1";
  volume.state = core::StoreState::kSealed;
  volume.next = "holdfast wipe --dry-run " + root;
  volume.durable = true;
  volume.started_at = "2024-01-02T03:04:05Z";
  volume.seconds = 1.23456;
  volume.phases = {{"link", 1.0, 10, 0}, {"hash", 0.2, 10, 4096}};
  volume.free_bytes = 1000;
  volume.counts.set(core::Count::kEntries, 12);
  volume.counts.set(core::Count::kMissed, 0);
  return volume;
}

TEST(ProblemLine, HasTheContractsFields) {
  const Json json = Json::parse(
      problem_line("/mnt", {catalog::ProblemKind::kMissed, "a/b", "openat", EACCES, ""}));
  EXPECT_EQ(json["event"], "problem");
  EXPECT_EQ(json["kind"], "missed");
  EXPECT_EQ(json["path"], "a/b");
  EXPECT_EQ(json["op"], "openat");
  EXPECT_EQ(json["errno"], EACCES);
  EXPECT_EQ(json["reason"], "Permission denied");
  EXPECT_EQ(json["root"], "/mnt");
}

TEST(ProblemLine, BytesThatAreNotUtf8ComeTwice) {
  const std::string line =
      problem_line("/mnt", {catalog::ProblemKind::kLeft, "a\xff\n", "", 0, "x"});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Json json = Json::parse(line);
  EXPECT_EQ(json["path"], "a\\xff\\n");
  EXPECT_EQ(json["path_b64"], "Yf8K");
  EXPECT_TRUE(json["op"].is_null());
}

TEST(EntryLine, IsWhatTheContractSays) {
  core::ListedEntry entry;
  entry.root = "/mnt";
  entry.path = "home/\xc3\xa9\n";
  entry.mode = 0644;
  entry.uid = 1000;
  entry.gid = 1001;
  entry.size = 5;
  entry.mtime = {1704164645, 42};
  entry.inode = 77;
  entry.links = 2;
  entry.held = catalog::Held::kLink;
  entry.hash = catalog::Digest{};
  const Json json = Json::parse(entry_line(entry));
  EXPECT_EQ(json["path"], "home/\xc3\xa9\n") << "raw when it is UTF-8";
  EXPECT_FALSE(json.contains("path_b64"));
  EXPECT_EQ(json["type"], "file");
  EXPECT_EQ(json["mode"], "0644");
  EXPECT_EQ(json["mtime"], "1704164645.000000042");
  EXPECT_EQ(json["inode"], 77);
  EXPECT_EQ(json["links"], 2);
  EXPECT_EQ(json["held"], "link");
  EXPECT_EQ(json["hash"], std::string(32, '0'));
  EXPECT_FALSE(json.contains("group"));
  EXPECT_FALSE(json.contains("link_target"));
  EXPECT_FALSE(json.contains("event"));
}

TEST(EntryLine, SpecialsAndSymlinks) {
  core::ListedEntry entry;
  entry.path = "l";
  entry.type = catalog::FileType::kSymlink;
  entry.mode = 04777;
  entry.mtime = {-5, 1};
  entry.link_target = "\xfe";
  entry.group = 3;
  const Json json = Json::parse(entry_line(entry));
  EXPECT_EQ(json["link_target"], "\\xfe");
  EXPECT_EQ(json["link_target_b64"], "/g==");
  EXPECT_EQ(json["mode"], "4777");
  EXPECT_EQ(json["mtime"], "-5.000000001");
  EXPECT_EQ(json["group"], 3);
  EXPECT_FALSE(json.contains("hash"));
  EXPECT_FALSE(json.contains("held"));
}

TEST(SummaryLine, OneVolumeIsFlat) {
  core::RunReport report;
  report.volumes.push_back(sealed_volume("/mnt"));
  const Json json = Json::parse(summary_line("capture", report, 0));
  EXPECT_EQ(json["event"], "summary");
  EXPECT_EQ(json["schema"], kJsonSchema);
  EXPECT_EQ(json["version"], "0.1.0");
  EXPECT_EQ(json["command"], "capture");
  EXPECT_EQ(json["root"], "/mnt");
  EXPECT_EQ(json["store"], "/mnt/.holdfast");
  EXPECT_EQ(json["capture_id"], "c-1");
  EXPECT_EQ(json["labels"]["ticket"], "7");
  EXPECT_EQ(json["state"], "sealed");
  EXPECT_EQ(json["exit_code"], 0);
  EXPECT_TRUE(json["error"].is_null());
  EXPECT_TRUE(json["hint"].is_null());
  EXPECT_EQ(json["durable"], true);
  EXPECT_EQ(json["seconds"], 1.235);
  EXPECT_EQ(json["phases"][1]["name"], "hash");
  EXPECT_EQ(json["phases"][1]["bytes"], 4096);
  EXPECT_EQ(json["free_bytes"], 1000);
  EXPECT_TRUE(json["needed_bytes"].is_null());
  EXPECT_EQ(json["entries"], 12);
  EXPECT_EQ(json["missed"], 0);
  EXPECT_FALSE(json.contains("linked")) << "unknown counts are not printed";
  EXPECT_FALSE(json.contains("volumes"));
}

TEST(SummaryLine, WipeDryRunSaysWhyNot) {
  core::RunReport report;
  core::VolumeReport volume = sealed_volume("/mnt");
  volume.ready = false;
  volume.reasons = {{"missed-entries", "3 entries were missed"}};
  volume.error =
      catalog::refused("missed-entries", "/mnt", "3 entries were missed", "accept").error();
  volume.exit_code = 5;
  volume.would_free_bytes = 9;
  volume.kept = {"lost+found"};
  volume.not_selected = {{"var\xff", 123}};
  report.volumes.push_back(volume);
  const Json json = Json::parse(summary_line("wipe", report, 5));
  EXPECT_EQ(json["ready"], false);
  ASSERT_EQ(json["reasons"].size(), 1U);
  EXPECT_EQ(json["reasons"][0]["code"], "missed-entries");
  EXPECT_EQ(json["reason_code"], "missed-entries");
  EXPECT_EQ(json["hint"], "accept");
  EXPECT_EQ(json["would_free_bytes"], 9);
  EXPECT_EQ(json["kept"][0], "lost+found");
  EXPECT_EQ(json["not_selected"][0]["path"], "var\\xff");
  EXPECT_EQ(json["not_selected"][0]["bytes"], 123);
}

TEST(SummaryLine, SeveralVolumesAreAnArrayAndTheirSum) {
  core::RunReport report;
  report.volumes.push_back(sealed_volume("/a"));
  report.volumes.push_back(sealed_volume("/b"));
  report.volumes[1].exit_code = 3;
  report.volumes[1].state = core::StoreState::kLinked;
  report.volumes[1].counts.set(core::Count::kMissed, 2);
  const Json json = Json::parse(summary_line("capture", report, 3));
  EXPECT_EQ(json["exit_code"], 3);
  EXPECT_EQ(json["capture_id"], "c-1");
  EXPECT_TRUE(json["state"].is_null()) << "they differ";
  EXPECT_EQ(json["entries"], 24);
  EXPECT_EQ(json["missed"], 2);
  EXPECT_EQ(json["next"], "holdfast wipe --dry-run /b") << "of the volume that decides";
  ASSERT_EQ(json["volumes"].size(), 2U);
  EXPECT_EQ(json["volumes"][0]["exit_code"], 0);
  EXPECT_EQ(json["volumes"][1]["exit_code"], 3);
  EXPECT_EQ(json["volumes"][1]["root"], "/b");
}

TEST(SummaryLine, NoVolumeAtAll) {
  const Json json = Json::parse(summary_line("status", {}, 0));
  EXPECT_EQ(json["volumes"], Json::array());
  EXPECT_EQ(json["exit_code"], 0);
}

TEST(ProgressLine, UnknownTotalsAreNull) {
  const Json json = Json::parse(progress_line({.root = "/mnt",
                                               .phase = "link",
                                               .files = 5,
                                               .bytes = 6,
                                               .total_files = 0,
                                               .total_bytes = 0,
                                               .fraction = {},
                                               .eta_seconds = {},
                                               .done = false}));
  EXPECT_EQ(json["phase"], "link");
  EXPECT_EQ(json["files"], 5);
  EXPECT_EQ(json["bytes"], 6);
  EXPECT_TRUE(json["total_files"].is_null());
  EXPECT_TRUE(json["percent"].is_null());
  EXPECT_TRUE(json["eta_s"].is_null());
  EXPECT_EQ(json["root"], "/mnt");
}

}  // namespace
}  // namespace holdfast::cli
