#include "storecore/select/pattern_list.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
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
using Kind = PatternPart::Kind;

bool stays(const Pattern& pattern, Position position) noexcept {
  return pattern.parts[position.part].kind == Kind::kAnyDepth;
}

bool moves_on(const Pattern& pattern, Position position, std::string_view name) noexcept {
  return !stays(pattern, position) && !pattern.is_last(position.part) &&
         pattern.parts[position.part].matches(name);
}

}  // namespace

Result<PatternList> PatternList::compile(const std::vector<std::string>& sources, Anchor anchor) {
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

PositionSet PatternList::start() const {
  PositionSet positions;
  for (std::uint32_t i = 0; i < patterns_.size(); ++i) add({.pattern = i, .part = 0}, positions);
  return positions;
}

bool PatternList::match(std::span<const Position> from, std::string_view name,
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

std::vector<std::uint32_t> PatternList::matches_at(std::span<const Position> from,
                                                   std::string_view name, bool is_directory) const {
  std::vector<std::uint32_t> patterns;
  for (const Position position : from) {
    if (ends_at(position, name, is_directory)) patterns.push_back(position.pattern);
  }
  return patterns;
}

bool PatternList::leads_on(std::span<const Position> from, std::string_view name) const {
  return std::ranges::any_of(from, [&](Position position) {
    const Pattern& pattern = patterns_[position.pattern];
    return stays(pattern, position) || moves_on(pattern, position, name);
  });
}

PositionSet PatternList::step(std::span<const Position> from, std::string_view name) const {
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

void PatternList::drop_matched(PositionSet& positions) const {
  std::erase_if(positions, [&](Position position) {
    return matched_[position.pattern].load(std::memory_order_relaxed);
  });
}

std::vector<std::string> PatternList::unmatched() const {
  std::vector<std::string> sources;
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (!matched_[i].load(std::memory_order_relaxed)) sources.push_back(patterns_[i].source);
  }
  return sources;
}

void PatternList::add(Position position, PositionSet& positions) const {
  const Pattern& pattern = patterns_[position.pattern];
  positions.push_back(position);
  if (stays(pattern, position) && !pattern.is_last(position.part)) {
    positions.push_back({.pattern = position.pattern, .part = position.part + 1});
  }
}

bool PatternList::ends_at(Position position, std::string_view name,
                          bool is_directory) const noexcept {
  const Pattern& pattern = patterns_[position.pattern];
  return pattern.is_last(position.part) && (is_directory || !pattern.directories_only) &&
         pattern.parts[position.part].matches(name);
}

}  // namespace holdfast::core
