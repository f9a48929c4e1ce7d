#include "cli/observer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catalog/problem.hpp"
#include "cli/log.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "fakes.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::cli {
namespace {

using catalog::ProblemKind;

class ObserverTest : public testing::Test {
 protected:
  RunObserver make(RunObserver::Options options) {
    return {std::move(options), out_, console_, progress_, log_};
  }
  StringSink out_sink_;
  StringSink err_sink_;
  Output out_{out_sink_};
  Console console_{err_sink_};
  ProgressDisplay progress_{ProgressDisplay::Targets{}};
  Log log_{core::Fd(), nullptr};
};

TEST_F(ObserverTest, TextGoesToStderr) {
  RunObserver observer = make({});
  observer.problem("/mnt", {ProblemKind::kMissed, "a", "", 0, "why"});
  EXPECT_EQ(err_sink_.text, "missed: a: why\n");
  EXPECT_EQ(out_sink_.text, "");
}

TEST_F(ObserverTest, OneKindIsPrintedAThousandTimes) {
  RunObserver observer = make({});
  for (int i = 0; i < 1234; ++i) {
    observer.problem("/mnt", {ProblemKind::kMissed, "a", "", 0, "why"});
  }
  observer.problem("/mnt", {ProblemKind::kLeft, "b", "", 0, "why"});
  observer.finish();
  const auto lines = lines_of(err_sink_.text);
  ASSERT_EQ(lines.size(), 1002U);
  EXPECT_EQ(lines.back(), "missed: ... and 234 more, see holdfast ls --missed");
}

TEST_F(ObserverTest, JsonHasThemAllWhole) {
  RunObserver::Options options;
  options.style = RunObserver::Style::kJson;
  RunObserver observer = make(std::move(options));
  std::vector<std::thread> workers;
  workers.reserve(4);
  for (int t = 0; t < 4; ++t) {
    workers.emplace_back([&observer] {
      for (int i = 0; i < 500; ++i) {
        observer.problem("/mnt", {ProblemKind::kMissed, std::string(100, 'a'), "", 0, "why"});
      }
    });
  }
  for (std::thread& worker : workers) {
    worker.join();
  }
  observer.finish();
  const auto lines = lines_of(out_sink_.text);
  ASSERT_EQ(lines.size(), 2000U);
  for (const std::string& line : lines) {
    EXPECT_TRUE(line.starts_with("{\"event\":\"problem\"") && line.ends_with("}"));
  }
  EXPECT_EQ(err_sink_.text, "");
}

TEST_F(ObserverTest, QuietKeepsWhatMatters) {
  RunObserver::Options options;
  options.quiet = true;
  options.name_roots = true;
  RunObserver observer = make(std::move(options));
  observer.problem("/mnt", {ProblemKind::kSkipped, "s", "", 0, "socket"});
  observer.problem("/mnt", {ProblemKind::kWarning, "w", "", 0, "odd"});
  observer.problem("/mnt", {ProblemKind::kCorrupt, "c", "", 0, "bits"});
  EXPECT_EQ(err_sink_.text, "corrupt: /mnt: c: bits\n");
}

TEST_F(ObserverTest, ListingsOfProblemsGoToStdout) {
  RunObserver::Options options;
  options.style = RunObserver::Style::kListing;
  options.below = "home";
  RunObserver observer = make(std::move(options));
  observer.problem("/mnt", {ProblemKind::kMissed, "home/x", "", 0, "why"});
  observer.problem("/mnt", {ProblemKind::kMissed, "homes", "", 0, "why"});
  observer.problem("/mnt", {ProblemKind::kMissed, "home", "", 0, "why"});
  out_.flush();
  EXPECT_EQ(out_sink_.text, "missed: home/x: why\nmissed: home: why\n");
}

TEST_F(ObserverTest, NamesAreRawAndEndWithNul) {
  RunObserver::Options options;
  options.style = RunObserver::Style::kNames;
  RunObserver observer = make(std::move(options));
  observer.problem("/mnt", {ProblemKind::kMissed, "a\n", "", 0, "why"});
  out_.flush();
  EXPECT_EQ(out_sink_.text, std::string("a\n\0", 3));
}

}  // namespace
}  // namespace holdfast::cli
