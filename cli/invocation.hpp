#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>

#include "cli/options.hpp"
#include "cli/parse.hpp"
#include "storecore/ops/operations.hpp"

/// A command line that makes sense, ready to be carried out.
namespace holdfast::cli {

enum class HelpKind : std::uint8_t { kNone, kOverview, kBrief, kFull };
enum class ProgressMode : std::uint8_t { kAuto, kBar, kJson, kNone };

/// Options of ls and find that the engine has no part in.
struct ListingOptions {
  std::optional<std::string> path;  ///< ls: literal, without slashes at its ends
  bool detailed = false;            ///< --long
  bool missed = false;
  bool skipped = false;
  bool nul = false;  ///< -0
};

struct Invocation {
  Command command = Command::kStatus;  ///< means nothing with kOverview or version
  HelpKind help = HelpKind::kNone;
  bool version = false;

  core::Targets targets;
  bool yes = false;
  core::CaptureOptions capture;
  core::VerifyOptions verify;
  core::WipeOptions wipe;
  core::RestoreOptions restore;
  core::DiscardOptions discard;
  core::FindOptions find;
  core::ExplainOptions explain;
  ListingOptions listing;

  unsigned jobs = 1;
  unsigned io_depth = 0;
  double wait_lock_seconds = 0;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  ProgressMode progress = ProgressMode::kAuto;
  std::optional<std::string> progress_file;
  std::optional<std::string> log_file;
  std::string command_line;  ///< escaped, for logs
};

/// Parses and checks everything that can be checked without looking at the filesystem.
/// @param args without the program's name
/// @param cpus decides the default of --jobs
[[nodiscard]] std::expected<Invocation, UsageError> read_command_line(
    std::span<const std::string> args, unsigned cpus);

/// Whether `--json` stands among the options: a usage error is reported as JSON then, too.
[[nodiscard]] bool wants_json(std::span<const std::string> args);

}  // namespace holdfast::cli
