#include "cli/run.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp(3) is not in <cstdlib>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "fakes.hpp"

/// What needs no store: the real command, in-process. Runs over real trees are in
/// tests/integration.
namespace holdfast::cli {
namespace {

TEST(Run, VersionAndHelpGoToStdout) {
  Terminal terminal;
  EXPECT_EQ(terminal.run({"--version"}), 0);
  EXPECT_EQ(terminal.out.text, "holdfast 0.1.0\n");
  EXPECT_EQ(terminal.run({"wipe", "--help"}), 0);
  EXPECT_TRUE(terminal.out.text.contains("Usage: holdfast wipe"));
  EXPECT_EQ(terminal.err.text, "");
}

TEST(Run, UsageErrorsAreOneLineAndAHint) {
  Terminal terminal;
  EXPECT_EQ(terminal.run({"wipe", "--need", "20X", "/nowhere"}), 2);
  EXPECT_EQ(terminal.err.text,
            "holdfast: wipe: --need: \"20X\" is not a size (bytes, or with K, M, G, T)\n");
  EXPECT_EQ(terminal.out.text, "");
}

TEST(Run, UsageErrorsAreJsonWhenAskedFor) {
  Terminal terminal;
  EXPECT_EQ(terminal.run({"wipe", "--json"}), 2);
  EXPECT_TRUE(terminal.out.text.starts_with("{\"event\":\"summary\"")) << terminal.out.text;
  EXPECT_TRUE(terminal.out.text.contains("\"exit_code\":2"));
}

TEST(Run, DestructiveCommandsNeedYes) {
  for (const char* command : {"wipe", "rollback", "discard"}) {
    Terminal terminal;
    EXPECT_EQ(terminal.run({command, "/nowhere"}), 5) << command;
    EXPECT_TRUE(terminal.err.text.contains("refused [no-yes]: ")) << terminal.err.text;
    EXPECT_TRUE(lines_of(terminal.out.text).back().starts_with("next: holdfast "))
        << terminal.out.text;
  }
}

TEST(Run, RefusalWithoutYesIsJsonToo) {
  Terminal terminal;
  EXPECT_EQ(terminal.run({"discard", "/a", "/b", "--json"}), 5);
  EXPECT_TRUE(terminal.out.text.contains("\"reason_code\":\"no-yes\"")) << terminal.out.text;
  EXPECT_TRUE(terminal.out.text.contains("\"volumes\":["));
}

TEST(Run, ReaderThatWentAwayIsNoError) {
  Terminal terminal;
  terminal.out.error = std::make_error_code(std::errc::broken_pipe);
  EXPECT_EQ(terminal.run({"--help"}), 0);
  EXPECT_EQ(terminal.err.text, "");
}

TEST(Run, ResultsThatCannotBeWrittenAreAFailure) {
  Terminal terminal;
  terminal.out.error = std::make_error_code(std::errc::no_space_on_device);
  EXPECT_EQ(terminal.run({"--help"}), 1);
  EXPECT_TRUE(terminal.err.text.contains("No space left on device"));
}

TEST(Run, LogFilesThatCannotBeOpenedStopItBefore) {
  Terminal terminal;
  EXPECT_EQ(terminal.run({"status", "/nowhere", "--log-file", "/nonexistent/log"}), 1);
  EXPECT_TRUE(terminal.err.text.contains("/nonexistent/log: No such file or directory"))
      << terminal.err.text;
}

/// A small tree of a user's own, gone at the end.
class RunOnTree : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "holdfast-run-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    scratch_ = name;
    root_ = scratch_ + "/root";
    std::filesystem::create_directories(root_ + "/home/al");
    std::ofstream(root_ + "/home/al/letter") << "dear";
    std::ofstream(root_ + "/home/al/new\nline") << "odd";
    std::filesystem::create_symlink("letter", root_ + "/home/al/link");
  }
  void TearDown() override { std::filesystem::remove_all(scratch_); }
  [[nodiscard]] std::string scratch(const std::string& name) const { return scratch_ + "/" + name; }
  /// The file's lines.
  [[nodiscard]] std::vector<std::string> read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(scratch(name)).rdbuf();
    return lines_of(text.str());
  }
  std::string scratch_;
  std::string root_;
};

