#include "cli/run.hpp"

#include <fmt/format.h>

#include <exception>
#include <expected>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "cli/help.hpp"
#include "cli/invocation.hpp"
#include "cli/io.hpp"
#include "cli/json.hpp"
#include "cli/log.hpp"
#include "cli/observer.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/parse.hpp"
#include "cli/progress.hpp"
#include "cli/report_text.hpp"
#include "cli/session.hpp"
#include "cli/text.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/run/context.hpp"

namespace holdfast::cli {

namespace {

constexpr int kFailed = static_cast<int>(catalog::Fault::kFailed);
constexpr int kSignalBase = 128;
constexpr int kUsage = static_cast<int>(catalog::Fault::kUsage);

/// Where to write, and in which manner, before it is known what to say.
struct Streams {
  explicit Streams(const Io& io) : out(*io.out), console(*io.err) {}
  Output out;
  Console console;
};

core::RunReport execute(const Session& session) {
  switch (session.invocation.command) {
    case Command::kCapture:
      return run_capture(session);
    case Command::kSeal:
      return run_seal(session);
    case Command::kVerify:
      return run_verify(session);
    case Command::kWipe:
      return run_wipe(session);
    case Command::kRollback:
      return run_rollback(session);
    case Command::kRestore:
      return run_restore(session);
    case Command::kDiscard:
      return run_discard(session);
    case Command::kStatus:
      return run_status(session);
    case Command::kLs:
      return run_ls(session);
    case Command::kFind:
      return run_find(session);
    case Command::kRepair:
      return run_repair(session);
    case Command::kExplain:
      return run_explain(session);
  }
  return {};
}

bool is_listing(Command command) {
  return command == Command::kLs || command == Command::kFind || command == Command::kExplain;
}

int report_usage(const UsageError& error, bool json, Streams& streams) {
  const std::string name =
      error.command ? fmt::format("{}: ", spec_of(*error.command).name) : std::string();
  streams.console.line(fmt::format("holdfast: {}{}", name, error.message));
  if (!error.hint.empty()) {
    streams.console.line(fmt::format("hint: {}", error.hint));
  }
  if (json) {
    const std::string_view command =
        error.command ? spec_of(*error.command).name : std::string_view();
    streams.out.line(failure_line(command, error.message, error.hint, kUsage));
  }
  return kUsage;
}

int report_failure(std::string_view command, std::string_view what, bool json, Streams& streams) {
  streams.console.line(fmt::format("holdfast: {}: {}", command, what));
  if (json) {
    streams.out.line(failure_line(command, what, {}, kFailed));
  }
  return kFailed;
}

bool has_variable(const Io& io, const char* name) {
  const auto value = io.environment ? io.environment(name) : std::nullopt;
  return value && !value->empty();
}

bool wants_colour(const Io& io) { return io.err_is_terminal && !has_variable(io, "NO_COLOR"); }

bool wants_bar(const Invocation& invocation, const Io& io) {
  const auto term = io.environment ? io.environment("TERM") : std::nullopt;
  const bool capable = io.err_is_terminal && term && !term->empty() && *term != "dumb";
  switch (invocation.progress) {
    case ProgressMode::kBar:
      return true;
    case ProgressMode::kAuto:
      return capable && !invocation.json && !invocation.quiet;
    case ProgressMode::kJson:
    case ProgressMode::kNone:
      return false;
  }
  return false;
}

RunObserver::Options observer_options(const Invocation& invocation, const Io& io) {
  RunObserver::Options options;
  const ListingOptions& listing = invocation.listing;
  if (invocation.json) {
    options.style = RunObserver::Style::kJson;
  } else if (listing.missed || listing.skipped) {
    options.style = listing.nul ? RunObserver::Style::kNames : RunObserver::Style::kListing;
  }
  if (listing.missed || listing.skipped) {
    options.below = listing.path;
  }
  options.quiet = invocation.quiet;
  options.colour = wants_colour(io);
  options.name_roots = invocation.targets.roots.size() > 1 || invocation.capture.all_volumes;
  return options;
}

/// Prints what the engine said. @return the exit code, as far as the report decides it
int print_report(const Invocation& invocation, const core::RunReport& report, int exit_code,
                 Streams& streams, Log& log) {
  const Command command = invocation.command;
  for (const std::string& line : failure_text(command, report)) {
    streams.console.line(line);
    log.error(line);
  }
  if (invocation.json) {
    streams.out.line(summary_line(spec_of(command).name, report, exit_code));
    return exit_code;
  }
  const std::string next = next_text(report, exit_code);
  if (is_listing(command)) {
    // Results only on stdout: what follows the names would be taken for one.
    const bool read = streams.out.flush();
    if (read && !invocation.quiet) {  // whoever closed the pipe has gone, and wants no advice
      streams.console.line(std::string_view(next).substr(0, next.size() - 1));
    }
    return exit_code;
  }
  if (!invocation.quiet || command == Command::kStatus) {
    streams.out.write(summary_text(command, report));
    streams.out.write(next);
  }
  streams.out.flush();
  return exit_code;
}

/// Results that could not be written are a failure, unless something worse happened.
int check_written(int exit_code, std::string_view command, Streams& streams) {
  streams.out.flush();
  const std::error_code error = streams.out.error();
  if (!error) {
    return exit_code;
  }
  streams.console.line(fmt::format("holdfast: {}: standard output: {}", command, error.message()));
  return exit_code == 0 || exit_code == static_cast<int>(catalog::Fault::kIncomplete) ? kFailed
                                                                                      : exit_code;
}

struct Files {
  core::Fd progress;
  core::Fd log;
};

catalog::Result<Files> open_files(const Invocation& invocation) {
  Files files;
  const auto open = [](const std::optional<std::string>& path, core::Fd& fd) -> catalog::Status {
    if (!path) {
      return {};
    }
    auto opened = open_for_append(*path);
    if (!opened) {
      return std::unexpected(std::move(opened.error()));
    }
    fd = std::move(*opened);
    return {};
  };
  if (auto status = open(invocation.progress_file, files.progress); !status) {
    return std::unexpected(std::move(status.error()));
  }
  if (auto status = open(invocation.log_file, files.log); !status) {
    return std::unexpected(std::move(status.error()));
  }
  return files;
}

core::RunContext context_of(const Invocation& invocation, const Io& io, RunObserver& observer) {
  core::RunContext context;
  context.observer = &observer;
  context.stop = io.stop;
  context.jobs = invocation.jobs;
  context.io_depth = invocation.io_depth;
  context.version = version_text();
  context.command_line = invocation.command_line;
  context.wait_lock_seconds = invocation.wait_lock_seconds;
  return context;
}

int carry_out(const Invocation& invocation, const Io& io, Streams& streams) {
  const std::string_view name = spec_of(invocation.command).name;
  auto files = open_files(invocation);
  if (!files) {
    return report_failure(name, catalog::describe(files.error()), invocation.json, streams);
  }
  Log log(std::move(files->log), invocation.verbose ? &streams.console : nullptr);
  log.mark(fmt::format("begin {}: {}", version_text(), invocation.command_line));

  ProgressDisplay::Targets targets;
  targets.bar = wants_bar(invocation, io) ? &streams.console : nullptr;
  targets.width = io.width;
  targets.colour = wants_colour(io);
  if (invocation.progress == ProgressMode::kJson) {
    targets.lines.emplace_back([&streams](std::string_view line) { streams.console.line(line); });
  }
  DescriptorSink progress_file(files->progress.get());
  std::error_code progress_error;  // written under the display's lock, read when it has stopped
  if (files->progress) {
    targets.lines.emplace_back([&](std::string_view line) {
      if (!progress_error) {
        progress_error = progress_file.write(fmt::format("{}\n", line));
      }
    });
  }
  ProgressDisplay progress(std::move(targets));
  RunObserver observer(observer_options(invocation, io), streams.out, streams.console, progress,
                       log);

  const core::RunContext context = context_of(invocation, io, observer);
  progress.start();
  const core::RunReport report = execute({invocation, streams.out, context, io});
  progress.stop();
  observer.finish();

  const int code =
      final_exit_code(report.exit_code(), io.stop == nullptr ? 0 : io.stop->signal_number());
  print_report(invocation, report, code, streams, log);
  log.mark(fmt::format("end: exit code {}", code));
  // Neither stops a run, or changes what it came to.
  const std::error_code log_error(log.write_error(), std::generic_category());
  for (const auto& [option, error] :
       {std::pair{"--log-file", log_error}, std::pair{"--progress-file", progress_error}}) {
    if (error) {
      streams.console.line(fmt::format("holdfast: {}: {}: {}", name, option, error.message()));
    }
  }
  return check_written(code, name, streams);
}

int run_unguarded(std::span<const std::string> args, const Io& io, Streams& streams) {
  const auto invocation = read_command_line(args, io.cpus);
  if (!invocation) {
    return report_usage(invocation.error(), wants_json(args), streams);
  }
  if (invocation->version) {
    streams.out.line(version_text());
    return check_written(0, "--version", streams);
  }
  switch (invocation->help) {
    case HelpKind::kNone:
      return carry_out(*invocation, io, streams);
    case HelpKind::kOverview:
      streams.out.write(overview_text());
      break;
    case HelpKind::kBrief:
      streams.out.write(brief_help(invocation->command));
      break;
    case HelpKind::kFull:
      streams.out.write(full_help(invocation->command));
      break;
  }
  return check_written(0, "--help", streams);
}

}  // namespace

core::RunReport refuse_without_yes(const Invocation& invocation) {
  core::RunReport report;
  const std::string_view name = spec_of(invocation.command).name;
  for (const std::string& root : invocation.targets.roots) {
    const std::string hint = invocation.command == Command::kWipe
                                 ? "look at wipe --dry-run first, then add --yes"
                                 : fmt::format("if {} is what you want, add --yes", name);
    core::VolumeReport volume;
    volume.root = root;
    volume.error =
        catalog::refused("no-yes", root, fmt::format("{} needs --yes", name), hint).error();
    volume.exit_code = static_cast<int>(catalog::Fault::kRefused);
    volume.next =
        fmt::format("holdfast {} {} {}", name,
                    invocation.command == Command::kWipe ? "--dry-run" : "--yes", shell_word(root));
    report.volumes.push_back(std::move(volume));
  }
  return report;
}

int final_exit_code(int report_code, int signal_number) noexcept {
  using enum catalog::Fault;
  // A signal that came when the work was done, or refused, ended nothing.
  const bool came_to_an_end = report_code == 0 || report_code == static_cast<int>(kIncomplete) ||
                              report_code == static_cast<int>(kRefused) ||
                              report_code == static_cast<int>(kUsage);
  return signal_number == 0 || came_to_an_end ? report_code : kSignalBase + signal_number;
}

int run(std::span<const std::string> args, const Io& io) {
  Streams streams(io);
  const bool json = wants_json(args);
  const std::string command = args.empty() ? std::string() : catalog::escape_name(args.front());
  try {
    return run_unguarded(args, io, streams);
  } catch (const std::bad_alloc&) {
    return report_failure(command, "out of memory", json, streams);
  } catch (const std::exception& exception) {
    return report_failure(command,
                          fmt::format("internal error: {}", catalog::escape_name(exception.what())),
                          json, streams);
  }
}

}  // namespace holdfast::cli
