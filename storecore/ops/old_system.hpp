#pragma once

#include <cstdint>

#include "catalog/error.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// Deletes the old system (every aside/N): what no selection wants goes; what one wants goes only
/// if at that moment the mirror's name of the same path is the same inode, or the catalog says that
/// an unchanged copy of it is held. Else it is kept and listed as left. The record says
/// `old_system_complete = false` durably, and a barrier was made, before the first unlink.
/// Repeatable.
[[nodiscard]] catalog::Status delete_old_system(Session& session, Store& store);

}  // namespace holdfast::core
