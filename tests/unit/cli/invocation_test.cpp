#include "cli/invocation.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/options.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::cli {
namespace {

using Args = std::vector<std::string>;

Invocation good(const Args& args) {
  auto invocation = read_command_line(args, 4);
  EXPECT_TRUE(invocation) << (invocation ? "" : invocation.error().message);
  return invocation ? std::move(*invocation) : Invocation{};
}

UsageError bad(const Args& args) {
  auto invocation = read_command_line(args, 4);
  EXPECT_FALSE(invocation);
  return invocation ? UsageError{} : std::move(invocation.error());
}

core::SelectionSpec selection_of(const Invocation& invocation) {
  EXPECT_TRUE(invocation.capture.selection);
  return invocation.capture.selection.value_or(core::SelectionSpec{});
}

TEST(CommandLine, TakesOptionsBehindPositionals) {
  const Invocation invocation =
      good({"capture", "/a", "--include", "home", "/b", "-v", "--jobs=2"});
  EXPECT_EQ(invocation.command, Command::kCapture);
  EXPECT_EQ(invocation.targets.roots, (Args{"/a", "/b"}));
  EXPECT_EQ(selection_of(invocation).include, Args{"home"});
  EXPECT_TRUE(invocation.verbose);
  EXPECT_EQ(invocation.jobs, 2U);
}

TEST(CommandLine, DoubleDashEndsOptions) {
  EXPECT_EQ(good({"status", "-q", "--", "--json", "-x"}).targets.roots, (Args{"--json", "-x"}));
  EXPECT_FALSE(good({"status", "--", "--json"}).json);
}

TEST(CommandLine, ValuesMayLookLikeAnything) {
  const Invocation invocation =
      good({"capture", "--everything", "--exclude", "--json", "--exclude", "--", "--exclude=-0",
            "--exclude=a=b", "--label", "k=", "[a,b]", "{}", "-"});
  EXPECT_EQ(selection_of(invocation).exclude, (Args{"--json", "--", "-0", "a=b"}));
  EXPECT_FALSE(invocation.json);
  EXPECT_EQ(invocation.capture.labels.at("k"), "");
  EXPECT_EQ(invocation.targets.roots, (Args{"[a,b]", "{}", "-"}));
}

TEST(CommandLine, BracketPatternsStayWhole) {
  EXPECT_EQ(selection_of(good({"capture", "--include", "[a,b]", "/x"})).include, Args{"[a,b]"});
  EXPECT_EQ(good({"ls", "[root]", "[a,b]"}).listing.path, "[a,b]");
}

TEST(CommandLine, RawBytesPass) {
  const std::string root = "/mnt/\xff\xfe\n";
  EXPECT_EQ(good({"status", root}).targets.roots, Args{root});
  EXPECT_EQ(good({"restore", "/x", "a\xff"}).restore.paths, Args{"a\xff"});
}

TEST(CommandLine, LettersCanBeJoined) {
  const Invocation invocation = good({"status", "-qj", "3", "/x"});
  EXPECT_TRUE(invocation.quiet);
  EXPECT_EQ(invocation.jobs, 3U);
  EXPECT_EQ(good({"status", "-j3", "/x"}).jobs, 3U);
}

TEST(CommandLine, JobsDefaultToProcessorsUpToEight) {
  EXPECT_EQ(read_command_line(Args{"status"}, 4)->jobs, 4U);
  EXPECT_EQ(read_command_line(Args{"status"}, 64)->jobs, 8U);
  EXPECT_EQ(read_command_line(Args{"status"}, 0)->jobs, 1U);
}

TEST(CommandLine, CaptureWithoutSelectionAsksForTheStoredOne) {
  EXPECT_FALSE(good({"capture", "/x"}).capture.selection);
  EXPECT_TRUE(selection_of(good({"capture", "/x", "--everything"})).everything);
  EXPECT_TRUE(good({"capture", "/x", "--everything", "--hash", "later"}).capture.hash_later);
  EXPECT_FALSE(good({"capture", "/x", "--everything", "--hash", "now"}).capture.hash_later);
}

TEST(CommandLine, ReadsRestore) {
  const Invocation invocation = good({"restore", "/x", "/home/al/", "etc", "--to", "/y", "--mode",
                                      "copy", "--on-conflict", "both", "--verify=none", "--map",
                                      "/a/=b/c", "--include", "**/x", "--again", "--dry-run"});
  const core::RestoreOptions& restore = invocation.restore;
  EXPECT_EQ(restore.paths, (Args{"home/al", "etc"}));
  EXPECT_EQ(restore.to, "/y");
  EXPECT_EQ(restore.mode, core::RestoreMode::kCopy);
  EXPECT_EQ(restore.on_conflict, core::ConflictPolicy::kBoth);
  EXPECT_EQ(restore.verify, core::VerifyMode::kNone);
  ASSERT_EQ(restore.maps.size(), 1U);
  EXPECT_EQ(restore.maps[0].from, "a");
  EXPECT_EQ(restore.maps[0].to, "b/c");
  EXPECT_TRUE(restore.again && restore.dry_run);
}

TEST(CommandLine, RestoreOfTheRootIsRestoreOfEverything) {
  EXPECT_TRUE(good({"restore", "/x", "home", "/"}).restore.paths.empty());
}

TEST(CommandLine, ReadsWipe) {
  const Invocation invocation = good({"wipe", "/x", "--yes", "--delete", "--need", "1.5G", "--keep",
                                      "/boot/", "--accept-missed", "a*", "--again"});
  EXPECT_TRUE(invocation.yes && invocation.wipe.delete_old && invocation.wipe.again);
  EXPECT_EQ(invocation.wipe.need_bytes, std::uint64_t{3} << 29);
  EXPECT_EQ(invocation.wipe.keep, Args{"boot"});
  EXPECT_EQ(invocation.wipe.accept_missed, Args{"a*"});
}

TEST(CommandLine, ReadsVolumesAndLists) {
  const Invocation invocation =
      good({"ls", "/x", "--volume", "u=/d", "--volume", "v=/e", "--long", "-0"});
  EXPECT_EQ(invocation.targets.volumes.size(), 2U);
  EXPECT_TRUE(invocation.listing.detailed && invocation.listing.nul);
  EXPECT_FALSE(invocation.listing.path);
}

TEST(CommandLine, HelpNeedsNothingElse) {
  EXPECT_EQ(good({"wipe", "--help"}).help, HelpKind::kFull);
  EXPECT_EQ(good({"wipe", "-h"}).help, HelpKind::kBrief);
  EXPECT_EQ(good({"--help"}).help, HelpKind::kOverview);
  EXPECT_EQ(good({"-h"}).help, HelpKind::kOverview);
  EXPECT_TRUE(good({"--version"}).version);
  EXPECT_TRUE(good({"ls", "--version"}).version);
}

TEST(CommandLine, StatusNeedsNoRoot) { EXPECT_TRUE(good({"status"}).targets.roots.empty()); }

TEST(CommandLine, CapturesByRulesUnlessSomethingIsNamed) {
  const Invocation plain = good({"capture", "/x"});
  ASSERT_TRUE(plain.capture.rules);
  EXPECT_FALSE(plain.capture.selection || plain.capture.rules->given);
  EXPECT_EQ(plain.capture.rules->users, "all");
  const Invocation asked =
      good({"capture", "/x", "--rules", "f", "--users", "!al", "--exclude", "a"});
  ASSERT_TRUE(asked.capture.rules);
  EXPECT_TRUE(asked.capture.rules->given);
  EXPECT_EQ(asked.capture.rules->sources.given, std::vector<std::string>{"f"});
  EXPECT_EQ(asked.capture.rules->users, "!al");
  EXPECT_EQ(asked.capture.rules->exclude, std::vector<std::string>{"a"});
  EXPECT_FALSE(good({"capture", "/x", "--include", "a"}).capture.rules);
  EXPECT_TRUE(good({"capture", "/x", "--exclude", "a"}).capture.rules->given);
}

TEST(CommandLine, ExplainTakesRootAndPaths) {
  const Invocation invocation = good({"explain", "/x", "/a/b/", "c"});
  EXPECT_EQ(invocation.targets.roots, std::vector<std::string>{"/x"});
  EXPECT_EQ(invocation.explain.paths, (std::vector<std::string>{"a/b", "c"}));
}

TEST(UsageErrors, SayWhatIsWrong) {
  const std::vector<std::pair<Args, std::string>> table = {
      {{}, "no command"},
      {{"capture"}, "ROOT is missing"},
      {{"capture", ""}, "ROOT is empty"},
      {{"capture", "/x", "--everything", "--include", "a"},
       "--everything and --include exclude each other"},
      {{"capture", "/x", "--include", "a", "--users", "al"},
       "--include and --users exclude each other"},
      {{"capture", "/x", "--everything", "--rules", "f"},
       "--everything and --rules exclude each other"},
      {{"capture", "/x", "--rules="}, "--rules: is empty"},
      {{"capture", "/x", "--users="}, "--users: is empty"},
      {{"capture", "/x", "--no-builtin-rules"}, "--no-builtin-rules: needs --rules beside it"},
      {{"explain", "/x"}, "ROOT is missing"},
      {{"capture", "/x", "--hash", "never"}, "--hash: \"never\" is none of now, later"},
      {{"capture", "/x", "--label", "ab"}, "--label: \"ab\" is not KEY=VALUE"},
      {{"capture", "/x", "--label", "a=\xff"}, "--label: \"a=\\xff\" is not UTF-8"},
      {{"capture", "/x", "--label", "a=1", "--label", "a=2"}, "--label: \"a\" is given twice"},
      {{"capture", "/x", "--io-depth", "0"}, "--io-depth: \"0\" is not a number from 1 to 1024"},
      {{"capture", "/x", "--io-depth", "1025"},
       "--io-depth: \"1025\" is not a number from 1 to 1024"},
      {{"capture", "/x", "--jobs", "257"}, "--jobs: \"257\" is not a number from 1 to 256"},
      {{"capture", "/x", "--jobs", "\x1b[1m"},
       "--jobs: \"\\x1b[1m\" is not a number from 1 to 256"},
      {{"wipe", "/x", "--need", "20X"},
       "--need: \"20X\" is not a size (bytes, or with K, M, G, T)"},
      {{"wipe", "/x", "--need="}, "--need: \"\" is not a size (bytes, or with K, M, G, T)"},
      {{"wipe", "/x", "--need"}, "--need: needs a value: SIZE"},
      {{"wipe", "/x", "--need", "1G", "--need", "2G"}, "--need: given more than once"},
      {{"wipe", "/x", "--keep", "/"}, "--keep: ROOT itself cannot be kept"},
      {{"wipe", "/x", "--keep", "../a"}, "--keep: \"../a\" is not a path below ROOT"},
      {{"wipe", "/x", "--yes=no"}, "--yes: takes no value"},
      {{"seal", "/x", "--yes"}, "unknown option \"--yes\""},
      {{"seal", "-z", "/x"}, "unknown option \"-z\""},
      {{"restore", "/x", "--map-user", "a=b"}, "unknown option \"--map-user\""},
      {{"restore", "/x", "--map-group", "a=b"}, "unknown option \"--map-group\""},
      {{"restore", "/x", "--numeric-ids"}, "unknown option \"--numeric-ids\""},
      {{"restore", "/x", "--map", "a"}, "--map: \"a\" is not OLD=NEW"},
      {{"restore", "/x", "--to", ""}, "--to: is empty"},
      {{"restore", "/x", ""}, "PATH: is empty"},
      {{"ls", "/x", "a", "b"}, "\"b\" is one argument too many"},
      {{"ls", "/x", "--long", "--missed"}, "--long does not go with --missed and --skipped"},
      {{"ls", "/x", "-0", "--json"}, "-0 does not go with --json"},
      {{"ls", "/x", "--volume", "u="}, "--volume: \"u=\" is not UUID=DIR"},
      {{"find", "/x"}, "takes exactly one of --name, --hash, --same-as and --duplicates"},
      {{"find", "/x", "--name", "a", "--duplicates"},
       "takes exactly one of --name, --hash, --same-as and --duplicates"},
      {{"find", "/x", "--hash", "12"}, "--hash: \"12\" is not a hash (32 hex digits)"},
      {{"find", "/x", "--name", ""}, "--name: is empty"},
      {{"status", "/x", "/y", "--store", "/z"}, "--store: goes with exactly one ROOT"},
      {{"status", "--store", "/z"}, "--store: goes with exactly one ROOT"},
      {{"status", "-q", "-v"}, "-q and -v exclude each other"},
      {{"status", "--wait-lock", "soon"}, "--wait-lock: \"soon\" is not a number of seconds"},
      {{"status", "--progress", "x"}, "--progress: \"x\" is none of auto, bar, json, none"},
      {{"--json", "status"}, "\"--json\" stands before the command"},
  };
  for (const auto& [args, message] : table) {
    EXPECT_EQ(bad(args).message, message);
  }
}

TEST(UsageErrors, PatternsAreCheckedHere) {
  EXPECT_TRUE(bad({"capture", "/x", "--include", "!a"})
                  .message.starts_with("--include: \"!a\" is not a pattern: "));
  EXPECT_TRUE(
      bad({"capture", "/x", "--everything", "--exclude="}).message.starts_with("--exclude: \"\""));
  EXPECT_TRUE(
      bad({"wipe", "/x", "--accept-missed", "[a"}).message.starts_with("--accept-missed: \"[a\""));
  EXPECT_TRUE(bad({"restore", "/x", "--include", "a/../b"}).message.starts_with("--include: "));
}

TEST(UsageErrors, SuggestTheNearest) {
  EXPECT_EQ(bad({"retsore", "/x"}).hint, "did you mean restore?");
  EXPECT_EQ(bad({"stat"}).hint, "did you mean status?");
  EXPECT_EQ(bad({"xyzzy"}).hint, "holdfast --help lists the commands");
  EXPECT_EQ(bad({"capture", "--everyting", "/x"}).hint, "did you mean --everything?");
  EXPECT_EQ(bad({"capture", "--zzzzzz", "/x"}).hint, "holdfast capture --help lists the options");
  EXPECT_EQ(bad({std::string(100000, 'a')}).hint, "holdfast --help lists the commands");
}

TEST(WantsJson, LooksAtOptionsOnly) {
  EXPECT_TRUE(wants_json(Args{"wipe", "--json"}));
  EXPECT_FALSE(wants_json(Args{"wipe", "--", "--json"}));
  EXPECT_FALSE(wants_json(Args{"wipe"}));
}

}  // namespace
}  // namespace holdfast::cli
