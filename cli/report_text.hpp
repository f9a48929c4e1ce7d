#pragma once

#include <string>
#include <vector>

#include "cli/options.hpp"
#include "storecore/ops/report.hpp"

/// Reports as people read them.
namespace holdfast::cli {

/// The summary of a run: a block for each volume, aligned, without the `next:` lines.
[[nodiscard]] std::string summary_text(Command command, const core::RunReport& report);
/// "next: ..." for each volume, the same line once. Never empty.
[[nodiscard]] std::string next_text(const core::RunReport& report, int exit_code);
/// What failed or was refused, a line each, and hints; goes to stderr.
[[nodiscard]] std::vector<std::string> failure_text(Command command, const core::RunReport& report);

}  // namespace holdfast::cli
