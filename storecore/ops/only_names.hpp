#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// What would be lost if the store went now.
struct OnlyNames {
  std::uint64_t files = 0;  ///< names in the mirror, without directories
  std::uint64_t only_here =
      0;                  ///< of which the inode has no name outside the store, nor a restored copy
  bool at_least = false;  ///< the count was cut off: there are more
  std::vector<std::string> examples;  ///< up to five paths
};
/// Walks the mirror, not the catalog: it works in every state. A name outside is ROOT's name of the
/// same path with the same inode, or a restored copy: the same type, size and mtime, and, unless
/// everything was restored, the same bytes. For what is not found so, the inode's names inside the
/// store (tree, aside, dropped, displaced, failed) are counted against its link count. An entry of
/// the store that cannot be looked at is an error. Parallel.
[[nodiscard]] catalog::Result<OnlyNames> find_only_names(Session& session, const Store& store,
                                                         Progress& progress);

}  // namespace holdfast::core
