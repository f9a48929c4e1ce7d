#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/select/pattern.hpp"

/// The patterns of one option of the command line, followed from directory to directory. Pure.
/// Called by Selection, from any thread.
namespace holdfast::core {

/// The parts of a pattern before `part` have been matched.
struct Position {
  std::uint32_t pattern = 0;
  std::uint32_t part = 0;
  auto operator<=>(const Position&) const = default;
};
using PositionSet = std::vector<Position>;  // sorted, each once

/// A list of patterns, and which of them were ever found to match.
class PatternList {
 public:
  [[nodiscard]] static catalog::Result<PatternList> compile(const std::vector<std::string>& sources,
                                                            Anchor anchor);

  [[nodiscard]] PositionSet start() const;

  /// True when a pattern ends at @p name. Notes all that do.
  [[nodiscard]] bool match(std::span<const Position> from, std::string_view name,
                           bool is_directory) const;

  /// All patterns that end at @p name, as indexes; one may come twice. Notes nothing.
  [[nodiscard]] std::vector<std::uint32_t> matches_at(std::span<const Position> from,
                                                      std::string_view name,
                                                      bool is_directory) const;

  /// True when a pattern may end below the directory @p name.
  [[nodiscard]] bool leads_on(std::span<const Position> from, std::string_view name) const;

  [[nodiscard]] PositionSet step(std::span<const Position> from, std::string_view name) const;

  void drop_matched(PositionSet& positions) const;

  [[nodiscard]] std::vector<std::string> unmatched() const;

 private:
  /// The position and what it stands for beside itself.
  void add(Position position, PositionSet& positions) const;
  [[nodiscard]] bool ends_at(Position position, std::string_view name,
                             bool is_directory) const noexcept;

  std::vector<Pattern> patterns_;
  std::unique_ptr<std::atomic<bool>[]> matched_;
};

}  // namespace holdfast::core
