#include "cli/invocation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/name.hpp"
#include "catalog/nearest.hpp"
#include "cli/options.hpp"
#include "cli/parse.hpp"
#include "cli/text.hpp"
#include "cli/values.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::cli {

namespace {

constexpr unsigned kMostJobs = 256;
constexpr unsigned kMostIoDepth = 1024;
constexpr unsigned kDefaultJobs = 8;  // more walkers than that do not help: docs/performance.md

std::string quoted(std::string_view text) {
  return fmt::format("\"{}\"", catalog::escape_name(text));
}

/// Takes values out of RawArguments and remembers the first thing that is wrong.
class Values {
 public:
  Values(Command command, const RawArguments& raw) : command_(command), raw_(&raw) {}

  [[nodiscard]] bool has(OptionId id) const { return raw_->has(id); }
  [[nodiscard]] const std::vector<std::string>& all(OptionId id) const {
    static const std::vector<std::string> none;
    const auto found = raw_->values.find(id);
    return found == raw_->values.end() ? none : found->second;
  }
  [[nodiscard]] std::optional<std::string> text(OptionId id) const {
    return has(id) ? std::optional(all(id).front()) : std::nullopt;
  }

  void complain(OptionId id, std::string_view problem) {
    complain(fmt::format("{}: {}", display_name(spec(id)), problem));
  }
  void complain(std::string message, std::string hint = {}) {
    if (!error_) {
      error_ = UsageError{command_, std::move(message), std::move(hint)};
    }
  }
  [[nodiscard]] const std::optional<UsageError>& error() const { return error_; }

  /// A value that must not be empty: file names, directories, globs.
  [[nodiscard]] std::optional<std::string> filled(OptionId id) {
    auto value = text(id);
    if (value && value->empty()) {
      complain(id, "is empty");
    }
    return value;
  }

  [[nodiscard]] std::optional<unsigned> number(OptionId id, unsigned most) {
    const auto value = text(id);
    if (!value) {
      return std::nullopt;
    }
    const auto number = parse_number(*value);
    if (!number || *number < 1 || *number > most) {
      complain(id, fmt::format("{} is not a number from 1 to {}", quoted(*value), most));
      return std::nullopt;
    }
    return static_cast<unsigned>(*number);
  }

  /// Index into the option's choices; 0 when not given.
  [[nodiscard]] std::size_t choice(OptionId id) {
    const auto value = text(id);
    if (!value) {
      return 0;
    }
    const std::vector<std::string_view> words = choices(spec(id));
    const auto found = std::ranges::find(words, *value);
    if (found == words.end()) {
      complain(id, fmt::format("{} is none of {}", quoted(*value), fmt::join(words, ", ")));
      return 0;
    }
    return static_cast<std::size_t>(found - words.begin());
  }

  /// KEY=VALUE pairs, each key once.
  [[nodiscard]] std::map<std::string, std::string> pairs(OptionId id) {
    std::map<std::string, std::string> result;
    for (const std::string& value : all(id)) {
      auto pair = parse_pair(value);
      if (!pair) {
        complain(id, fmt::format("{} is not {}", quoted(value), spec(id).argument));
      } else if (!result.emplace(std::move(*pair)).second) {
        complain(id, fmt::format("{} is given twice", quoted(value.substr(0, value.find('=')))));
      }
    }
    return result;
  }

  /// A literal path relative to ROOT, without slashes at its ends; empty for ROOT itself.
  [[nodiscard]] std::string literal(std::string_view what, std::string_view path) {
    const auto components = catalog::split_path(path);
    if (path.empty() || !components) {
      complain(path.empty() ? fmt::format("{}: is empty", what)
                            : fmt::format("{}: {} is not a path below ROOT", what, quoted(path)));
      return {};
    }
    return fmt::format("{}", fmt::join(*components, "/"));
  }

  /// Patterns, each compiled once to see that it is one.
  [[nodiscard]] std::vector<std::string> patterns(OptionId id) {
    for (const std::string& pattern : all(id)) {
      core::SelectionSpec one;
      (id == OptionId::kExclude ? one.exclude : one.include).push_back(pattern);
      one.everything = id == OptionId::kExclude;
      if (const auto compiled = core::Selection::compile(one); !compiled) {
        complain(id,
                 fmt::format("{} is not a pattern: {}", quoted(pattern), compiled.error().reason));
      }
    }
    return all(id);
  }

