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

namespace holdfast::core {

using catalog::Result;

struct Selection::Impl {
  bool everything;
  PatternList includes;
  PatternList excludes;
};

struct Selection::State::Positions {
  bool included =
      false;  ///< this directory is wanted, hence everything below that no exclude takes
  PositionSet includes;
  PositionSet excludes;
  bool operator==(const Positions&) const = default;

  [[nodiscard]] bool takes_all() const noexcept {
    return included && includes.empty() && excludes.empty();
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
  return Selection(std::make_unique<Impl>(Impl{.everything = spec.everything,
                                               .includes = std::move(*includes),
                                               .excludes = std::move(*excludes)}));
}

Selection::State Selection::root() const {
  auto positions = std::make_shared<State::Positions>();
  positions->included = impl_->everything;
  positions->includes = impl_->includes.start();
  positions->excludes = impl_->excludes.start();
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
  const bool wanted = impl_->includes.match(at.includes, name, is_directory);
  if (wanted || at.included) return Verdict::kSelected;
  if (is_directory && impl_->includes.leads_on(at.includes, name)) return Verdict::kEnter;
  return Verdict::kUnselected;
}

Selection::State Selection::enter(const State& parent, std::string_view name) const {
  if (parent.takes_all_) return parent;
  const State::Positions& at = *parent.positions_;
  State::Positions inside;
  inside.included = at.included || impl_->includes.match(at.includes, name, true);
  inside.includes = impl_->includes.step(at.includes, name);
  inside.excludes = impl_->excludes.step(at.excludes, name);
  if (inside.included) impl_->includes.drop_matched(inside.includes);
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
