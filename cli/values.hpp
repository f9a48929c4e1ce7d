#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Values of options, as people type them. nullopt: not one.
namespace holdfast::cli {

/// "1048576", "20G", "1.5T", "512KiB": powers of 1024, either case, rounded down to whole bytes.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
/// Decimal digits only.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);
/// "30" or "0.5": not negative, at most a thousand years.
[[nodiscard]] std::optional<double> parse_seconds(std::string_view text);
/// Split at the first '='. What stands before it is not empty.
[[nodiscard]] std::optional<std::pair<std::string, std::string>> parse_pair(std::string_view text);

}  // namespace holdfast::cli
