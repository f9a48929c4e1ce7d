#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storecore/select/explain.hpp"
#include "storecore/select/selection.hpp"

/// What precedence is tested against: docs/rules.md read word by word, one pattern after the other,
/// without an automaton, a rank or a state. Shares glob_match() with the engine and nothing else.
namespace holdfast::test {

/// Rules and options in short, parted by blanks:
///   +PATTERN include, -PATTERN exclude, !PATTERN always_exclude; builtin unless `site` or `given`
///   stands before the sign; behind it may follow @COMPONENT:LINE:FILE:USER, of which each may be
///   missing from the right. --include=PATTERN, --exclude=PATTERN, --everything.
/// A rule without @ is of component "c", and its line is its place in the text.
struct Terse {
  core::SelectionSpec spec;
  std::vector<std::string> rules;  ///< of each rule in the spec, the text it came from
};
[[nodiscard]] Terse parse_terse(std::string_view text);

/// @param path  a trailing slash makes it a directory
[[nodiscard]] core::Explanation reference(const core::SelectionSpec& spec, std::string_view path);

/// Asks judge() and enter() from the root down, as a walk does: not below what is kUnselected.
[[nodiscard]] core::Selection::Verdict walked(const core::Selection& selection,
                                              std::string_view path);

[[nodiscard]] std::string show(const core::Explanation& explanation);

}  // namespace holdfast::test
