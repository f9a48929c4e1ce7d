#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "catalog/error.hpp"
#include "catalog/manifest.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

/// What is to be thought of a manifest after it was read to its end.
struct ManifestRead {
  bool found = false;
  bool whole = false;  ///< header and trailer are there, and the trailer's sum is of what was read
  std::uint64_t format = 0;     ///< of the header; 0: no header that can be read
  std::string capture_id;       ///< of the header
  std::uint64_t entries = 0;    ///< lines that were given to the visitor
  std::uint64_t bad_lines = 0;  ///< neither header nor trailer nor an entry of ours
};
using ManifestVisitor = std::function<catalog::Status(catalog::ManifestEntry&& entry)>;

/// Reads manifest.jsonl line by line, in bounded memory. No line depends on another: one that is
/// damaged is counted and left out, and the next is read. A missing file is no error. One thread.
/// @param dir borrowed
[[nodiscard]] catalog::Result<ManifestRead> read_manifest(DirFd dir, const char* name,
                                                          const ManifestVisitor& visit);
/// manifest.xxh128 in the same way; lines that are none of ours are left out.
[[nodiscard]] catalog::Status read_manifest_hashes(
    DirFd dir, const char* name,
    const std::function<catalog::Status(catalog::Xxh128Line&& line)>& visit);

}  // namespace holdfast::core
