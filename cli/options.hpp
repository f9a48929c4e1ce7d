#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

/// The one table of commands and options. Parser, --help, man pages and completions are made from
/// it.
namespace holdfast::cli {

/// In the order of a machine's life, which is the order in which they are listed.
enum class Command : std::uint8_t {
  kCapture,
  kSeal,
  kVerify,
  kWipe,
  kRollback,
  kRestore,
  kDiscard,
  kStatus,
  kLs,
  kFind,
  kRepair,
  kExplain,
};

/// A set of commands as bits.
using CommandSet = std::uint16_t;
[[nodiscard]] constexpr CommandSet in(Command command) noexcept {
  return static_cast<CommandSet>(1U << static_cast<unsigned>(command));
}
template <class... More>
[[nodiscard]] constexpr CommandSet in(Command first, More... more) noexcept {
  return static_cast<CommandSet>(in(first) | in(more...));
}
inline constexpr CommandSet kEveryCommand = 0xfff;

struct CommandSpec {
  Command command;
  std::string_view name;
  std::string_view positionals;  ///< as usage shows them: "ROOT...", "ROOT [PATH...]"
  unsigned min_positionals;
  unsigned max_positionals;      ///< 0: no limit
  std::string_view summary;      ///< one line, no full stop
  std::string_view description;  ///< one paragraph
  std::string_view example;
  std::vector<int> exit_codes;  ///< besides 128+n, which every command can give
};

enum class OptionId : std::uint8_t {
  kEverything,
  kInclude,
  kExclude,
  kRules,
  kNoBuiltinRules,
  kUsers,
  kReplaceSelection,
  kAllVolumes,
  kHash,
  kIoDepth,
  kLabel,
  kAcceptMissed,
  kAllowVanished,
  kDryRun,
  kQuick,
  kYes,
  kDelete,
  kNeed,
  kKeep,
  kAgain,
  kTo,
  kMode,
  kMap,
  kOnConflict,
  kVerify,
  kLoseFiles,
  kLoseDisplaced,
  kLong,
  kMissed,
  kSkipped,
  kPrintNul,
  kFindName,
  kFindHash,
  kSameAs,
  kDuplicates,
  kStore,
  kVolume,
  kJobs,
  kWaitLock,
  kJson,
  kProgress,
  kProgressFile,
  kLogFile,
  kQuiet,
  kVerbose,
  kHelp,
  kVersion,
};

enum class OptionGroup : std::uint8_t { kSelection, kMethod, kSafety, kStores, kOutput, kGeneral };
inline constexpr OptionGroup kOptionGroups[] = {OptionGroup::kSelection, OptionGroup::kMethod,
                                                OptionGroup::kSafety,    OptionGroup::kStores,
                                                OptionGroup::kOutput,    OptionGroup::kGeneral};
[[nodiscard]] std::string_view title(OptionGroup group) noexcept;

struct OptionSpec {
  OptionId id;
  std::string_view letter;    ///< "-q", or empty
  std::string_view name;      ///< "--quiet", or empty
  std::string_view argument;  ///< "SIZE" or "link|move|reflink|copy"; empty for a flag
  bool repeatable;
  OptionGroup group;
  CommandSet commands;
  std::string_view help;  ///< sentences; -h shows the first
};

struct ExitCodeSpec {
  int code;
  std::string_view meaning;
};

[[nodiscard]] std::span<const CommandSpec> commands();
[[nodiscard]] const CommandSpec& spec_of(Command command);
[[nodiscard]] const CommandSpec* find_command(std::string_view name);
[[nodiscard]] std::span<const OptionSpec> options();
/// Those that @p command takes, in table order.
[[nodiscard]] std::vector<const OptionSpec*> options_of(Command command);
/// "--need", or "-0" for an option without a long name.
[[nodiscard]] std::string_view display_name(const OptionSpec& option) noexcept;
/// The words of "now|later"; empty when the argument is not a choice.
[[nodiscard]] std::vector<std::string_view> choices(const OptionSpec& option);
/// What the codes mean, without 128+n.
[[nodiscard]] std::span<const ExitCodeSpec> exit_codes();
inline constexpr std::string_view kSignalMeaning = "ended by signal n; run again to go on";

}  // namespace holdfast::cli
