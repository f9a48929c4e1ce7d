#include "storecore/select/selection.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/select/pattern.hpp"

// Design
//
// All patterns run side by side as one nondeterministic automaton over path components. A
// directory's state is the set of positions (pattern, part) at which its name leaves them: part p
// means that the parts before p have been matched. A position at a `**` that is not the last part
// stands for itself and, since it may match nothing, for the part behind it. So a name costs one
// comparison for each position, whatever the depth, and a directory none of whose names can matter
// has no positions at all.
//
// Includes are followed below an included directory too, but only those that matched nothing yet:
// so that `--include home --include home/al` does not call the second one unmatched, and so that
// most directories still need no look at their names.
namespace holdfast::core {
namespace {

using catalog::Result;
using nlohmann::json;
using Kind = PatternPart::Kind;

struct Position {
  std::uint32_t pattern = 0;
  std::uint32_t part = 0;
  auto operator<=>(const Position&) const = default;
};
using PositionSet = std::vector<Position>;  // sorted, each once

/// A list of patterns, and which of them were ever found to match.
class PatternList {
 public:
  [[nodiscard]] static Result<PatternList> compile(const std::vector<std::string>& sources,
                                                   Anchor anchor) {
    PatternList list;
    for (const std::string& source : sources) {
      auto pattern = compile_pattern(source, anchor);
      if (!pattern) {
        return catalog::fail(catalog::Fault::kUsage, source,
                             std::string("the pattern ").append(pattern.error()));
      }
      list.patterns_.push_back(std::move(*pattern));
    }
    list.matched_ = std::make_unique<std::atomic<bool>[]>(list.patterns_.size());
    return list;
  }

  [[nodiscard]] PositionSet start() const {
    PositionSet positions;
    for (std::uint32_t i = 0; i < patterns_.size(); ++i) add({.pattern = i, .part = 0}, positions);
    return positions;
  }

  /// True when a pattern ends at @p name. Notes all that do.
  [[nodiscard]] bool match(std::span<const Position> from, std::string_view name,
                           bool is_directory) const {
    bool any = false;
    for (const Position position : from) {
      if (!ends_at(position, name, is_directory)) continue;
      any = true;
      // No order is needed: the flags are read when the threads that set them have been joined, or
      // to save work.
      std::atomic<bool>& flag = matched_[position.pattern];
      if (!flag.load(std::memory_order_relaxed)) flag.store(true, std::memory_order_relaxed);
    }
    return any;
  }

  /// True when a pattern may end below the directory @p name.
  [[nodiscard]] bool leads_on(std::span<const Position> from, std::string_view name) const {
    return std::ranges::any_of(from, [&](Position position) {
      const Pattern& pattern = patterns_[position.pattern];
      return stays(pattern, position) || moves_on(pattern, position, name);
    });
  }

  [[nodiscard]] PositionSet step(std::span<const Position> from, std::string_view name) const {
    PositionSet positions;
    for (const Position position : from) {
      const Pattern& pattern = patterns_[position.pattern];
      if (stays(pattern, position)) add(position, positions);
      if (moves_on(pattern, position, name)) {
        add({.pattern = position.pattern, .part = position.part + 1}, positions);
      }
    }
    std::ranges::sort(positions);
    const auto repeated = std::ranges::unique(positions);
    positions.erase(repeated.begin(), repeated.end());
    return positions;
  }

  void drop_matched(PositionSet& positions) const {
    std::erase_if(positions, [&](Position position) {
      return matched_[position.pattern].load(std::memory_order_relaxed);
    });
  }

  [[nodiscard]] std::vector<std::string> unmatched() const {
    std::vector<std::string> sources;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (!matched_[i].load(std::memory_order_relaxed)) sources.push_back(patterns_[i].source);
    }
    return sources;
  }

 private:
  /// The position and what it stands for beside itself.
  void add(Position position, PositionSet& positions) const {
    const Pattern& pattern = patterns_[position.pattern];
    positions.push_back(position);
    if (stays(pattern, position) && !pattern.is_last(position.part)) {
      positions.push_back({.pattern = position.pattern, .part = position.part + 1});
    }
  }

  static bool stays(const Pattern& pattern, Position position) noexcept {
    return pattern.parts[position.part].kind == Kind::kAnyDepth;
  }

  static bool moves_on(const Pattern& pattern, Position position, std::string_view name) noexcept {
    return !stays(pattern, position) && !pattern.is_last(position.part) &&
           pattern.parts[position.part].matches(name);
  }

  [[nodiscard]] bool ends_at(Position position, std::string_view name,
                             bool is_directory) const noexcept {
    const Pattern& pattern = patterns_[position.pattern];
    return pattern.is_last(position.part) && (is_directory || !pattern.directories_only) &&
           pattern.parts[position.part].matches(name);
  }

  std::vector<Pattern> patterns_;
  std::unique_ptr<std::atomic<bool>[]> matched_;
};

/// A pattern is bytes, JSON text is UTF-8: {"base64": "..."} is for the others.
json to_value(const std::string& pattern) {
  if (catalog::is_utf8(pattern)) return pattern;
  return json{{"base64", catalog::to_base64(pattern)}};
}

json to_value(const std::vector<std::string>& patterns) {
  json values = json::array();
  for (const std::string& pattern : patterns) values.push_back(to_value(pattern));
  return values;
}

std::optional<std::string> to_pattern(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object() || value.size() != 1) return std::nullopt;
  const auto encoded = value.find("base64");
  if (encoded == value.end() || !encoded->is_string()) return std::nullopt;
  return catalog::from_base64(encoded->get_ref<const std::string&>());
}

bool read_patterns(const json& object, const char* key, std::vector<std::string>& patterns) {
  const auto values = object.find(key);
  if (values == object.end() || !values->is_array()) return false;
  for (const json& value : *values) {
    auto pattern = to_pattern(value);
    if (!pattern) return false;
    patterns.push_back(std::move(*pattern));
  }
  return true;
}

}  // namespace

std::string to_json(const SelectionSpec& spec) {
  return json{{"everything", spec.everything},
              {"include", to_value(spec.include)},
              {"exclude", to_value(spec.exclude)}}
      .dump();
}

std::optional<SelectionSpec> selection_from_json(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  // A member that this version does not know could change what the others mean.
  if (!object.is_object() || object.size() != 3) return std::nullopt;
  const auto everything = object.find("everything");
  if (everything == object.end() || !everything->is_boolean()) return std::nullopt;
  SelectionSpec spec;
  spec.everything = everything->get<bool>();
  if (!read_patterns(object, "include", spec.include)) return std::nullopt;
  if (!read_patterns(object, "exclude", spec.exclude)) return std::nullopt;
  return spec;
}

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
