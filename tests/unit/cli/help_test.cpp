#include "cli/help.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.hpp"
#include "cli/parse.hpp"
#include "fakes.hpp"

namespace holdfast::cli {
namespace {

TEST(Help, NamesEveryOptionAndExitCodeOfACommand) {
  for (const CommandSpec& spec : commands()) {
    const std::string help = full_help(spec.command);
    EXPECT_TRUE(help.starts_with(fmt::format("Usage: holdfast {} ", spec.name)));
    for (const OptionSpec* option : options_of(spec.command)) {
      EXPECT_TRUE(help.contains(fmt::format("{} {}", display_name(*option), option->argument)))
          << help;
    }
    for (const int code : spec.exit_codes) {
      EXPECT_TRUE(help.contains(fmt::format("\n  {:<8}", code))) << spec.name << code;
    }
    EXPECT_TRUE(help.contains("\n  128+n   "));
    EXPECT_TRUE(help.contains(fmt::format("\nExample:\n  {}\n", spec.example)));
  }
}

TEST(Help, BriefFormFitsAScreen) {
  for (const CommandSpec& spec : commands()) {
    const auto lines = lines_of(brief_help(spec.command));
    EXPECT_LE(lines.size(), kBriefLines) << spec.name;
    for (const std::string& line : lines) {
      EXPECT_LE(line.size(), kHelpWidth) << line;
    }
    for (const OptionSpec* option : options_of(spec.command)) {
      const std::string_view shown = option->letter.empty() ? option->name : option->letter;
      EXPECT_TRUE(brief_help(spec.command).contains(shown)) << spec.name << " " << shown;
    }
  }
  EXPECT_LE(lines_of(overview_text()).size(), kBriefLines);
}

TEST(Help, BriefFormTakesOneLineAnOption) {
  for (const CommandSpec& spec : commands()) {
    for (const std::string& line : lines_of(brief_help(spec.command))) {
      EXPECT_FALSE(line.starts_with(std::string(29, ' '))) << line;
    }
  }
}

TEST(Help, NoLineIsTooLong) {
  for (const CommandSpec& spec : commands()) {
    for (const std::string& line : lines_of(full_help(spec.command))) {
      // An example stands on one line, so that it can be copied.
      EXPECT_TRUE(line.size() <= kHelpWidth || line.ends_with(spec.example)) << line;
    }
  }
  for (const std::string& line : lines_of(overview_text())) {
    EXPECT_LE(line.size(), kHelpWidth) << line;
  }
}

TEST(Help, OverviewListsCommandsInLifeCycleOrder) {
  const std::string text = overview_text();
  std::size_t last = 0;
  for (const std::string_view name : {"capture", "seal", "verify", "wipe", "rollback", "restore",
                                      "discard", "status", "ls", "find", "repair"}) {
    const std::size_t at = text.find(fmt::format("\n  {} ", name));
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_GT(at, last);
    last = at;
  }
}

TEST(Help, WhatThisVersionDoesNotHaveIsAbsent) {
  std::string all = overview_text();
  for (const CommandSpec& spec : commands()) {
    all += full_help(spec.command) + brief_help(spec.command);
  }
  for (const std::string_view word : {"--map-user", "--map-group", "--numeric-ids", "audit"}) {
    EXPECT_FALSE(all.contains(word)) << word;
  }
}

TEST(OptionTable, EveryRowCanBeParsed) {
  for (const CommandSpec& spec : commands()) {
    for (const OptionSpec* option : options_of(spec.command)) {
      std::vector<std::string> args{std::string(display_name(*option))};
      if (!option->argument.empty()) {
        args.emplace_back("value");
      }
      const auto parsed = parse_arguments(spec.command, args);
      ASSERT_TRUE(parsed) << parsed.error().message;
      EXPECT_TRUE(parsed->has(option->id));
      EXPECT_TRUE(parsed->positionals.empty());
    }
  }
}

TEST(OptionTable, NamesAreUniqueWithinACommand) {
  for (const CommandSpec& spec : commands()) {
    std::set<std::string_view> names;
    std::set<OptionId> ids;
    for (const OptionSpec* option : options_of(spec.command)) {
      EXPECT_TRUE(option->letter.empty() || names.insert(option->letter).second) << option->letter;
      EXPECT_TRUE(option->name.empty() || names.insert(option->name).second) << option->name;
      EXPECT_TRUE(ids.insert(option->id).second) << display_name(*option);
    }
    EXPECT_EQ(&spec_of(spec.command), &spec);
  }
}

TEST(OptionTable, ContractsOptionsAreThere) {
  const auto has = [](Command command, std::string_view name) {
    for (const OptionSpec* option : options_of(command)) {
      if (option->name == name || option->letter == name) {
        return true;
      }
    }
    return false;
  };
  for (const std::string_view name :
       {"--everything", "--include", "--exclude", "--hash", "--dry-run", "--all-volumes",
        "--replace-selection", "--allow-vanished", "--accept-missed", "--label", "--io-depth"}) {
    EXPECT_TRUE(has(Command::kCapture, name)) << name;
  }
  for (const std::string_view name :
       {"--yes", "--dry-run", "--delete", "--need", "--keep", "--accept-missed", "--again"}) {
    EXPECT_TRUE(has(Command::kWipe, name)) << name;
  }
  for (const std::string_view name : {"--to", "--mode", "--map", "--on-conflict", "--verify",
                                      "--include", "--exclude", "--again", "--dry-run"}) {
    EXPECT_TRUE(has(Command::kRestore, name)) << name;
  }
  for (const CommandSpec& spec : commands()) {
    for (const std::string_view name :
         {"--json", "--progress", "--progress-file", "-q", "-v", "--log-file", "--store", "--jobs",
          "--wait-lock", "--help", "-h", "--version"}) {
      EXPECT_TRUE(has(spec.command, name)) << spec.name << " " << name;
    }
  }
}

}  // namespace
}  // namespace holdfast::cli
