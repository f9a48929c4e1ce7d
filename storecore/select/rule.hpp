#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// One pattern of a rule file, resolved for one captured system. Pure.
namespace holdfast::core {

/// What a rule says of what it matches. Frozen: stored as "include", "exclude", "always_exclude".
enum class RuleEffect : std::uint8_t { kInclude, kExclude, kAlwaysExclude };

/// Where a rule comes from. Frozen: stored as "builtin" (installed with holdfast), "site"
/// (/etc/holdfast/rules.d), "given" (--rules FILE).
enum class RuleLayer : std::uint8_t { kBuiltin, kSite, kGiven };

/// The words above: what is stored and shown, in the order of the enumerators. Frozen.
inline constexpr std::array<std::string_view, 3> kEffectWords{"include", "exclude",
                                                              "always_exclude"};
inline constexpr std::array<std::string_view, 3> kLayerWords{"builtin", "site", "given"};
[[nodiscard]] constexpr std::string_view to_word(RuleEffect effect) noexcept {
  return kEffectWords[static_cast<std::size_t>(effect)];
}
[[nodiscard]] constexpr std::string_view to_word(RuleLayer layer) noexcept {
  return kLayerWords[static_cast<std::size_t>(layer)];
}

/// A rule as it is stored with the capture. Which of several decides: docs/rules.md.
struct SelectionRule {
  RuleEffect effect = RuleEffect::kInclude;
  RuleLayer layer = RuleLayer::kBuiltin;
  /// As in Selection, fully expanded; variables' values escaped (see escape_pattern). An include
  /// is anchored like --include, an exclude of either kind like --exclude.
  std::string pattern;
  std::string component;   ///< "firefox"
  std::string kind;        ///< "user" "system" "application" "documents"
  std::string user;        ///< whose home it was expanded for, by name; empty for system rules
  std::string file;        ///< name of the rule file, e.g. "browsers.toml"
  std::uint32_t line = 0;  ///< 1-based, of the pattern in that file
  bool operator==(const SelectionRule&) const = default;
};

/// Bytes that match themselves only, as part of a pattern: escapes * ? [ ] \ and leading !
[[nodiscard]] std::string escape_pattern(std::string_view bytes);

}  // namespace holdfast::core
