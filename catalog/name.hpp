#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Names and paths are raw bytes from the filesystem: any byte but '/' and NUL.
namespace holdfast::catalog {

/// Longest name a record may carry, in bytes. Linux filesystems stop at 255; ntfs-3g gives UTF-8 of
/// 255 UTF-16 units, up to 765.
inline constexpr std::size_t kMaxNameBytes = 765;

/// True for one path component that may be handed to an *at() call: not empty, not "." or "..",
/// without '/' or NUL, at most kMaxNameBytes. Checked when a record is decoded and again at use.
[[nodiscard]] bool is_component(std::string_view name) noexcept;

/// Splits "a/b//c" at slashes. Empty and "." components are dropped, a leading slash is allowed.
/// nullopt when a component is ".." or holds NUL or is too long.
[[nodiscard]] std::optional<std::vector<std::string>> split_path(std::string_view path);
/// True for a path in the form in which records and journals hold it: components joined by single
/// slashes, or empty for the top.
[[nodiscard]] bool is_clean_path(std::string_view path);
[[nodiscard]] std::string join_path(std::string_view parent, std::string_view name);

/// The form in which names are printed: printable UTF-8 as it is; backslash as \\; newline, tab and
/// return as \n \t \r; every other control byte, DEL, and bytes that are not UTF-8 as \xNN; C1
/// controls, bidi controls, line and paragraph separators, and U+FEFF as the \xNN of their bytes.
/// Never holds a byte below 0x20 or a terminal escape.
[[nodiscard]] std::string escape_name(std::string_view bytes);

[[nodiscard]] bool is_utf8(std::string_view bytes) noexcept;
/// RFC 4648 base64 with padding.
[[nodiscard]] std::string to_base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace holdfast::catalog