TEST_F(RunOnTree, CaptureEndsWithWhatToDoNext) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything"}), 0) << terminal.err.text;
  const auto lines = lines_of(terminal.out.text);
  EXPECT_EQ(lines.front(), "capture " + root_);
  EXPECT_EQ(lines[1], "  state       sealed");
  EXPECT_TRUE(lines.back().starts_with("next: ")) << lines.back();
  EXPECT_EQ(terminal.err.text, "");
}

TEST_F(RunOnTree, CaptureAgainHasNothingToDo) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything"}), 0) << terminal.err.text;
  terminal.out.text.clear();
  ASSERT_EQ(terminal.run({"capture", root_}), 0) << terminal.err.text;
  EXPECT_EQ(lines_of(terminal.out.text).front(), "capture " + root_ + ": nothing to do");
}

TEST_F(RunOnTree, QuietSaysNothing) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "-q"}), 0) << terminal.err.text;
  EXPECT_EQ(terminal.out.text, "");
  EXPECT_EQ(terminal.err.text, "");
}

TEST_F(RunOnTree, VerboseTellsStepsOnStderr) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "-v"}), 0) << terminal.err.text;
  EXPECT_TRUE(terminal.err.text.contains(root_ + ": link begins\n")) << terminal.err.text;
}

TEST_F(RunOnTree, JsonEndsWithOneSummary) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "--json"}), 0) << terminal.err.text;
  const auto lines = lines_of(terminal.out.text);
  EXPECT_TRUE(lines.back().starts_with("{\"event\":\"summary\",\"schema\":1,")) << lines.back();
  EXPECT_TRUE(lines.back().contains("\"state\":\"sealed\""));
  EXPECT_TRUE(lines.back().contains("\"files\":2,"));
}

TEST_F(RunOnTree, ProgressGoesWhereItIsAskedFor) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "--progress", "json", "--progress-file",
                          scratch("progress"), "--log-file", scratch("log")}),
            0)
      << terminal.err.text;
  const auto on_stderr = lines_of(terminal.err.text);
  ASSERT_GE(on_stderr.size(), 2U);
  EXPECT_TRUE(on_stderr.front().starts_with("{\"event\":\"progress\",\"phase\":"));
  EXPECT_EQ(read("progress"), on_stderr);
  const auto log = read("log");
  ASSERT_GE(log.size(), 2U);
  EXPECT_TRUE(log.front().contains(" info begin holdfast 0.1.0: holdfast capture ")) << log.front();
  EXPECT_TRUE(log.back().ends_with(" info end: exit code 0")) << log.back();
}

TEST_F(RunOnTree, BarIsForTerminals) {
  Terminal terminal;
  terminal.is_terminal = true;
  terminal.environment = {{"TERM", "xterm"}, {"NO_COLOR", "1"}};
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "--progress", "bar"}), 0);
  EXPECT_FALSE(terminal.err.text.contains("\x1b[3")) << "NO_COLOR";
  EXPECT_TRUE(terminal.err.text.empty() || terminal.err.text.ends_with("\r\x1b[K"))
      << "the bar is gone";
}

TEST_F(RunOnTree, SignalEndsIt) {
  Terminal terminal;
  terminal.stop.stop(15);
  EXPECT_EQ(terminal.run({"capture", root_, "--everything"}), 143) << terminal.err.text;
}

TEST_F(RunOnTree, CaptureWithoutAnySelectionIsUsage) {
  Terminal terminal;
  EXPECT_EQ(terminal.run({"capture", root_}), 2);
  EXPECT_FALSE(std::filesystem::exists(root_ + "/.holdfast"));
}

TEST_F(RunOnTree, RefusalsShowTheirReasonCode) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything"}), 0) << terminal.err.text;
  EXPECT_EQ(terminal.run({"capture", root_, "--include", "home"}), 5);
  EXPECT_TRUE(terminal.err.text.contains("holdfast: capture: refused [other-selection]: "))
      << terminal.err.text;
}

