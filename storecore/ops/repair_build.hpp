#pragma once

#include "catalog/error.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/manifest_reader.hpp"
#include "storecore/store/store.hpp"

/// The catalog file of a repair: built aside, swapped in, recorded.
namespace holdfast::core {

/// Reads manifest.jsonl to its end. kCatalogBad "newer-format" when its format is not known.
[[nodiscard]] catalog::Result<ManifestRead> look_at_manifest(const Store& store);
/// Both manifests are there and say the same, and manifest.jsonl is this capture's and whole.
[[nodiscard]] catalog::Result<bool> are_manifests_whole(const Store& store);
/// Writes both manifests from a sealed catalog that was found sound.
[[nodiscard]] catalog::Status rewrite_manifests(Session& session, const Store& store);
/// An unsealed catalog is byte by byte the one that the last repair made.
[[nodiscard]] bool is_rebuilt(const Store& store);

/// What a killed repair leaves in catalog/.
[[nodiscard]] bool has_leftovers(const Store& store);
void remove_leftovers(const Store& store);

struct RebuildOptions {
  bool from_catalog = false;  ///< the old catalog is sound: it is copied, and strays are added
  bool lost_state = false;
  const SelectionSpec* selection = nullptr;  ///< null: it is lost, and made from the rows
};
struct RebuildOutcome {
  bool incomplete = false;  ///< hashes of the capture, or the selection, are lost: listed
};
/// Builds a catalog from manifests and mirror, or from the old one and the mirror, and puts it into
/// the old one's place. The store is writable. Sealed states are sealed again; the others are left
/// for capture or wipe to go on from (`linked` becomes `capturing`, which looks at everything).
/// Sets counts kAdopted, kMissing, kRehashed, kDropped.
[[nodiscard]] catalog::Result<RebuildOutcome> rebuild_catalog(Session& session, Store& store,
                                                              const RebuildOptions& options);

}  // namespace holdfast::core
