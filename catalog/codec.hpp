#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/problem.hpp"
#include "catalog/records.hpp"

/// Bytes of catalog rows. Encoders write little-endian values behind a version byte; decoders read
/// with bounds checks and return nullopt for anything that this version would not have written:
/// wrong version, short or trailing bytes, unknown enum values, a name that is no component, a mode
/// above 07777, nanoseconds out of range. They never read past the view and never throw but
/// bad_alloc.
namespace holdfast::catalog {

inline constexpr std::uint8_t kRecordVersion = 1;

[[nodiscard]] std::string encode(const InodeRecord& record);
[[nodiscard]] std::optional<InodeRecord> decode_inode(std::string_view value);

[[nodiscard]] std::string encode(const Directory& directory);
/// @p id comes from the key.
[[nodiscard]] std::optional<Directory> decode_directory(DirId id, std::string_view value);

/// @p entry 's name goes into the value only when the key cannot carry it (see schema.hpp).
[[nodiscard]] std::string encode(const Entry& entry);
/// @p key is the whole key of the row. A grouped entry's inode record stays empty.
[[nodiscard]] std::optional<Entry> decode_entry(std::string_view key, std::string_view value);

[[nodiscard]] std::string encode(const Problem& problem);
[[nodiscard]] std::optional<Problem> decode_problem(std::string_view value);

}  // namespace holdfast::catalog
