#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"

/// Values and messages as people read them. Pure; names come out escaped.
namespace holdfast::cli {

/// "0 B", "1023 B", "1.4 GiB".
[[nodiscard]] std::string human_size(std::uint64_t bytes);
/// "1,234,567".
[[nodiscard]] std::string human_count(std::uint64_t count);
/// "0.2 s", "41 s", "3 min 20 s", "2 h 05 min".
[[nodiscard]] std::string human_duration(double seconds);
/// "2024-01-02T03:04:05Z"; "@SECONDS" for years that have no four digits.
[[nodiscard]] std::string iso_time(const catalog::Timestamp& time);
/// "-rwsr-xr-x", as ls(1) shows it.
[[nodiscard]] std::string mode_text(catalog::FileType type, std::uint32_t mode);
/// @p text broken at blanks so that no line is longer than @p width, where words allow it; every
/// line but the first begins with @p indent blanks, which count.
[[nodiscard]] std::string wrapped(std::string_view text, unsigned width, unsigned indent);

/// Terminal colours, or nothing.
enum class Colour : std::uint8_t { kRed, kYellow, kGreen, kBold };
[[nodiscard]] std::string painted(bool colour, Colour with, std::string_view text);

/// @p text as one word of a command line that a shell can be given; not for bytes that need
/// escaping.
[[nodiscard]] std::string shell_word(std::string_view text);

/// "missed: home/al/x: Permission denied (openat)". @p place is what stands before the path, e.g.
/// the volume when there are several; may be empty.
[[nodiscard]] std::string problem_text(const catalog::Problem& problem, std::string_view place,
                                       bool colour);

/// "holdfast: wipe: refused [not-sealed]: ..." and "hint: ..." behind it, if there is one.
[[nodiscard]] std::vector<std::string> error_text(std::string_view command,
                                                  const catalog::Error& error,
                                                  std::string_view place);

}  // namespace holdfast::cli
