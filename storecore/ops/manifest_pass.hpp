#pragma once

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/manifest_file.hpp"

namespace holdfast::core {

/// Writes a line for ROOT and one for every entry, in the order of the catalog's table of entries,
/// from a snapshot of its own: only what was committed before is in it. finish() is left to the
/// caller. Counts entries as @p progress's files. One thread.
[[nodiscard]] catalog::Status write_manifest_lines(const catalog::Env& env,
                                                   ManifestFiles& manifests, Progress& progress);

}  // namespace holdfast::core
