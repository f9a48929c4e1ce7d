#include "storecore/rules/place_pattern.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/name.hpp"
#include "catalog/nearest.hpp"
#include "storecore/select/pattern.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {
namespace {

constexpr std::string_view kHome = "home";
constexpr auto kPlaceNames = std::to_array<std::string_view>(
    {kHome, "config", "data", "cache", "state", "desktop", "documents", "downloads", "music",
     "pictures", "videos", "templates", "public"});

PatternFault unknown_place(std::string_view name) {
  PatternFault fault{.reason = "there is no variable {" + catalog::escape_name(name) + "}",
                     .hint = "a brace that stands for itself is {{ or }}"};
  if (const auto close = catalog::nearest(name, kPlaceNames)) {
    fault.hint = std::string("did you mean {").append(*close) + "}?";
  }
  return fault;
}

/// Reads "{name}" off the front of @p text. Empty when it does not begin with one.
std::expected<std::string, PatternFault> take_place(std::string_view& text) {
  if (!text.starts_with('{') || text.starts_with("{{")) return {};
  const std::size_t close = text.find_first_of("{}", 1);
  if (close == std::string_view::npos || text[close] != '}') {
    return std::unexpected(PatternFault{.reason = "a { without its }",
                                        .hint = "a brace that stands for itself is {{ or }}"});
  }
  std::string name(text.substr(1, close - 1));
  if (std::ranges::find(kPlaceNames, name) == kPlaceNames.end()) {
    return std::unexpected(unknown_place(name));
  }
  text.remove_prefix(close + 1);
  if (!text.empty() && !text.starts_with('/')) {
    return std::unexpected(PatternFault{
        .reason = "{" + name + "} is a whole path: a / comes behind it, or nothing", .hint = {}});
  }
  return name;
}

/// Doubled braces become single ones, and there are no others.
std::expected<std::string, PatternFault> take_braces(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char byte = text[at];
    if (byte == '{' || byte == '}') {
      if (at + 1 == text.size() || text[at + 1] != byte) {
        return std::unexpected(PatternFault{
            .reason = byte == '{' ? "a { that does not begin the pattern" : "a } without its {",
            .hint = "a variable stands at the beginning; a brace that stands for itself is {{ or "
                    "}}"});
      }
      ++at;
    }
    plain.push_back(byte);
  }
  return plain;
}

}  // namespace

std::span<const std::string_view> place_names() noexcept { return kPlaceNames; }

std::expected<PlacePattern, PatternFault> parse_place_pattern(std::string_view text) {
  auto place = take_place(text);
  if (!place) return std::unexpected(std::move(place.error()));
  auto rest = take_braces(text);
  if (!rest) return std::unexpected(std::move(rest.error()));
  // Whatever the place will be, it is one or more components that say nothing special.
  const std::string sample = place->empty() ? *rest : "/place" + *rest;
  if (const auto pattern = compile_pattern(sample, Anchor::kRoot); !pattern) {
    return std::unexpected(
        PatternFault{.reason = std::string("the pattern ").append(pattern.error()), .hint = {}});
  }
  return PlacePattern{.place = std::move(*place), .rest = std::move(*rest), .position = {}};
}

std::optional<std::string> expand(const PlacePattern& pattern, const UserPlaces& places) {
  if (pattern.place.empty()) return pattern.rest;
  std::string_view path = places.home;
  if (pattern.place != kHome) {
    const auto found = places.places.find(pattern.place);
    if (found == places.places.end()) return std::nullopt;
    path = found->second;
  }
  if (!path.empty()) return "/" + escape_pattern(path) + pattern.rest;
  // ROOT itself is no name that a pattern could match. What lies in it is: a single *, so that a
  // name that another rule of the same place speaks of is stronger, as it is in any other place.
  if (!compile_pattern(pattern.rest, Anchor::kRoot)) return "/*";
  return pattern.rest;
}

}  // namespace holdfast::core
