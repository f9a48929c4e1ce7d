#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "storecore/hash/hash_pass.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/catalog_feed.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

enum class VanishPolicy : std::uint8_t {
  kDrop,         ///< an explicit capture: what the source no longer has moves to dropped/
  kOnlyRenamed,  ///< wipe's refresh: only names whose inode is held under a new name go; the rest
                 ///< stays, listed
};

struct VanishOutcome {
  std::uint64_t dropped = 0;  ///< catalogued entries let go of, with all below
  bool refused = false;       ///< more than half would have gone: nothing was dropped
  /// Mirror directories that lost a name: their times are to be set again.
  std::vector<std::pair<catalog::DirId, std::shared_ptr<DirNode>>> touched;
  std::vector<KnownContent>
      known;  ///< hashes of what vanished, by inode: a renamed tree is not hashed again
};

/// Deals with catalogued entries that the walk did not find. Runs after the walk, before
/// feed.finish(). One thread.
///
/// @param new_inodes what got new names in this walk; sorted here
/// @param allow_many drop more than half of the catalog
[[nodiscard]] catalog::Result<VanishOutcome> settle_vanished(Session& session, Store& store,
                                                             catalog::Env& env, CatalogFeed& feed,
                                                             Attic& dropped,
                                                             std::vector<Vanished>& vanished,
                                                             std::vector<std::uint64_t>& new_inodes,
                                                             VanishPolicy policy, bool allow_many);

}  // namespace holdfast::core
