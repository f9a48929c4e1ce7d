#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/digest.hpp"
#include "catalog/ids.hpp"

/// Tables and keys of the catalog. Keys are big-endian, so that LMDB's byte order is numeric order.
namespace holdfast::catalog {

inline constexpr std::uint32_t kFormatVersion = 1;
/// Names up to this many bytes stand in keys whole; longer ones as their first 464 bytes, a NUL and
/// the XXH3-128 of the name, with the name itself in the value. Keeps keys below LMDB's 511. No
/// name holds a NUL and the long form is one byte longer than any short one, so they cannot be
/// confused.
inline constexpr std::size_t kMaxNameInKey = 480;
inline constexpr std::size_t kLongNamePrefix = 464;

enum class Table : std::uint8_t { kEntries, kInodes, kContent, kDirs, kOwners, kProblems, kMeta };
inline constexpr std::size_t kTables = 7;
/// "entries", "inodes", ...: the names that mdb_stat -s takes.
[[nodiscard]] const char* table_name(Table table) noexcept;

[[nodiscard]] std::string entry_key(DirId parent, std::string_view name);
[[nodiscard]] std::string dir_key(DirId id);
[[nodiscard]] std::string inode_key(InodeNo number);
[[nodiscard]] std::string content_key(const Digest& hash, std::string_view entry_key);
[[nodiscard]] std::string sequence_key(std::uint64_t sequence);

/// The parent id of an entry key; nullopt when the key is shorter than an id and one byte.
[[nodiscard]] std::optional<DirId> parent_of_key(std::string_view entry_key) noexcept;
/// True when the name did not fit into the key and stands in the value.
[[nodiscard]] bool key_has_long_name(std::string_view entry_key) noexcept;
/// What follows the parent id in the key: the name, or its prefix and hash.
[[nodiscard]] std::string_view name_part(std::string_view entry_key) noexcept;
[[nodiscard]] std::optional<std::uint64_t> decode_u64_key(std::string_view key) noexcept;

/// Keys of the `meta` table. Values are text.
namespace meta {
inline constexpr std::string_view kFormat = "format";         // decimal kFormatVersion
inline constexpr std::string_view kCaptureId = "capture_id";  // UUID, lower case
inline constexpr std::string_view kCreatedBy = "created_by";  // "holdfast 0.1.0"
inline constexpr std::string_view kIdentity = "identity";     // see docs/format.md
inline constexpr std::string_view kSelection = "selection";   // JSON
inline constexpr std::string_view kLabels = "labels";         // JSON object of strings
inline constexpr std::string_view kNextDir = "next_dir";  // decimal; ids below it were given out
}  // namespace meta

}  // namespace holdfast::catalog
