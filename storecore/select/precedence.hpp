#pragma once

#include <cstdint>
#include <vector>

#include "storecore/select/pattern.hpp"
#include "storecore/select/rule.hpp"

/// Which of several matches decides: the total order of docs/rules.md, in this one place. Pure.
namespace holdfast::core {

/// What a match is decided by before anything else, the strongest first.
enum class Step : std::uint8_t {
  kExcluded,        ///< --exclude
  kIncluded,        ///< --include, --everything
  kAlwaysExcluded,  ///< a rule's always_exclude
  kRule,            ///< any other rule
  kNothing,         ///< no match
};

/// One match at a path or at a directory above it.
struct Claim {
  Step step = Step::kNothing;
  bool takes = false;
  std::uint32_t depth = 0;  ///< where it matched: how far from ROOT; only compared
  std::uint32_t rank = 0;   ///< among those of one step at one place; the lower is the stronger
  bool operator==(const Claim&) const = default;
};

/// The order itself: the step, then the nearer to the path, then the rank.
[[nodiscard]] constexpr bool stronger(const Claim& a, const Claim& b) noexcept {
  if (a.step != b.step) return a.step < b.step;
  if (a.depth != b.depth) return a.depth > b.depth;
  return a.rank < b.rank;
}
[[nodiscard]] constexpr const Claim& stronger_of(const Claim& a, const Claim& b) noexcept {
  return stronger(b, a) ? b : a;
}

/// What rules may still do below a directory.
struct Outlook {
  bool include = false;
  bool exclude = false;  ///< of either kind
  Outlook& operator|=(Outlook other) noexcept {
    include = include || other.include;
    exclude = exclude || other.exclude;
    return *this;
  }
};

/// True when something below a directory may be wanted that is not wanted itself. @p standing is
/// what decided about the directory.
[[nodiscard]] constexpr bool may_want_below(const Claim& standing, bool includes_lead_on,
                                            Outlook rules) noexcept {
  switch (standing.step) {
    case Step::kExcluded:
      return false;
    case Step::kAlwaysExcluded:
      return includes_lead_on;
    default:
      return includes_lead_on || rules.include;
  }
}

/// True when no rule that matches below can change what @p standing says of everything there.
[[nodiscard]] constexpr bool is_beyond_rules(const Claim& standing, Outlook rules) noexcept {
  if (standing.step < Step::kRule) return true;
  return standing.takes ? !rules.exclude : !rules.include;
}

[[nodiscard]] constexpr Step step_of(RuleEffect effect) noexcept {
  return effect == RuleEffect::kAlwaysExclude ? Step::kAlwaysExcluded : Step::kRule;
}

/// The rules as indexes, those that win where several match at one place first: always_exclude
/// before the others, then layer, last component, components without a wildcard, effect; and for a
/// name to give, component, line, file, user, pattern, place in the list.
/// @param patterns  of each rule, compiled
[[nodiscard]] std::vector<std::uint32_t> rank_rules(const std::vector<SelectionRule>& rules,
                                                    const std::vector<Pattern>& patterns);

}  // namespace holdfast::core
