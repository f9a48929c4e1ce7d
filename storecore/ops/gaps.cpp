#include "storecore/ops/gaps.hpp"

#include <utility>

#include "catalog/name.hpp"
#include "catalog/problem.hpp"

namespace holdfast::core {

bool selects_path(const Selection& selection, std::string_view path) {
  const auto components = catalog::split_path(path);
  if (!components) return false;
  if (components->empty()) return selection.root_verdict() == Selection::Verdict::kSelected;
  Selection::State state = selection.root();
  for (std::size_t i = 0; i < components->size(); ++i) {
    const bool last = i + 1 == components->size();
    const auto verdict = selection.judge(state, (*components)[i], true);
    if (verdict == Selection::Verdict::kUnselected || last)
      return verdict == Selection::Verdict::kSelected;
    state = selection.enter(state, (*components)[i]);
  }
  return false;
}

catalog::Result<Gaps> count_gaps(const catalog::Reader& reader,
                                 const std::vector<std::string>& accepted) {
  auto patterns = Selection::compile({.everything = false, .include = accepted, .exclude = {}});
  if (!patterns) return std::unexpected(patterns.error());
  Gaps gaps;
  const auto status =
      reader.for_each_problem([&](const catalog::Problem& problem) -> catalog::Result<bool> {
        if (problem.kind == catalog::ProblemKind::kUnstable) ++gaps.unstable;
        if (problem.kind == catalog::ProblemKind::kMissed)
          ++(selects_path(*patterns, problem.path) ? gaps.accepted : gaps.missed);
        return true;
      });
  if (!status) return std::unexpected(status.error());
  return gaps;
}

}  // namespace holdfast::core
