#include "cli/progress.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/output.hpp"
#include "fakes.hpp"
#include "storecore/run/context.hpp"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ProgressClock::time_point kStart{seconds(1000)};

TEST(RateMeter, SteadyWorkGivesItsRateAndEnd) {
  RateMeter meter(kStart);
  RateMeter::Speed speed;
  for (int second = 1; second <= 10; ++second) {
    const auto done = static_cast<std::uint64_t>(second);
    speed = meter.sample(
        {.files = done * 10, .bytes = done << 20, .total_files = 400, .total_bytes = 40U << 20},
        kStart + seconds(second));
  }
  EXPECT_NEAR(speed.files_per_second, 10, 0.01);
  EXPECT_NEAR(speed.bytes_per_second, 1 << 20, 1);
  EXPECT_NEAR(speed.fraction.value_or(-1), 0.25, 1e-9);
  EXPECT_NEAR(speed.eta_seconds.value_or(-1), 30, 0.1);
}

TEST(RateMeter, ALateFirstFileDoesNotSpoilTheRate) {
  RateMeter meter(kStart);
  (void)meter.sample({.files = 0, .bytes = 0, .total_files = 100, .total_bytes = 0},
                     kStart + milliseconds(1));
  RateMeter::Speed speed;
  for (std::uint64_t second = 1; second <= 3; ++second) {
    speed = meter.sample({.files = second * 10, .bytes = 0, .total_files = 100, .total_bytes = 0},
                         kStart + seconds(second));
  }
  EXPECT_NEAR(speed.files_per_second, 10, 0.1);
}

TEST(RateMeter, SaysNothingItDoesNotKnow) {
  RateMeter meter(kStart);
  const auto speed = meter.sample({.files = 5, .bytes = 5, .total_files = 0, .total_bytes = 0},
                                  kStart + seconds(1));
  EXPECT_FALSE(speed.fraction);
  EXPECT_FALSE(speed.eta_seconds);
}

TEST(RateMeter, StandstillHasNoEnd) {
  RateMeter meter(kStart);
  RateMeter::Speed speed;
  for (int second = 1; second <= 2000; ++second) {
    speed = meter.sample({.files = 1, .bytes = 0, .total_files = 10, .total_bytes = 0},
                         kStart + seconds(second));
  }
  EXPECT_FALSE(speed.eta_seconds);
}

TEST(RateMeter, CountersThatRunPastTheirTotalsStayWhole) {
  RateMeter meter(kStart);
  const auto speed = meter.sample({.files = 12, .bytes = 12, .total_files = 10, .total_bytes = 10},
                                  kStart + seconds(1));
  EXPECT_EQ(speed.fraction.value_or(-1), 1);
  EXPECT_NEAR(speed.eta_seconds.value_or(-1), 0, 1e-9);
}

TEST(RateMeter, SmallFilesWeighMoreThanTheirBytes) {
  RateMeter meter(kStart);
  const auto speed = meter.sample(
      {.files = 500, .bytes = 0, .total_files = 1000, .total_bytes = 16384}, kStart + seconds(1));
  EXPECT_GT(speed.fraction.value_or(-1), 0.4);
}

BarState hashing() {
  BarState state;
  state.phase = "hash";
  state.counters = {
      .files = 12345, .bytes = 1U << 30, .total_files = 27000, .total_bytes = 2U << 30};
  state.speed = {
      .files_per_second = 100, .bytes_per_second = 310 << 20, .fraction = 0.45, .eta_seconds = 72};
  return state;
}

TEST(RenderBar, ShowsAllWhereThereIsRoom) {
  EXPECT_EQ(render_bar(hashing(), 120, false),
            "hash  [##########--------------]   45%  12,345/27,000 files  1.0 GiB/2.0 GiB  310.0 "
            "MiB/s  1:12 left");
}

TEST(RenderBar, NeverWiderThanTheTerminal) {
  for (unsigned width = 20; width < 140; ++width) {
    EXPECT_LE(render_bar(hashing(), width, false).size(), width);
  }
  EXPECT_EQ(render_bar(hashing(), 40, false), "hash   45%  12,345/27,000 files");
}

TEST(RenderBar, WithoutTotalsItCounts) {
  BarState state;
  state.phase = "link";
  state.counters.files = 5000;
  state.speed.files_per_second = 2500;
  state.volumes = 2;
  EXPECT_EQ(render_bar(state, 80, false), "link (2 volumes)  5,000 files  2,500 files/s");
}

class ProgressDisplayTest : public testing::Test {
 protected:
  void record_lines() {
    ProgressDisplay::Targets targets;
    targets.lines.emplace_back([this](std::string_view line) { lines_.emplace_back(line); });
    display_ = std::make_unique<ProgressDisplay>(std::move(targets));
  }
  std::vector<std::string> lines_;
  std::unique_ptr<ProgressDisplay> display_;
  core::Progress progress_;
};

TEST_F(ProgressDisplayTest, FourLinesASecondAndOneAtEachEnd) {
  record_lines();
  display_->begin("/mnt", "link", progress_, kStart);
  for (int ms = 10; ms <= 1000; ms += 10) {
    display_->tick(kStart + milliseconds(ms));
  }
  display_->end("/mnt", "link", kStart + milliseconds(1005));
  ASSERT_EQ(lines_.size(), 6U);
  EXPECT_TRUE(lines_.back().contains("\"done\":true"));
}

TEST_F(ProgressDisplayTest, SeveralVolumesShareTheLimit) {
  record_lines();
  core::Progress second;
  display_->begin("/a", "link", progress_, kStart);
  display_->begin("/b", "link", second, kStart);
  lines_.clear();
  for (int ms = 10; ms <= 10000; ms += 10) {
    display_->tick(kStart + milliseconds(ms));
  }
  EXPECT_LE(lines_.size(), 42U);
  EXPECT_GE(lines_.size(), 38U);
}

TEST_F(ProgressDisplayTest, EndedPhasesAreNotReadAgain) {
  record_lines();
  {
    core::Progress short_lived;
    display_->begin("/mnt", "link", short_lived, kStart);
    display_->end("/mnt", "link", kStart + seconds(1));
  }
  lines_.clear();
  display_->tick(kStart + seconds(2));
  display_->end("/mnt", "link", kStart + seconds(3));
  EXPECT_TRUE(lines_.empty());
}

TEST_F(ProgressDisplayTest, BarSumsVolumesAndLeavesTheTerminalClean) {
  StringSink sink;
  Console console(sink);
  ProgressDisplay::Targets targets;
  targets.bar = &console;
  targets.width = [] { return 100U; };
  ProgressDisplay display(std::move(targets));
  core::Progress second;
  progress_.files = 10;
  progress_.total_files = 20;
  second.files = 5;
  second.total_files = 10;
  display.begin("/a", "link", progress_, kStart);
  display.begin("/b", "hash", second, kStart);
  display.tick(kStart + seconds(1));
  EXPECT_TRUE(sink.text.contains("link+hash (2 volumes)")) << sink.text;
  EXPECT_TRUE(sink.text.contains("15/30 files")) << sink.text;
  display.stop();
  EXPECT_TRUE(sink.text.ends_with("\r\x1b[K"));
}

TEST_F(ProgressDisplayTest, ThreadRunsAndEnds) {
  record_lines();
  display_->start();
  display_->begin("/mnt", "link", progress_, ProgressClock::now());
  progress_.files = 3;
  display_->end("/mnt", "link", ProgressClock::now());
  display_->stop();
  EXPECT_GE(lines_.size(), 2U);
}

}  // namespace
}  // namespace holdfast::cli
