#pragma once

#include "storecore/select/pattern_list.hpp"
#include "storecore/select/precedence.hpp"
#include "storecore/select/rule_set.hpp"
#include "storecore/select/selection.hpp"

/// What Selection is made of. For selection.cpp and explain.cpp only.
namespace holdfast::core {

struct Selection::Impl {
  bool everything;
  PatternList includes;
  PatternList excludes;
  RuleSet rules;

  /// What holds for ROOT and, until something matches, below it.
  [[nodiscard]] Claim root_claim() const noexcept;
};

/// What matching patterns of the command line claim at @p depth; of two the first given is named.
[[nodiscard]] constexpr Claim exclude_claim(std::uint32_t depth, std::uint32_t index) noexcept {
  return {.step = Step::kExcluded, .takes = false, .depth = depth, .rank = index};
}
[[nodiscard]] constexpr Claim include_claim(std::uint32_t depth, std::uint32_t index) noexcept {
  return {.step = Step::kIncluded, .takes = true, .depth = depth, .rank = index};
}

}  // namespace holdfast::core