 private:
  [[nodiscard]] const OptionSpec& spec(OptionId id) const {
    const std::vector<const OptionSpec*> taken = options_of(command_);
    return **std::ranges::find(taken, id, &OptionSpec::id);
  }

  Command command_;
  const RawArguments* raw_;
  std::optional<UsageError> error_;
};

/// Where the built-in rules are is for run() to find out.
core::RuleOptions read_rules(Values& values) {
  core::RuleOptions rules;
  rules.sources.given = values.all(OptionId::kRules);
  if (std::ranges::any_of(rules.sources.given, &std::string::empty)) {
    values.complain(OptionId::kRules, "is empty");
  }
  rules.only_given = values.has(OptionId::kNoBuiltinRules);
  if (rules.only_given && rules.sources.given.empty()) {
    values.complain("--no-builtin-rules: needs --rules beside it", "there would be no rules");
  }
  rules.users = values.filled(OptionId::kUsers).value_or("all");
  rules.given = !rules.sources.given.empty() || values.has(OptionId::kUsers);
  return rules;
}

void read_capture(Values& values, core::CaptureOptions& capture) {
  capture.replace_selection = values.has(OptionId::kReplaceSelection);
  capture.allow_vanished = values.has(OptionId::kAllowVanished);
  capture.all_volumes = values.has(OptionId::kAllVolumes);
  capture.dry_run = values.has(OptionId::kDryRun);
  capture.hash_later = values.choice(OptionId::kHash) == 1;
  capture.accept_missed = values.patterns(OptionId::kAcceptMissed);
  capture.labels = values.pairs(OptionId::kLabel);
  for (const auto& [key, value] : capture.labels) {
    if (!catalog::is_utf8(key) || !catalog::is_utf8(value)) {
      values.complain(OptionId::kLabel,
                      fmt::format("{} is not UTF-8", quoted(fmt::format("{}={}", key, value))));
    }
  }
  core::SelectionSpec selection;
  selection.everything = values.has(OptionId::kEverything);
  selection.include = values.patterns(OptionId::kInclude);
  selection.exclude = values.patterns(OptionId::kExclude);
  core::RuleOptions rules = read_rules(values);
  const bool by_name = selection.everything || !selection.include.empty();
  if (selection.everything && !selection.include.empty()) {
    values.complain("--everything and --include exclude each other");
  } else if (by_name && rules.given) {
    values.complain(fmt::format("{} and {} exclude each other",
                                selection.everything ? "--everything" : "--include",
                                values.has(OptionId::kUsers)   ? "--users"
                                : values.has(OptionId::kRules) ? "--rules"
                                                               : "--no-builtin-rules"),
                    "what somebody names needs no rules");
  } else if (by_name) {
    capture.selection = std::move(selection);
  } else {
    rules.exclude = std::move(selection.exclude);
    rules.given = rules.given || !rules.exclude.empty();
    capture.rules = std::move(rules);
  }
}

void read_wipe(Values& values, core::WipeOptions& wipe) {
  wipe.dry_run = values.has(OptionId::kDryRun);
  wipe.delete_old = values.has(OptionId::kDelete);
  wipe.again = values.has(OptionId::kAgain);
  wipe.accept_missed = values.patterns(OptionId::kAcceptMissed);
  if (const auto need = values.text(OptionId::kNeed)) {
    wipe.need_bytes = parse_size(*need);
    if (!wipe.need_bytes) {
      values.complain(OptionId::kNeed,
                      fmt::format("{} is not a size (bytes, or with K, M, G, T)", quoted(*need)));
    }
  }
  for (const std::string& path : values.all(OptionId::kKeep)) {
    wipe.keep.push_back(values.literal("--keep", path));
    if (wipe.keep.back().empty()) {
      values.complain(OptionId::kKeep, "ROOT itself cannot be kept");
    }
  }
}

void read_restore(Values& values, std::span<const std::string> paths,
                  core::RestoreOptions& restore) {
  restore.to = values.filled(OptionId::kTo);
  restore.mode = static_cast<core::RestoreMode>(values.choice(OptionId::kMode));
  restore.on_conflict = static_cast<core::ConflictPolicy>(values.choice(OptionId::kOnConflict));
  restore.verify = static_cast<core::VerifyMode>(values.choice(OptionId::kVerify));
  restore.include = values.patterns(OptionId::kInclude);
  restore.exclude = values.patterns(OptionId::kExclude);
  restore.again = values.has(OptionId::kAgain);
  restore.dry_run = values.has(OptionId::kDryRun);
  for (const auto& [from, to] : values.pairs(OptionId::kMap)) {
    restore.maps.push_back({values.literal("--map", from), values.literal("--map", to)});
  }
  for (const std::string& path : paths) {
    restore.paths.push_back(values.literal("PATH", path));
  }
  if (std::ranges::any_of(restore.paths, &std::string::empty)) {
    restore.paths.clear();  // ROOT itself: everything
  }
}

void read_listing(Values& values, std::span<const std::string> paths, ListingOptions& listing) {
  listing.detailed = values.has(OptionId::kLong);
  listing.nul = values.has(OptionId::kPrintNul);
  listing.missed = values.has(OptionId::kMissed);
  listing.skipped = values.has(OptionId::kSkipped);
  if (!paths.empty()) {
    listing.path = values.literal("PATH", paths.front());
    if (listing.path->empty()) {
      listing.path.reset();
    }
  }
  if (listing.detailed && (listing.missed || listing.skipped)) {
    values.complain("--long does not go with --missed and --skipped");
  }
  if (listing.nul && values.has(OptionId::kJson)) {
    values.complain("-0 does not go with --json");
  }
}

void read_find(Values& values, core::FindOptions& find) {
  find.name = values.filled(OptionId::kFindName);
  find.same_as = values.filled(OptionId::kSameAs);
  find.duplicates = values.has(OptionId::kDuplicates);
  if (const auto hex = values.text(OptionId::kFindHash)) {
    find.hash = catalog::digest_from_hex(*hex);
    if (!find.hash) {
      values.complain(OptionId::kFindHash,
                      fmt::format("{} is not a hash (32 hex digits)", quoted(*hex)));
    }
  }
  int questions = 0;
  for (const OptionId id :
       {OptionId::kFindName, OptionId::kFindHash, OptionId::kSameAs, OptionId::kDuplicates}) {
    questions += values.has(id) ? 1 : 0;
  }
  if (questions != 1) {
    values.complain("takes exactly one of --name, --hash, --same-as and --duplicates");
  }
}

void read_common(Values& values, unsigned cpus, Invocation& invocation) {
  invocation.jobs =
      values.number(OptionId::kJobs, kMostJobs).value_or(std::clamp(cpus, 1U, kDefaultJobs));
  invocation.io_depth = values.number(OptionId::kIoDepth, kMostIoDepth).value_or(0);
  if (const auto seconds = values.text(OptionId::kWaitLock)) {
    const auto wait = parse_seconds(*seconds);
    if (!wait) {
      values.complain(OptionId::kWaitLock,
                      fmt::format("{} is not a number of seconds", quoted(*seconds)));
    }
    invocation.wait_lock_seconds = wait.value_or(0);
  }
  invocation.yes = values.has(OptionId::kYes);
  invocation.json = values.has(OptionId::kJson);
  invocation.quiet = values.has(OptionId::kQuiet);
  invocation.verbose = values.has(OptionId::kVerbose);
  if (invocation.quiet && invocation.verbose) {
    values.complain("-q and -v exclude each other");
  }
  invocation.progress = static_cast<ProgressMode>(values.choice(OptionId::kProgress));
  invocation.progress_file = values.filled(OptionId::kProgressFile);
  invocation.log_file = values.filled(OptionId::kLogFile);
  invocation.targets.store = values.filled(OptionId::kStore);
  invocation.targets.volumes = values.pairs(OptionId::kVolume);
  for (const auto& [uuid, dir] : invocation.targets.volumes) {
    if (dir.empty()) {
      values.complain(OptionId::kVolume, fmt::format("{} is not UUID=DIR", quoted(uuid + "=")));
    }
  }
}

/// How many positionals there may be, and which of them are ROOTs.
void read_positionals(Values& values, const CommandSpec& spec,
                      std::span<const std::string> positionals, core::Targets& targets) {
  if (positionals.size() < spec.min_positionals) {
    values.complain("ROOT is missing",
                    fmt::format("usage: holdfast {} [OPTIONS] {}", spec.name, spec.positionals));
    return;
  }
  if (spec.max_positionals != 0 && positionals.size() > spec.max_positionals) {
    values.complain(
        fmt::format("{} is one argument too many", quoted(positionals[spec.max_positionals])),
        fmt::format("usage: holdfast {} [OPTIONS] {}", spec.name, spec.positionals));
    return;
  }
  const bool roots_only = spec.positionals.contains("ROOT...");
  const std::size_t roots = roots_only ? positionals.size() : 1;
  targets.roots.assign(positionals.begin(),
                       positionals.begin() + static_cast<std::ptrdiff_t>(roots));
  if (std::ranges::any_of(targets.roots, &std::string::empty)) {
    values.complain("ROOT is empty");
  }
  if (targets.store && targets.roots.size() != 1) {
    values.complain(OptionId::kStore, "goes with exactly one ROOT");
  }
}

std::expected<Invocation, UsageError> interpret(Command command, const RawArguments& raw,
                                                unsigned cpus) {
  Invocation invocation;
  invocation.command = command;
  Values values(command, raw);
  const CommandSpec& spec = spec_of(command);
  read_common(values, cpus, invocation);
  read_positionals(values, spec, raw.positionals, invocation.targets);
  const std::size_t roots = std::min(raw.positionals.size(), invocation.targets.roots.size());
  const auto paths = std::span(raw.positionals).subspan(roots);
  switch (command) {
    case Command::kCapture:
      read_capture(values, invocation.capture);
      break;
    case Command::kVerify:
      invocation.verify.quick = values.has(OptionId::kQuick);
      break;
    case Command::kWipe:
      read_wipe(values, invocation.wipe);
      break;
    case Command::kRestore:
      read_restore(values, paths, invocation.restore);
      break;
    case Command::kDiscard:
      invocation.discard.lose_files = values.has(OptionId::kLoseFiles);
      invocation.discard.lose_displaced = values.has(OptionId::kLoseDisplaced);
      break;
    case Command::kLs:
      read_listing(values, paths, invocation.listing);
      break;
    case Command::kExplain:
      invocation.explain.rules = read_rules(values);
      for (const std::string& path : paths) {
        invocation.explain.paths.push_back(values.literal("PATH", path));
      }
      break;
    case Command::kFind:
      read_listing(values, {}, invocation.listing);
      read_find(values, invocation.find);
      break;
    case Command::kSeal:
    case Command::kRollback:
    case Command::kStatus:
    case Command::kRepair:
      break;
  }
  if (const auto& error = values.error()) {
    return std::unexpected(*error);
  }
  return invocation;
}

UsageError unknown_command(const std::string& word) {
  if (word.starts_with('-')) {
    return {std::nullopt, fmt::format("{} stands before the command", quoted(word)),
            "usage: holdfast COMMAND [OPTIONS] ROOT..."};
  }
  UsageError error{std::nullopt, fmt::format("unknown command {}", quoted(word)),
                   "holdfast --help lists the commands"};
  std::vector<std::string_view> names;
  for (const CommandSpec& spec : commands()) {
    names.push_back(spec.name);
  }
  if (const auto close = catalog::nearest(word, names)) {
    error.hint = fmt::format("did you mean {}?", *close);
  }
  return error;
}

std::string shown_command_line(std::span<const std::string> args) {
  std::string line = "holdfast";
  for (const std::string& arg : args) {
    line += fmt::format(" {}", shell_word(arg));
  }
  return line;
}

}  // namespace

