#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

/// UTF-8 of RFC 3629, for what reads and prints text: names, manifests, rule files.
namespace holdfast::catalog {

struct CodePoint {
  char32_t value;
  std::size_t bytes;
};

/// The code point at the start of @p text; nullopt when the bytes there are not UTF-8: overlong
/// forms, surrogates, values above U+10FFFF, stray or missing continuation bytes, or nothing at
/// all.
[[nodiscard]] std::optional<CodePoint> first_code_point(std::string_view text) noexcept;

/// How many bytes at the start of @p text are ASCII that stands for itself everywhere: neither
/// controls nor `"` nor a backslash. Eight at a time: nearly every name is of this kind from end to
/// end.
[[nodiscard]] std::size_t plain_bytes(std::string_view text) noexcept;

/// True for what a terminal would act on or hide instead of showing it: C0, DEL, C1, controls of
/// writing direction, line and paragraph separators, the byte order mark. All lie in the BMP.
[[nodiscard]] constexpr bool is_control(char32_t c) noexcept {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

}  // namespace holdfast::catalog
