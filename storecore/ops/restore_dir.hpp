#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/restore_plan.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// One captured directory while a restore's walk is at work on it. Private to the restore_* files;
/// fields without a note belong to the task that lists the directory.
struct RestoreDir {
  enum class Place : std::uint8_t {
    kAbsent,    ///< not there (yet)
    kExisting,  ///< there, and not ours
    kFresh,     ///< built by this or an interrupted run
    kBlocked,   ///< something else has the place and keeps it
  };

  std::shared_ptr<RestoreDir> parent;  ///< null: top of a walk, located by whoever made it
  std::shared_ptr<DirNode>
      mirror;  ///< also gives the captured path; may have no directory behind it
  bool has_mirror = true;
  std::string name;  ///< at the destination; of a top: its path there
  PlanPosition plan;
  PlanVerdict verdict = PlanVerdict::kTake;
  catalog::DirId id{};
  catalog::DirectoryRecord record;
  bool in_map = false;        ///< goes to a place that is not its own
  bool foreign = false;       ///< another owner's, where the captured owner can have put it
  bool unfinished = false;    ///< ours, and an earlier run could not give it its metadata
  bool in_moved = false;      ///< below a subtree that was renamed as a whole
  std::optional<Stat> times;  ///< of a directory that receives a mapped entry: to be put back
  catalog::Timestamp existing_mtime;  ///< before anything was put into it
  std::string position;               ///< key of the last entry that was looked at
  std::vector<catalog::Entry> nodes;  ///< their turn comes after the files
  std::vector<catalog::Entry> symlinks;

  std::mutex mutex;  ///< guards place, dest, staging once others can see them
  Place place = Place::kAbsent;
  std::shared_ptr<DirNode> dest;
  std::string staging;                  ///< its name until it is finished; empty: it has its own
  std::atomic<std::size_t> pending{1};  ///< itself and its unfinished children

  /// Wanted itself, not only on the way to something.
  [[nodiscard]] bool wanted() const noexcept {
    return verdict == PlanVerdict::kTake && record.selected;
  }
  [[nodiscard]] std::string captured_path() const { return mirror->path(); }
  [[nodiscard]] std::string captured_path_of(std::string_view entry) const {
    return mirror->path_of(entry);
  }
  /// Relative to the destination. For messages and records, never for system calls.
  [[nodiscard]] std::string where() const {
    std::vector<const RestoreDir*> chain;
    for (const RestoreDir* at = this; at != nullptr; at = at->parent.get()) chain.push_back(at);
    std::string path;
    for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
      if (!(*at)->name.empty()) path = catalog::join_path(path, (*at)->name);
    }
    return path;
  }
  [[nodiscard]] std::string where(std::string_view entry) const {
    return catalog::join_path(where(), entry);
  }
};

}  // namespace holdfast::core
