#pragma once

#include <optional>
#include <span>
#include <string_view>

/// What somebody meant who mistyped a word: for the hints of error messages. Pure.
namespace holdfast::catalog {

/// The candidate that differs least from @p word, if one is close enough to be meant.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view word,
                                                      std::span<const std::string_view> candidates);

}  // namespace holdfast::catalog
