#include "storecore/select/precedence.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <tuple>
#include <vector>

#include "storecore/select/pattern.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {
namespace {

/// Compared member by member; the smaller wins.
using RuleKey = std::tuple<Step, int, bool, std::ptrdiff_t, bool, std::string_view, std::uint32_t,
                           std::string_view, std::string_view, std::string_view>;

RuleKey key_of(const SelectionRule& rule, const Pattern& pattern) {
  constexpr auto is_literal = [](const PatternPart& part) {
    return part.kind == PatternPart::Kind::kLiteral;
  };
  const std::ptrdiff_t literals = std::ranges::count_if(pattern.parts, is_literal);
  return {step_of(rule.effect),
          -static_cast<int>(rule.layer),
          !is_literal(pattern.parts.back()),
          -literals,
          rule.effect == RuleEffect::kInclude,
          rule.component,
          rule.line,
          rule.file,
          rule.user,
          rule.pattern};
}

}  // namespace

std::vector<std::uint32_t> rank_rules(const std::vector<SelectionRule>& rules,
                                      const std::vector<Pattern>& patterns) {
  std::vector<RuleKey> keys;
  keys.reserve(rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) keys.push_back(key_of(rules[i], patterns[i]));
  std::vector<std::uint32_t> order(rules.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, {},
                           [&](std::uint32_t rule) -> const RuleKey& { return keys[rule]; });
  return order;
}

}  // namespace holdfast::core
