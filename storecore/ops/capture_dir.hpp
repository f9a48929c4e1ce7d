#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "catalog/batch.hpp"
#include "catalog/ids.hpp"
#include "catalog/records.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// One directory while CaptureWalk is at work on it. Private to that class; fields without a note
/// belong to the task that lists the directory.
struct CaptureDir {
  std::shared_ptr<CaptureDir> parent;
  std::shared_ptr<DirNode> source;
  std::shared_ptr<DirNode> mirror;
  Selection::State selection;
  bool selected = false;
  bool known = false;         ///< the catalog had it before this run
  bool frozen = false;        ///< its record stays as the catalog has it
  bool on_way = false;        ///< only what leads to the paths that are looked at is entered
  bool gap = false;           ///< not listed to its end
  std::uint64_t matched = 0;  ///< catalogued entries that the source still has
  catalog::DirectoryRecord record;

  std::mutex mutex;   ///< guards made, id
  bool made = false;  ///< mirror directory and catalog row exist
  catalog::DirId id = catalog::kNoDir;
  std::atomic<bool> touched{false};     ///< its mirror changed: metadata is applied at the end
  std::atomic<std::size_t> pending{1};  ///< itself and its unfinished children
};

/// Puts the row of @p dir, which has its id.
void put_directory(const CaptureDir& dir, catalog::Batch& batch);

}  // namespace holdfast::core
