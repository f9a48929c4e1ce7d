#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "catalog/records.hpp"

/// Lines of the two manifests, the catalog's second copy. docs/format.md has the grammar.
namespace holdfast::catalog {

inline constexpr std::uint32_t kManifestFormat = 1;

/// A path fits into manifest.xxh128 when xxh128sum 0.8.1 can read it back: no newline, no carriage
/// return, no backslash, and short enough for the kernel. All names are in manifest.jsonl.
[[nodiscard]] bool fits_xxh128(std::string_view path) noexcept;
/// "HEX  PATH\n"; the caller checked fits_xxh128. Paths that begin with '-' or a blank,
/// and "stdin", are written "./...".
[[nodiscard]] std::string xxh128_line(const Digest& hash, std::string_view path);
void append_xxh128_line(std::string& out, const Digest& hash, std::string_view path);

/// One JSON object and '\n'. @p path is raw bytes relative to ROOT: `path` when it is UTF-8, else
/// `path` escaped and `path_b64`. Keys as in `holdfast ls --json`, plus those that only a rebuild
/// needs. A directory's subtree summary is not among them: seal computes it.
[[nodiscard]] std::string manifest_line(std::string_view path, const InodeRecord& record,
                                        bool grouped);
[[nodiscard]] std::string manifest_line(std::string_view path, const DirectoryRecord& record);
/// The same, behind what @p out holds: a seal writes millions of them.
void append_manifest_line(std::string& out, std::string_view path, const InodeRecord& record,
                          bool grouped);
void append_manifest_line(std::string& out, std::string_view path, const DirectoryRecord& record);
/// First line: {"manifest":"holdfast","format":1,"capture_id":...}; last line:
/// {"end":true,"lines":N,"xxh3":HEX64}.
[[nodiscard]] std::string manifest_header(std::string_view capture_id);
[[nodiscard]] std::string manifest_trailer(std::uint64_t lines, std::uint64_t checksum);

struct ManifestEntry {
  std::string path;  ///< raw bytes
  bool grouped = false;
  std::variant<InodeRecord, DirectoryRecord> record;
};
/// nullopt for a line this version would not have written, header and trailer included.
[[nodiscard]] std::optional<ManifestEntry> parse_manifest_line(std::string_view line);

struct ManifestHeader {
  std::uint64_t format = 0;  ///< as it stands there, newer ones included
  std::string capture_id;
};
/// nullopt for anything but a first line.
[[nodiscard]] std::optional<ManifestHeader> parse_manifest_header(std::string_view line);
struct ManifestTrailer {
  std::uint64_t lines = 0;
  std::uint64_t checksum = 0;
};
/// nullopt for anything but a last line as manifest_trailer() writes it.
[[nodiscard]] std::optional<ManifestTrailer> parse_manifest_trailer(std::string_view line);

struct Xxh128Line {
  Digest hash;
  std::string path;  ///< raw bytes
};
/// nullopt for a line that xxh128_line() would not have written.
[[nodiscard]] std::optional<Xxh128Line> parse_xxh128_line(std::string_view line);

}  // namespace holdfast::catalog
