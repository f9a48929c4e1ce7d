#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "catalog/error.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// Carries out a wipe plan: renames what it names into aside/N, never over anything, and nothing
/// that is not in it. Flags that forbid a rename are cleared for its duration. What stays all the
/// same (an active swap file, a mount point) is listed as left. Repeatable at any point. @return
/// paths that were left
[[nodiscard]] catalog::Result<std::set<std::string, std::less<>>> move_aside(Session& session,
                                                                             const Store& store,
                                                                             FlagJournal& flags,
                                                                             const WipePlan& plan,
                                                                             std::uint32_t number);

/// Is what stands at the item's path below @p top the inode that the plan speaks of?
[[nodiscard]] catalog::Result<bool> is_inode(DirFd top, const WipePlan::Item& item);

struct MovedImage {
  std::uint64_t moved = 0;
  std::uint64_t left = 0;
};
/// Moves whatever stands in ROOT into failed/M (a fresh M), but for the store, what @p plan says
/// stays, and old entries that the plan would still move: an image, whole or half applied. Split
/// directories are entered. Repeatable.
[[nodiscard]] catalog::Result<MovedImage> move_image_away(Session& session, const Store& store,
                                                          FlagJournal& flags, const WipePlan& plan);

/// Lists as left what stands in ROOT and is not in the plan: made or renamed by users between plan
/// and move. Only for the run that made the plan; later it may be an image's.
[[nodiscard]] catalog::Status list_newcomers(Session& session, const Store& store,
                                             const WipePlan& plan);

/// True when ROOT holds nothing but the store, the marker, and what the plan says stays.
[[nodiscard]] catalog::Result<bool> is_root_empty(const Store& store, const WipePlan& plan);

/// True when something that the plan moves still stands in ROOT.
[[nodiscard]] catalog::Result<bool> has_leftovers(const Store& store, const WipePlan& plan);

}  // namespace holdfast::core