std::expected<Invocation, UsageError> read_command_line(std::span<const std::string> args,
                                                        unsigned cpus) {
  if (args.empty()) {
    return std::unexpected(
        UsageError{std::nullopt, "no command", "holdfast --help lists the commands"});
  }
  Invocation invocation;
  const std::string& first = args.front();
  if (first == "--help" || first == "-h") {
    invocation.help = HelpKind::kOverview;
    return invocation;
  }
  if (first == "--version") {
    invocation.version = true;
    return invocation;
  }
  const CommandSpec* spec = find_command(first);
  if (spec == nullptr) {
    return std::unexpected(unknown_command(first));
  }
  const auto rest = args.subspan(1);
  const auto raw = parse_arguments(spec->command, rest);
  if (!raw) {
    return std::unexpected(raw.error());
  }
  if (raw->has(OptionId::kHelp) || raw->has(OptionId::kVersion)) {
    invocation.command = spec->command;
    invocation.version = !raw->has(OptionId::kHelp);
    const bool full = std::ranges::find(rest, "--help") != rest.end();
    invocation.help = invocation.version ? HelpKind::kNone
                      : full             ? HelpKind::kFull
                                         : HelpKind::kBrief;
    return invocation;
  }
  auto result = interpret(spec->command, *raw, cpus);
  if (result) {
    result->command_line = shown_command_line(args);
  }
  return result;
}

bool wants_json(std::span<const std::string> args) {
  for (const std::string& arg : args) {
    if (arg == "--" || arg == "--json") {
      return arg == "--json";
    }
  }
  return false;
}

}  // namespace holdfast::cli
