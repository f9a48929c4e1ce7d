#include "storecore/ops/gaps.hpp"

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {

Selection::Verdict judge_path(const Selection& selection, std::string_view path,
                              bool is_directory) {
  using Verdict = Selection::Verdict;
  const auto components = catalog::split_path(path);
  if (!components) return Verdict::kUnselected;
  if (components->empty()) return selection.root_verdict();
  Selection::State state = selection.root();
  for (std::size_t i = 0; i + 1 < components->size(); ++i) {
    if (selection.judge(state, (*components)[i], true) == Verdict::kUnselected)
      return Verdict::kUnselected;
    state = selection.enter(state, (*components)[i]);
  }
  return selection.judge(state, components->back(), is_directory);
}

bool selects_path(const Selection& selection, std::string_view path) {
  return judge_path(selection, path, true) == Selection::Verdict::kSelected;
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
