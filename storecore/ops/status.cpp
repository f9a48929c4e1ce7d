#include <fmt/format.h>

#include <algorithm>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "storecore/ops/followed.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/volumes.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/mounts.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;

namespace {

/// Mount points of real filesystems that have a store at their top, each store once.
Result<std::vector<std::string>> roots_with_store() {
  const auto mounts = read_mounts();
  if (!mounts) return std::unexpected(mounts.error());
  std::vector<std::string> roots;
  std::vector<Stat> stores;
  for (const Mount& mount : *mounts) {
    if (classify_fs(mount.fs_type) != FsClass::kReal) continue;
    const auto dir = open_dir_path(mount.mount_point);
    if (!dir) continue;
    const auto top = stat_fd(dir->get());
    // A mount may lie under another at the same place: only what is on top can be named.
    if (!top || (top->mount_id != mount.id && top->mount_id != 0)) continue;
    const auto store = stat_at(*dir, layout::kStore);
    if (!store || !store->is_directory()) continue;
    // One filesystem can be mounted at several places.
    if (std::ranges::any_of(stores, [&](const Stat& known) { return known.same_inode(*store); }))
      continue;
    stores.push_back(*store);
    roots.push_back(mount.mount_point);
  }
  return roots;
}

/// Without named ROOTs nothing is followed: what belongs to a store and is not mounted is worth a
/// line.
void warn_of_absent(Session& session, const Store& store) {
  const auto mounts = read_mounts();
  if (!mounts) return;
  for (const TiedVolume& tied : store.record().volumes) {
    if (find_volume(tied, *mounts, {})) continue;
    session.problem(
        {.kind = ProblemKind::kWarning,
         .path = {},
         .operation = {},
         .error_number = 0,
         .reason = fmt::format("captured together with {} (volume {}), which is not mounted",
                               catalog::escape_name(tied.path), tied.volume.fs_uuid)});
  }
}

VolumeReport look(Session& session, const StorePlace& place, bool warn) {
  auto store = Store::open(place, Store::Access::kPeek, session.command(), session.context());
  if (!store) return session.finish(std::unexpected(store.error()), nullptr);
  const StoreRecord& record = store->record();
  session.report().counts = recorded_counts(record);
  session.report().durable = record.catalog_bytes != 0;
  if (warn) warn_of_absent(session, *store);
  return session.finish({}, &*store);
}

}  // namespace

RunReport status(const Targets& targets, const RunContext& context) {
  const auto body = [&](bool warn) {
    return [warn](Session& session, const StorePlace& place) { return look(session, place, warn); };
  };
  if (!targets.roots.empty())
    return for_each_followed_volume(targets, "status", context, body(false));
  auto roots = roots_with_store();
  if (!roots) {
    RunReport run;
    Session session(context, "status", {});
    session.report().next = "run the command again, or name a ROOT";
    run.volumes.push_back(session.finish(std::unexpected(roots.error()), nullptr));
    return run;
  }
  Targets found = targets;
  found.roots = std::move(*roots);
  return for_each_volume(found, "status", context, body(true));
}

}  // namespace holdfast::core
