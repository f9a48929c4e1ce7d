#include "cli/text.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"

namespace holdfast::cli {
namespace {

TEST(HumanSize, KeepsOneDigit) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1024), "1.0 KiB");
  EXPECT_EQ(human_size(1503238553), "1.4 GiB");
  EXPECT_EQ(human_size((1U << 20) - 1), "1.0 MiB");
  EXPECT_EQ(human_size(UINT64_MAX), "16.0 EiB");
}

TEST(HumanCount, GroupsThousands) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1000), "1,000");
  EXPECT_EQ(human_count(1234567), "1,234,567");
}

TEST(HumanDuration, PicksItsUnit) {
  EXPECT_EQ(human_duration(0.04), "0.0 s");
  EXPECT_EQ(human_duration(3.84), "3.8 s");
  EXPECT_EQ(human_duration(9.97), "10 s");
  EXPECT_EQ(human_duration(59.6), "1 min 00 s");
  EXPECT_EQ(human_duration(200), "3 min 20 s");
  EXPECT_EQ(human_duration(7500), "2 h 05 min");
}

TEST(IsoTime, IsUtc) {
  EXPECT_EQ(iso_time({0, 0}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(iso_time({1704164645, 999}), "2024-01-02T03:04:05Z");
  EXPECT_EQ(iso_time({-1, 0}), "1969-12-31T23:59:59Z");
  EXPECT_EQ(iso_time({253402300799, 0}), "9999-12-31T23:59:59Z");
  EXPECT_EQ(iso_time({253402300800, 0}), "@253402300800");
  EXPECT_EQ(iso_time({INT64_MIN, 0}), "@-9223372036854775808");
}

TEST(ModeText, ShowsTypeAndSpecialBits) {
  using enum catalog::FileType;
  EXPECT_EQ(mode_text(kFile, 0644), "-rw-r--r--");
  EXPECT_EQ(mode_text(kFile, 04755), "-rwsr-xr-x");
  EXPECT_EQ(mode_text(kFile, 06644), "-rwSr-Sr--");
  EXPECT_EQ(mode_text(kDirectory, 01777), "drwxrwxrwt");
  EXPECT_EQ(mode_text(kDirectory, 01776), "drwxrwxrwT");
  EXPECT_EQ(mode_text(kSymlink, 0777), "lrwxrwxrwx");
  EXPECT_EQ(mode_text(kFifo, 0), "p---------");
  EXPECT_EQ(mode_text(kChar, 0600), "crw-------");
  EXPECT_EQ(mode_text(kBlock, 0600), "brw-------");
}

TEST(Wrapped, BreaksAtBlanks) {
  EXPECT_EQ(wrapped("one two three", 7, 0), "one two\nthree");
  EXPECT_EQ(wrapped("one two", 6, 2), "one\n  two");
  EXPECT_EQ(wrapped("averylongword x", 5, 0), "averylongword\nx");
  EXPECT_EQ(wrapped("", 5, 0), "");
}

TEST(ShellWord, QuotesWhatAShellWouldTouch) {
  EXPECT_EQ(shell_word("/mnt/target"), "/mnt/target");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("a'b'"), R"('a'\''b'\''')");
}

TEST(ProblemText, ReadsAsTheContractSays) {
  const catalog::Problem missed{catalog::ProblemKind::kMissed, "home/al/x", "openat", EACCES, ""};
  EXPECT_EQ(problem_text(missed, "", false), "missed: home/al/x: Permission denied (openat)");
  EXPECT_EQ(problem_text(missed, "/mnt", false),
            "missed: /mnt: home/al/x: Permission denied (openat)");
  EXPECT_EQ(problem_text({catalog::ProblemKind::kSkipped, "run/s", "", 0, "socket"}, "", false),
            "skipped: run/s: socket");
  EXPECT_EQ(problem_text({catalog::ProblemKind::kWarning, "", "", 0, "odd"}, "", false),
            "warning: .: odd");
}

TEST(ProblemText, EscapesNames) {
  const catalog::Problem nasty{catalog::ProblemKind::kLeft, "a\x1b[2J\n\xff", "", 0, "b\x1b"};
  EXPECT_EQ(problem_text(nasty, "/m\n", false), "left: /m\\n: a\\x1b[2J\\n\\xff: b\\x1b");
}

TEST(ProblemText, IsColouredOnlyWhenAsked) {
  const catalog::Problem missed{catalog::ProblemKind::kMissed, "x", "", 0, "y"};
  EXPECT_EQ(problem_text(missed, "", true), "\x1b[31mmissed\x1b[0m: x: y");
}

TEST(ErrorText, NamesCommandPlaceAndHint) {
  catalog::Error error{.fault = catalog::Fault::kFailed,
                       .operation = "linkat",
                       .place = "home/al/work",
                       .cause = std::make_error_code(std::errc::cross_device_link),
                       .reason = {},
                       .reason_code = {},
                       .hint = "it is a btrfs subvolume"};
  const auto lines = error_text("capture", error, "");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], "holdfast: capture: home/al/work: Invalid cross-device link (linkat)");
  EXPECT_EQ(lines[1], "hint: it is a btrfs subvolume");
  error.hint.clear();
  EXPECT_EQ(error_text("capture", error, "/mnt").front(),
            "holdfast: capture: /mnt: home/al/work: Invalid cross-device link (linkat)");
}

TEST(ErrorText, RefusalsShowTheirCode) {
  const auto error = catalog::refused("not-sealed", "/mnt", "the capture is not sealed").error();
  EXPECT_EQ(error_text("wipe", error, "/mnt").front(),
            "holdfast: wipe: refused [not-sealed]: /mnt: the capture is not sealed");
}

}  // namespace
}  // namespace holdfast::cli
