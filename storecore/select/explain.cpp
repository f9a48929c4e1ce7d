#include "storecore/select/explain.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/name.hpp"
#include "storecore/select/pattern_list.hpp"
#include "storecore/select/precedence.hpp"
#include "storecore/select/rule_set.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/select/selection_impl.hpp"

// The same automata and the same comparison as in judge(), but every claim is kept until the end,
// and no position is dropped on the way because it could change nothing.
namespace holdfast::core {
namespace {

using By = Explanation::By;

struct Evidence {
  Claim claim;
  By by;
  std::size_t index;
};

/// Each once, in order of precedence: so of one that matched several times the nearest is left.
void put_in_order(std::vector<Evidence>& all) {
  std::ranges::stable_sort(all, stronger, &Evidence::claim);
  std::vector<Evidence> kept;
  for (const Evidence& one : all) {
    const auto same = [&](const Evidence& other) {
      return other.by == one.by && other.index == one.index;
    };
    if (std::ranges::none_of(kept, same)) kept.push_back(one);
  }
  all = std::move(kept);
}

}  // namespace

Explanation Selection::explain(std::string_view path, bool is_directory) const {
  const auto components = catalog::split_path(path);
  if (!components) return {};
  const auto& [everything, includes, excludes, rules] = *impl_;
  PositionSet in_includes = includes.start();
  PositionSet in_excludes = excludes.start();
  RuleSet::Places in_rules = rules.start();
  std::vector<Evidence> all;
  if (everything) all.push_back({.claim = impl_->root_claim(), .by = By::kEverything, .index = 0});
  std::vector<std::string> places{""};
  for (std::uint32_t depth = 1; depth <= components->size(); ++depth) {
    const std::string& name = (*components)[depth - 1];
    const bool enters = depth < components->size() || is_directory;
    places.push_back(catalog::join_path(places.back(), name));
    for (const std::uint32_t pattern : excludes.matches_at(in_excludes, name, enters))
      all.push_back({exclude_claim(depth, pattern), By::kExclude, pattern});
    for (const std::uint32_t pattern : includes.matches_at(in_includes, name, enters))
      all.push_back({include_claim(depth, pattern), By::kInclude, pattern});
    for (const std::uint32_t rank : rules.ranks_at(in_rules, name, enters))
      all.push_back({rules.claim_of(rank, depth), By::kRule, rules.rule_of(rank)});
    in_excludes = excludes.step(in_excludes, name);
    in_includes = includes.step(in_includes, name);
    in_rules = rules.step(in_rules, name);
  }
  put_in_order(all);

  const Claim standing = all.empty() ? Claim{} : all.front().claim;
  Explanation explanation;
  if (components->empty()) {
    explanation.verdict = root_verdict();
  } else if (standing.takes) {
    explanation.verdict = Verdict::kSelected;
  } else if (is_directory &&
             may_want_below(standing, !in_includes.empty(), rules.outlook(in_rules))) {
    explanation.verdict = Verdict::kEnter;
  }
  for (const Evidence& one : all)
    explanation.matches.push_back(
        {.by = one.by, .index = one.index, .path = places[one.claim.depth]});
  return explanation;
}

}  // namespace holdfast::core
