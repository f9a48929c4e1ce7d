#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/problem.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

/// The JSON lines of docs/scripting.md, each without its newline. Text that is not UTF-8 stands
/// escaped, with its bytes in NAME_b64 beside it. Fields may be added, never renamed.
namespace holdfast::cli {

inline constexpr int kJsonSchema = 1;

[[nodiscard]] std::string problem_line(std::string_view root, const catalog::Problem& problem);
[[nodiscard]] std::string entry_line(const core::ListedEntry& entry);
[[nodiscard]] std::string explanation_line(const core::ExplainedPath& explained);
/// The last line of every command. @p command as it was typed, or empty.
[[nodiscard]] std::string summary_line(std::string_view command, const core::RunReport& report,
                                       int exit_code);
/// The last line when there is no report: usage errors, exceptions.
[[nodiscard]] std::string failure_line(std::string_view command, std::string_view error,
                                       std::string_view hint, int exit_code);

/// One moment of a phase on one volume.
struct ProgressMoment {
  std::string_view root;
  std::string_view phase;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t total_files = 0;  ///< 0: unknown, null in JSON
  std::uint64_t total_bytes = 0;
  std::optional<double> fraction;
  std::optional<double> eta_seconds;
  bool done = false;
};
[[nodiscard]] std::string progress_line(const ProgressMoment& moment);

}  // namespace holdfast::cli
