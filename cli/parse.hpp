#pragma once

#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/options.hpp"

/// From words to options, without a look at what the values mean: invocation.hpp does that.
namespace holdfast::cli {

/// What is wrong with a command line. Nothing was touched; exit code 2.
struct UsageError {
  std::optional<Command> command;  ///< nullopt: not known
  std::string message;             ///< escaped, one line, without "holdfast: COMMAND: "
  std::string hint;                ///< may be empty
};

struct RawArguments {
  /// As often as given; flags have one empty value each time.
  std::map<OptionId, std::vector<std::string>> values;
  std::vector<std::string> positionals;

  [[nodiscard]] bool has(OptionId id) const { return values.contains(id); }
};

/// Raw bytes pass unchanged; options may stand behind positionals, `--` ends them, values begin
/// with anything.
/// @param args what follows the command's name
[[nodiscard]] std::expected<RawArguments, UsageError> parse_arguments(
    Command command, std::span<const std::string> args);

}  // namespace holdfast::cli
