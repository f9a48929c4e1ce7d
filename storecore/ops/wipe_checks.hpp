#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// True when ROOT is `/` of the running system or a directory above it, by any path: bind mounts,
/// the top level of a btrfs filesystem above a running subvolume.
[[nodiscard]] catalog::Result<bool> holds_running_system(const Store& store);

/// Everything that is looked at before a wipe moves anything. Each reason that speaks against it
/// goes into the report.
struct WipeChecks {
  std::set<std::string> keep;        ///< --keep, normalised
  std::vector<std::string> borders;  ///< mount points and subvolumes below ROOT
};
/// An error ends the check (usage, damage, I/O); reasons in the report mean "refused". Takes up the
/// accepted patterns into the record (saved by the caller when the wipe goes on). Reads ROOT
/// through unless everything is selected.
[[nodiscard]] catalog::Result<WipeChecks> check_wipe(Session& session, Store& store,
                                                     const WipeOptions& options);

}  // namespace holdfast::core
