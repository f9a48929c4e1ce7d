#include "cli/values.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace holdfast::cli {

namespace {

constexpr std::string_view kUnitLetters = "KMGTPE";
constexpr double kMostSeconds = 1000.0 * 366 * 86400;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Bits to shift by: "", "B", "K", "KB", "KiB", "M", ...
std::optional<unsigned> parse_unit(std::string_view unit) {
  if (unit.empty() || unit == "B" || unit == "b") {
    return 0;
  }
  const char letter =
      unit.front() >= 'a' ? static_cast<char>(unit.front() - 'a' + 'A') : unit.front();
  const std::size_t power = kUnitLetters.find(letter);
  const std::string_view tail = unit.substr(1);
  if (power == std::string_view::npos ||
      !(tail.empty() || tail == "iB" || tail == "B" || tail == "ib" || tail == "b")) {
    return std::nullopt;
  }
  return 10 * static_cast<unsigned>(power + 1);
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto split = static_cast<std::size_t>(
      std::ranges::find_if_not(text, [](char c) { return is_digit(c) || c == '.'; }) -
      text.begin());
  const std::string_view number = text.substr(0, split);
  const auto shift = parse_unit(text.substr(split));
  if (!shift || number.empty() || !is_digit(number.front()) || !is_digit(number.back())) {
    return std::nullopt;
  }
  const std::size_t point = number.find('.');
  const auto whole = parse_number(number.substr(0, point));
  if (!whole || (*whole << *shift) >> *shift != *whole) {
    return std::nullopt;
  }
  const std::uint64_t bytes = *whole << *shift;
  if (point == std::string_view::npos) {
    return bytes;
  }
  const std::string_view digits = number.substr(point + 1);
  if (*shift == 0 || !std::ranges::all_of(digits, is_digit)) {
    return std::nullopt;  // half a byte
  }
  double fraction = 0;
  for (std::size_t i = digits.size(); i > 0; --i) {
    fraction = (fraction + (digits[i - 1] - '0')) / 10;
  }
  const auto extra = static_cast<std::uint64_t>(std::ldexp(fraction, static_cast<int>(*shift)));
  if (bytes > UINT64_MAX - extra) {
    return std::nullopt;
  }
  return bytes + extra;
}

std::optional<double> parse_seconds(std::string_view text) {
  if (text.empty() || !is_digit(text.front())) {
    return std::nullopt;
  }
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size() || value > kMostSeconds) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::pair<std::string, std::string>> parse_pair(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return std::nullopt;
  }
  return std::pair{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

}  // namespace holdfast::cli
