#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

/// One pattern of a selection, cut into components. Pure.
namespace holdfast::core {

/// One component of a pattern.
struct PatternPart {
  enum class Kind : unsigned char {
    kAnyDepth,  ///< `**`: any number of components; at the end of a pattern at least one
    kLiteral,   ///< `text`, compared byte by byte
    kGlob,      ///< `text` goes to glob_match()
  };
  Kind kind = Kind::kLiteral;
  std::string text;

  [[nodiscard]] bool matches(std::string_view name) const noexcept;
};

struct Pattern {
  std::string source;              ///< as it was given
  std::vector<PatternPart> parts;  ///< never empty; no two kAnyDepth beside each other
  bool directories_only = false;

  [[nodiscard]] bool is_last(std::size_t part) const noexcept { return part + 1 == parts.size(); }
};

/// Where a pattern stands that names no place.
enum class Anchor : unsigned char {
  kRoot,     ///< at ROOT: includes
  kNoSlash,  ///< at any depth if there is no slash before its end, as in gitignore: excludes
};

/// @return the pattern, or one clause that says what is wrong with it
[[nodiscard]] std::expected<Pattern, std::string_view> compile_pattern(std::string_view source,
                                                                       Anchor anchor);

}  // namespace holdfast::core