TEST_F(RunOnTree, ListingsKeepStdoutForNames) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--include", "home", "-q"}), 0) << terminal.err.text;
  ASSERT_EQ(terminal.run({"ls", root_}), 0) << terminal.err.text;
  EXPECT_EQ(terminal.out.text, "home\nhome/al\nhome/al/letter\nhome/al/link\nhome/al/new\\nline\n");
  EXPECT_TRUE(terminal.err.text.starts_with("next: ")) << terminal.err.text;
  terminal.out.text.clear();
  ASSERT_EQ(terminal.run({"ls", "-0", root_, "/home/al/new\nline"}), 0) << terminal.err.text;
  EXPECT_EQ(terminal.out.text, std::string("home/al/new\nline\0", 17));
}

TEST_F(RunOnTree, ListingsEndQuietlyWhenNobodyReads) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "-q"}), 0) << terminal.err.text;
  terminal.out.error = std::make_error_code(std::errc::broken_pipe);
  EXPECT_EQ(terminal.run({"ls", root_, "-q"}), 0);
  EXPECT_EQ(terminal.err.text, "");
}

TEST_F(RunOnTree, FindsByNameAndByContent) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "-q"}), 0) << terminal.err.text;
  ASSERT_EQ(terminal.run({"find", root_, "--name", "let*", "-q"}), 0) << terminal.err.text;
  ASSERT_EQ(terminal.run({"find", root_, "--same-as", root_ + "/home/al/letter", "-q"}), 0)
      << terminal.err.text;
  EXPECT_EQ(terminal.out.text, "home/al/letter\nhome/al/letter\n");
  EXPECT_EQ(terminal.run({"find", root_, "--name", "nothing", "-q"}), 0) << "no hits are no error";
}

TEST_F(RunOnTree, StatusShowsTheStore) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "--label", "ticket=7", "-q"}), 0);
  ASSERT_EQ(terminal.run({"status", root_}), 0) << terminal.err.text;
  EXPECT_TRUE(terminal.out.text.contains("  state       sealed\n")) << terminal.out.text;
  EXPECT_TRUE(terminal.out.text.contains("  captured    2")) << terminal.out.text;
  EXPECT_TRUE(terminal.out.text.contains("  label       ticket=7\n")) << terminal.out.text;
  EXPECT_TRUE(lines_of(terminal.out.text).back().starts_with("next: "));
}

TEST_F(RunOnTree, WithoutAStoreThereIsNothingToShow) {
  Terminal terminal;
  EXPECT_EQ(terminal.run({"status", root_}), 10);
  EXPECT_EQ(terminal.run({"ls", root_}), 10);
}

TEST_F(RunOnTree, DryRunOfWipeNeedsNoYes) {
  Terminal terminal;
  ASSERT_EQ(terminal.run({"capture", root_, "--everything", "-q"}), 0) << terminal.err.text;
  EXPECT_EQ(terminal.run({"wipe", root_}), 5);
  EXPECT_EQ(terminal.run({"wipe", root_, "--dry-run"}), 0) << terminal.err.text;
  EXPECT_TRUE(terminal.out.text.contains("go: wipe would do it\n")) << terminal.out.text;
  EXPECT_TRUE(std::filesystem::exists(root_ + "/home/al/letter"));
}

TEST(FinalExitCode, SignalsDecideOverWhatTheyEnded) {
  EXPECT_EQ(final_exit_code(0, 0), 0);
  EXPECT_EQ(final_exit_code(1, 0), 1);
  EXPECT_EQ(final_exit_code(1, 2), 130);
  EXPECT_EQ(final_exit_code(11, 15), 143);
  EXPECT_EQ(final_exit_code(12, 1), 129);
  EXPECT_EQ(final_exit_code(130, 2), 130);
}

TEST(FinalExitCode, SignalsThatCameTooLateEndedNothing) {
  EXPECT_EQ(final_exit_code(0, 2), 0);
  EXPECT_EQ(final_exit_code(3, 2), 3);
  EXPECT_EQ(final_exit_code(5, 2), 5);
}

}  // namespace
}  // namespace holdfast::cli
