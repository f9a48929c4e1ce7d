#include "catalog/problem.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::catalog {
namespace {

// Index is the value on disk less one.
constexpr std::array<std::string_view, 11> kWords = {
    "skipped",  "missed",  "unstable", "vanished", "left",    "conflict",
    "modified", "corrupt", "missing",  "extra",    "warning",
};

}  // namespace

std::string_view to_word(ProblemKind kind) noexcept {
  const auto value = static_cast<std::size_t>(kind);
  return value >= 1 && value <= kWords.size() ? kWords[value - 1] : std::string_view("unknown");
}

std::optional<ProblemKind> problem_kind_from(std::uint8_t value) noexcept {
  if (value < 1 || value > kWords.size()) {
    return std::nullopt;
  }
  return static_cast<ProblemKind>(value);
}

}  // namespace holdfast::catalog
