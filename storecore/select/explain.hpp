#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "storecore/select/selection.hpp"

/// Why a path is or is not selected. Pure.
namespace holdfast::core {

struct Explanation {
  /// What matched.
  enum class By : std::uint8_t {
    kExclude,     ///< SelectionSpec::exclude[index]
    kInclude,     ///< SelectionSpec::include[index]
    kEverything,  ///< SelectionSpec::everything; index is 0
    kRule,        ///< SelectionSpec::rules[index]
  };
  struct Match {
    By by = By::kRule;
    std::size_t index = 0;
    /// The path that was matched, as components joined by slashes: the one that was asked for or a
    /// directory above it; empty for ROOT.
    std::string path;
    bool operator==(const Match&) const = default;
  };

  Selection::Verdict verdict = Selection::Verdict::kUnselected;
  /// All that match the path or a directory above it, each where it matches nearest, in the order
  /// of precedence: the first has decided. Empty: nothing matches, hence nothing is taken.
  std::vector<Match> matches;

  [[nodiscard]] const Match* decided_by() const noexcept {
    return matches.empty() ? nullptr : &matches.front();
  }
};

}  // namespace holdfast::core
