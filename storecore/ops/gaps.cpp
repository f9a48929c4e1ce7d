#include "storecore/ops/gaps.hpp"

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {

std::optional<Selection::State> state_in(const Selection& selection,
                                         std::span<const std::string> components) {
  Selection::State state = selection.root();
  for (const std::string& component : components) {
    if (selection.judge(state, component, true) == Selection::Verdict::kUnselected)
      return std::nullopt;
    state = selection.enter(state, component);
  }
  return state;
}

Selection::Verdict judge_path(const Selection& selection, std::string_view path,
                              bool is_directory) {
  using Verdict = Selection::Verdict;
  const auto components = catalog::split_path(path);
  if (!components) return Verdict::kUnselected;
  if (components->empty()) return selection.root_verdict();
  const auto state = state_in(selection, std::span(*components).first(components->size() - 1));
  return state ? selection.judge(*state, components->back(), is_directory) : Verdict::kUnselected;
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
