#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/problem.hpp"
#include "cli/log.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "storecore/run/context.hpp"

namespace holdfast::cli {

/// Passes on what the engine reports, as it comes. Any thread; keeps counts and nothing that grows.
class RunObserver : public core::Observer {
 public:
  /// Problems of one kind that text mode prints; the rest is counted.
  static constexpr std::uint64_t kShownPerKind = 1000;

  enum class Style : std::uint8_t {
    kText,     ///< on stderr, at most kShownPerKind of a kind
    kJson,     ///< events on stdout, all
    kListing,  ///< they are what was asked for: text on stdout, all
    kNames,    ///< likewise, but only raw paths ended by NUL
  };
  struct Options {
    Style style = Style::kText;
    bool quiet = false;  ///< text: nothing that is by design or merely worth knowing
    bool colour = false;
    bool name_roots = false;           ///< several volumes: say which
    std::optional<std::string> below;  ///< only problems at or below this path
  };

  RunObserver(Options options, Output& out, Console& console, ProgressDisplay& progress, Log& log)
      : options_(std::move(options)),
        out_(&out),
        console_(&console),
        progress_(&progress),
        log_(&log) {}

  void phase_begun(std::string_view root, std::string_view phase,
                   const core::Progress& progress) override;
  void phase_ended(std::string_view root, std::string_view phase, double seconds,
                   std::uint64_t files, std::uint64_t bytes) override;
  void problem(std::string_view root, const catalog::Problem& problem) override;
  void note(std::string_view root, std::string_view text) override;

  /// Says how many problems were counted but not printed, and where to see them. After the run.
  void finish();

 private:
  [[nodiscard]] bool wanted(const catalog::Problem& problem) const;
  void print_text(std::string_view root, const catalog::Problem& problem);

  Options options_;
  Output* out_;
  Console* console_;
  ProgressDisplay* progress_;
  Log* log_;
  std::mutex mutex_;
  std::array<std::uint64_t, 16> seen_{};  // by ProblemKind
};

}  // namespace holdfast::cli
