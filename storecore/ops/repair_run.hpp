#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/writer.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/ops/moved_places.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/manifest_reader.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

/// What the parts of repair share while a catalog is built anew.
///
/// Two sources, each believed for what it alone can know. The mirror says what exists: a file's
/// inode carries its own size, times, owner and xattrs, and cannot be out of date. The manifest
/// says what can be read nowhere else: the hash of the capture, how an entry is held, and what
/// belongs to directories. So rows are made from the manifest first and then held against the
/// mirror; what the mirror has beyond them is adopted. A row keeps its hash though the file differs
/// by now: verify tells, as it would have with the old catalog.
///
/// Rejected: hashing everything anew (content that went bad would pass for the captured one), and
/// reading what a damaged catalog still gives (LMDB trusts its pages, a damaged one ends the
/// process).
namespace holdfast::core {

/// One catalog that is being built, in one thread.
struct RepairRun {
  Session& session;
  Store& store;
  catalog::Writer& writer;
  Attic& dropped;
  const Selection* selection = nullptr;  ///< null when it cannot be read
  MovedPlaces* moved = nullptr;          ///< null when no restore moved names out of the store
  /// The manifest is of the seal that the state speaks of: what it lists and the mirror lacks is
  /// missing. Otherwise it is of an earlier one, or there is none, and what follows (capture, wipe)
  /// looks at everything again.
  bool strict = true;
  /// What the rows lack was never recorded, and is not just forgotten: a stray may be dropped.
  bool rows_are_whole = false;
  std::uint64_t next_dir = 2;
  /// Hashes of the capture by path, for names whose line in manifest.jsonl is damaged.
  std::unordered_map<std::string, catalog::Digest> spare_hashes;

  std::uint64_t adopted = 0;
  std::uint64_t missing = 0;
};

/// Makes a row of every entry that manifest.jsonl in @p dir (borrowed) has, and of directories
/// whose own line is damaged, from the mirror. A manifest that is not whole is held against
/// manifest.xxh128 beside it. Sets spare_hashes and next_dir; ROOT's row is there afterwards.
[[nodiscard]] catalog::Result<ManifestRead> load_manifest_rows(RepairRun& run, DirFd dir);

/// Holds all rows against the mirror: rows without a file are listed as missing (strict) or erased,
/// names without a row are adopted. What cannot be captured, and strays that nobody wants and that
/// have their name in ROOT too, go to dropped/. Sets the tallies; not committed.
[[nodiscard]] catalog::Status match_mirror(RepairRun& run);

/// True when the mirror has a name that @p env has no row for, or that cannot be captured.
[[nodiscard]] catalog::Result<bool> has_strays(Session& session, const Store& store,
                                               const catalog::Env& env);

/// The record of a store whose state cannot be read, from what else is there: the capture id of the
/// manifest or of the store's mark, the volume as it is now, and how far a wipe came.
[[nodiscard]] catalog::Result<StoreRecord> record_from_evidence(const Session& session,
                                                                const Store& store,
                                                                const ManifestRead& manifest);
/// The last wipe that left a plan or an aside/N; 0: none.
[[nodiscard]] catalog::Result<std::uint32_t> last_wipe(const Store& store);

/// A selection that wants what the catalog holds, for a store whose own cannot be read.
[[nodiscard]] catalog::Result<SelectionSpec> selection_from_rows(const catalog::Reader& reader);

}  // namespace holdfast::core
