#pragma once

#include <cstdint>

#include "catalog/error.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// Deletes the old system (every aside/N): what no selection wants goes; what one wants goes only
/// if at that moment the mirror's name of the same path is the same inode, or the catalog says that
/// an unchanged copy of it is held. Else it is kept and listed as left. The record says
/// `old_system_complete = false` durably, and a barrier was made, before the first unlink.
/// Repeatable.
[[nodiscard]] catalog::Status delete_old_system(Session& session, Store& store);

/// Names of the old system that stand in aside/N, or in ROOT again: every entry that the plan moves
/// and all below it. What is counted when wipe ends is missing if it is not counted at rollback. A
/// directory that cannot be read is one name, both times. Fails only when the run is to stop.
struct OldSystemNames {
  std::uint64_t names = 0;
  std::uint64_t unseen = 0;  ///< what could not be looked at: the count may be too small
};
[[nodiscard]] catalog::Result<OldSystemNames> count_old_system(const Session& session,
                                                               const Store& store,
                                                               const WipePlan& plan);

}  // namespace holdfast::core
