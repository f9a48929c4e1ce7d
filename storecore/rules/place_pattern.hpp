#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// Patterns of rule files, and the places of people that they speak of. Pure.
namespace holdfast::core {

/// Where one person's things are in the captured system.
///
/// Paths are raw bytes relative to ROOT, clean in the sense of catalog::is_clean_path, without a
/// leading slash. An empty one is ROOT itself.
struct UserPlaces {
  std::string user;  ///< by name
  std::string home;
  /// "documents" to its path. What is not in here this person does not have: patterns that speak
  /// of it are left out. "home" is not looked for in here.
  std::map<std::string, std::string, std::less<>> places;
  bool operator==(const UserPlaces&) const = default;
};

/// The words that may stand in braces, without them: "home", "config", ...
[[nodiscard]] std::span<const std::string_view> place_names() noexcept;

/// Counted from 1, as editors do; columns are characters, not bytes.
struct TextPosition {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  auto operator<=>(const TextPosition&) const = default;
};

/// A pattern as somebody wrote it: `{home}/.cache`, `/etc/ssh`.
struct PlacePattern {
  std::string place;  ///< "home"; empty for a pattern of the system
  std::string rest;   ///< behind the place: empty, or from its slash on; else the whole pattern
  TextPosition position;
};

struct PatternFault {
  std::string reason;  ///< one clause
  std::string hint;    ///< empty, or the cure
};

/// Takes @p text apart. `{{` and `}}` stand for braces; a place is the first component of its
/// pattern or all of it; what comes out is a pattern that compile_pattern() takes.
[[nodiscard]] std::expected<PlacePattern, PatternFault> parse_place_pattern(std::string_view text);

/// The pattern as Selection takes it. A place becomes its path, in which every byte stands for
/// itself, with a leading slash: so it is anchored at ROOT whatever it is a pattern for.
/// @return nullopt when @p places has no such place
[[nodiscard]] std::optional<std::string> expand(const PlacePattern& pattern,
                                                const UserPlaces& places);

}  // namespace holdfast::core
