#include "cli/observer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "catalog/problem.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "storecore/run/context.hpp"

namespace holdfast::cli {

void RunObserver::phase_begun(std::string_view root, std::string_view phase,
                              const core::Progress& progress) {
  progress_->begin(root, phase, progress, ProgressClock::now());
  log_->note(root, fmt::format("{} begins", phase));
}

void RunObserver::phase_ended(std::string_view root, std::string_view phase, double seconds,
                              std::uint64_t files, std::uint64_t bytes) {
  progress_->end(root, phase, ProgressClock::now());
  log_->note(root, fmt::format("{} done: {} files, {}, {}", phase, human_count(files),
                               human_size(bytes), human_duration(seconds)));
}

void RunObserver::problem(std::string_view root, const catalog::Problem& problem) {
  log_->problem(root, problem);
  if (!wanted(problem)) {
    return;
  }
  switch (options_.style) {
    case Style::kText:
      print_text(root, problem);
      break;
    case Style::kJson:
      out_->line(problem_line(root, problem));
      break;
    case Style::kListing:
      out_->write(problem_text(problem, options_.name_roots ? root : std::string_view(), false) +
                  '\n');
      break;
    case Style::kNames:
      out_->write(problem.path + '\0');
      break;
  }
}

void RunObserver::note(std::string_view root, std::string_view text) { log_->note(root, text); }

bool RunObserver::wanted(const catalog::Problem& problem) const {
  if (!options_.below) {
    return true;
  }
  const std::string_view path = problem.path;
  return path.starts_with(*options_.below) &&
         (path.size() == options_.below->size() || path[options_.below->size()] == '/');
}

void RunObserver::print_text(std::string_view root, const catalog::Problem& problem) {
  using enum catalog::ProblemKind;
  if (options_.quiet && (problem.kind == kSkipped || problem.kind == kWarning)) {
    return;
  }
  const std::size_t kind = std::min(static_cast<std::size_t>(problem.kind), seen_.size() - 1);
  {
    const std::lock_guard lock(mutex_);
    if (++seen_[kind] > kShownPerKind) {
      return;
    }
  }
  console_->line(
      problem_text(problem, options_.name_roots ? root : std::string_view(), options_.colour));
}

void RunObserver::finish() {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const auto kind = catalog::problem_kind_from(static_cast<std::uint8_t>(i));
    if (seen_[i] <= kShownPerKind || !kind) {
      continue;
    }
    const bool listed =
        *kind == catalog::ProblemKind::kMissed || *kind == catalog::ProblemKind::kSkipped;
    const std::string where = listed ? fmt::format("holdfast ls --{}", catalog::to_word(*kind))
                                     : std::string("--json or --log-file");
    console_->line(fmt::format("{}: ... and {} more, see {}", catalog::to_word(*kind),
                               human_count(seen_[i] - kShownPerKind), where));
  }
}

}  // namespace holdfast::cli
