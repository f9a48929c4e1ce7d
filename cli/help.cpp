#include "cli/help.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {

namespace {

constexpr std::size_t kColumn = 28;   // where the help of an option begins
constexpr unsigned kCodeColumn = 10;  // where the meaning of an exit code begins

std::string left_side(const OptionSpec& option) {
  std::string text = fmt::format("  {}", option.letter);
  if (!option.letter.empty() && !option.name.empty()) {
    text += ", ";
  }
  text += option.name;
  if (!option.argument.empty()) {
    text += fmt::format(" {}", option.argument);
  }
  return text;
}

/// @p left and @p right side by side, or one below the other when @p left is wide.
std::string two_columns(const std::string& left, std::string_view right) {
  const std::string text = wrapped(right, kHelpWidth, kColumn);
  if (left.size() + 2 > kColumn) {
    return fmt::format("{}\n{:{}}{}\n", left, "", kColumn, text);
  }
  return fmt::format("{:{}}{}\n", left, kColumn, text);
}

std::string_view first_sentence(std::string_view help) {
  const std::size_t end = help.find(". ");
  if (end != std::string_view::npos) {
    return help.substr(0, end);
  }
  return help.ends_with('.') ? help.substr(0, help.size() - 1) : help;
}

std::string usage_line(const CommandSpec& spec) {
  return fmt::format("Usage: holdfast {} [OPTIONS] {}\n", spec.name, spec.positionals);
}

std::string capitalised(std::string_view text) {
  std::string result(text);
  if (!result.empty() && result.front() >= 'a' && result.front() <= 'z') {
    result.front() = static_cast<char>(result.front() - 'a' + 'A');
  }
  return result;
}

std::string exit_code_text(const CommandSpec& spec) {
  std::string text = "\nExit codes:\n";
  for (const ExitCodeSpec& code : exit_codes()) {
    if (std::ranges::find(spec.exit_codes, code.code) != spec.exit_codes.end()) {
      text += fmt::format("  {:<{}}{}\n", code.code, kCodeColumn - 2,
                          wrapped(code.meaning, kHelpWidth, kCodeColumn));
    }
  }
  text += fmt::format("  {:<{}}{}\n", "128+n", kCodeColumn - 2, kSignalMeaning);
  return text;
}

}  // namespace

std::string version_number() { return HOLDFAST_VERSION; }

std::string version_text() { return fmt::format("holdfast {}", version_number()); }

std::string overview_text() {
  std::string text = "Usage: holdfast COMMAND [OPTIONS] ROOT...\n\n";
  text += wrapped(
      "Keeps files on the disk while the system around them is replaced: capture, wipe, apply the "
      "new "
      "image, restore, discard.",
      kHelpWidth, 0);
  text += "\n\nCommands:\n";
  for (const CommandSpec& spec : commands()) {
    text += fmt::format("  {:<10}{}\n", spec.name, spec.summary);
  }
  text += "\n";
  text += wrapped(
      "ROOT is the directory that stands for a system or a data volume: a mount point or any "
      "directory. Its store is ROOT/.holdfast.",
      kHelpWidth, 0);
  text +=
      "\n\nholdfast COMMAND -h  the options on one screen; --help: everything\n"
      "holdfast --version   the version\n";
  return text;
}

std::string full_help(Command command) {
  const CommandSpec& spec = spec_of(command);
  std::string text = usage_line(spec);
  text += fmt::format("\n{}\n", wrapped(spec.description, kHelpWidth, 0));
  const std::vector<const OptionSpec*> taken = options_of(command);
  for (const OptionGroup group : kOptionGroups) {
    bool first = true;
    for (const OptionSpec* option : taken) {
      if (option->group != group) {
        continue;
      }
      if (first) {
        text += fmt::format("\n{}:\n", title(group));
        first = false;
      }
      text += two_columns(left_side(*option), option->help);
    }
  }
  text += exit_code_text(spec);
  text += fmt::format("\nExample:\n  {}\n", spec.example);
  return text;
}

std::string brief_help(Command command) {
  const CommandSpec& spec = spec_of(command);
  std::string text = usage_line(spec);
  text += fmt::format("{}.\n", capitalised(spec.summary));
  std::string everywhere = "Everywhere:";
  bool own = false;
  for (const OptionSpec* option : options_of(command)) {
    if (option->commands != kEveryCommand) {
      text += own ? "" : "\n";
      text += two_columns(left_side(*option), first_sentence(option->help));
      own = true;
      continue;
    }
    everywhere += fmt::format(" {}", option->letter.empty() ? option->name : option->letter);
    if (!option->argument.empty()) {
      // A blank that wrapped() does not break at, put right below.
      everywhere += fmt::format("\x01{}", option->argument);
    }
  }
  everywhere = wrapped(everywhere, kHelpWidth, 12);
  std::ranges::replace(everywhere, '\x01', ' ');
  text += fmt::format("\n{}\n", everywhere);
  text += fmt::format("More, with exit codes and an example: holdfast {} --help\n", spec.name);
  return text;
}

}  // namespace holdfast::cli
