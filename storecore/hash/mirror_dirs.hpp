#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>

#include "catalog/ids.hpp"
#include "catalog/reader.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// From directory ids of the catalog to directories of the mirror, opened through their parents and
/// kept for a while. One thread; the nodes that it gives out may be used by any.
class MirrorDirs {
 public:
  /// @p tree is the mirror's top (or the place where a restored tree stands).
  explicit MirrorDirs(std::shared_ptr<DirNode> tree);
  /// The node of @p id; not opened yet. kCatalogBad when the catalog has no way from the root to
  /// it.
  [[nodiscard]] catalog::Result<std::shared_ptr<DirNode>> find(const catalog::Reader& reader,
                                                               catalog::DirId id);
  /// Forgets everything but the top, once more than @p nodes are kept.
  void trim(std::size_t nodes);

 private:
  std::shared_ptr<DirNode> tree_;
  std::unordered_map<std::uint64_t, std::shared_ptr<DirNode>> nodes_;
};

}  // namespace holdfast::core
