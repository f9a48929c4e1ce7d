#include "storecore/select/selection.hpp"

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/select/pattern.hpp"
#include "storecore/select/pattern_list.hpp"
#include "storecore/select/precedence.hpp"
#include "storecore/select/rule_set.hpp"
#include "storecore/select/selection_impl.hpp"

namespace holdfast::core {

using catalog::Result;

struct Selection::State::Positions {
  Claim standing;  ///< what decided about this directory, and decides below until something matches
  PositionSet includes;
  PositionSet excludes;
  RuleSet::Places rules;  ///< empty too where no rule can change what is standing
  /// Of `standing` only the step and the verdict: in a state there is nothing else.
  [[nodiscard]] bool operator==(const Positions& other) const noexcept {
    return standing.step == other.standing.step && standing.takes == other.standing.takes &&
           includes == other.includes && excludes == other.excludes && rules == other.rules;
  }
  [[nodiscard]] bool takes_all() const noexcept {
    return standing.takes && includes.empty() && excludes.empty() && rules.empty();
  }
};

Selection::Selection(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Selection::Selection(Selection&&) noexcept = default;
Selection& Selection::operator=(Selection&&) noexcept = default;
Selection::~Selection() = default;

Result<Selection> Selection::compile(const SelectionSpec& spec) {
  auto includes = PatternList::compile(spec.include, Anchor::kRoot);
  if (!includes) return std::unexpected(std::move(includes.error()));
  auto excludes = PatternList::compile(spec.exclude, Anchor::kNoSlash);
  if (!excludes) return std::unexpected(std::move(excludes.error()));
  auto rules = RuleSet::compile(spec.rules);
  if (!rules) return std::unexpected(std::move(rules.error()));
  return Selection(std::make_unique<Impl>(Impl{.everything = spec.everything,
                                               .includes = std::move(*includes),
                                               .excludes = std::move(*excludes),
                                               .rules = std::move(*rules)}));
}

Claim Selection::Impl::root_claim() const noexcept {
  // At ROOT nothing else matches; an include that is spelt out is nearer, and named instead.
  return everything ? include_claim(0, 0) : Claim{};
}

Selection::State Selection::root() const {
  auto positions = std::make_shared<State::Positions>();
  positions->standing = impl_->root_claim();
  positions->includes = impl_->includes.start();
  positions->excludes = impl_->excludes.start();
  positions->rules = impl_->rules.start();
  if (is_beyond_rules(positions->standing, impl_->rules.outlook(positions->rules)))
    positions->rules.clear();
  State state;
  state.takes_all_ = positions->takes_all();
  state.positions_ = std::move(positions);
  return state;
}

Selection::Verdict Selection::root_verdict() const noexcept {
  return impl_->everything ? Verdict::kSelected : Verdict::kEnter;
}

Selection::Verdict Selection::judge(const State& parent, std::string_view name,
                                    bool is_directory) const {
  if (parent.takes_all_) return Verdict::kSelected;
  const State::Positions& at = *parent.positions_;
  // An include whose every match is excluded selects nothing, and is not noted as matched.
  if (impl_->excludes.match(at.excludes, name, is_directory)) return Verdict::kUnselected;
  Claim standing = at.standing;
  if (impl_->includes.match(at.includes, name, is_directory))
    standing = stronger_of(standing, include_claim(1, 0));
  Outlook outlook;
  if (!at.rules.empty() && standing.step != Step::kIncluded) {
    const auto found = impl_->rules.find(at.rules, name, is_directory);
    standing = stronger_of(standing, found.claim);
    outlook = found.outlook;
  }
  if (standing.takes) return Verdict::kSelected;
  if (is_directory &&
      may_want_below(standing, impl_->includes.leads_on(at.includes, name), outlook))
    return Verdict::kEnter;
  return Verdict::kUnselected;
}

Selection::State Selection::enter(const State& parent, std::string_view name) const {
  if (parent.takes_all_) return parent;
  const State::Positions& at = *parent.positions_;
  State::Positions inside;
  inside.standing = at.standing;
  if (inside.standing.step != Step::kIncluded && impl_->includes.match(at.includes, name, true))
    inside.standing = stronger_of(inside.standing, include_claim(1, 0));
  if (!at.rules.empty() && inside.standing.step != Step::kIncluded) {
    const auto found = impl_->rules.find(at.rules, name, true);
    inside.standing = stronger_of(inside.standing, found.claim);
    if (!is_beyond_rules(inside.standing, found.outlook))
      inside.rules = impl_->rules.step(at.rules, name);
  }
  // Seen from below only the step and the verdict count: what matches there is nearer.
  inside.standing.depth = 0;
  inside.standing.rank = 0;
  inside.includes = impl_->includes.step(at.includes, name);
  inside.excludes = impl_->excludes.step(at.excludes, name);
  if (inside.standing.takes && inside.rules.empty()) impl_->includes.drop_matched(inside.includes);
  // Patterns that match at any depth leave most directories where their parent stands.
  if (inside == at) return parent;
  State state;
  state.takes_all_ = inside.takes_all();
  state.positions_ = std::make_shared<const State::Positions>(std::move(inside));
  return state;
}

std::vector<std::string> Selection::unmatched_includes() const {
  return impl_->includes.unmatched();
}

std::vector<std::string> Selection::unmatched_excludes() const {
  return impl_->excludes.unmatched();
}

}  // namespace holdfast::core
