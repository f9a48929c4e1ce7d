// What a store says of itself when its state file says nothing. Each piece is only believed for
// what it proves.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/ops/repair_run.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/identity.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/journal.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/manifest_reader.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Result;

namespace {

/// The highest N among names that are @p prefix and a number. A folder that is missing has none.
Result<std::uint32_t> highest(const Store& store, const char* area, std::string_view prefix) {
  const auto dir = store.subdir(area);
  if (!dir && dir.error().cause.value() == ENOENT) return std::uint32_t{0};
  if (!dir) return std::unexpected(dir.error());
  const auto names = list_names(*dir);
  if (!names) return catalog::failed("getdents64", area, names.error());
  std::uint32_t found = 0;
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    std::uint32_t number = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), end, number);
    if (parsed.ec == std::errc{} && parsed.ptr == end) found = std::max(found, number);
  }
  return found;
}

struct RestoreTraces {
  bool any = false;
  bool moved = false;
};

RestoreTraces traces_of_restore(const Store& store, std::uint32_t wipe) {
  RestoreTraces traces;
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return traces;
  const std::string front = std::to_string(wipe) + " ";
  (void)Journal::read_whole_lines(
      *dir, layout::kJournalRestore, [&](std::string_view line) -> catalog::Status {
        if (!line.starts_with(front)) return {};
        traces.any = true;
        traces.moved = traces.moved || line.substr(front.size()).starts_with("moved ");
        return {};
      });
  return traces;
}

bool is_protected(const Store& store) {
  if (store.store_stat().is_immutable()) return true;
  for (const char* name :
       {layout::kTree, layout::kCatalog, layout::kSelection, layout::kJournal, layout::kDropped}) {
    const auto stat = stat_at(store.dir(), name);
    if (stat && stat->is_immutable()) return true;
  }
  return false;
}

bool is_at(DirFd top, const WipePlan::Item& item) {
  const auto parent = open_parent(top, item.path);
  if (!parent) return false;
  const auto stat = stat_at(*parent, last_component(item.path));
  return stat && stat->inode == item.inode;
}

/// Every entry of the plan is in aside/N, or in ROOT still.
bool is_old_system_whole(const Store& store, DirFd aside, const WipePlan& plan) {
  return std::ranges::all_of(plan.moves, [&](const WipePlan::Item& item) {
    return is_at(aside, item) || is_at(store.root(), item);
  });
}

/// The wipe was rolled back, or came no further than its plan.
bool is_in_place(const Store& store, const WipePlan& plan) {
  return std::ranges::any_of(plan.moves,
                             [&](const WipePlan::Item& item) { return is_at(store.root(), item); });
}

}  // namespace

Result<std::uint32_t> last_wipe(const Store& store) {
  const auto planned = highest(store, layout::kJournal, "wipe-");
  if (!planned) return planned;
  const auto moved = highest(store, layout::kAside, "");
  if (!moved) return moved;
  return std::max(*planned, *moved);
}

Result<StoreRecord> record_from_evidence(const Session& session, const Store& store,
                                         const ManifestRead& manifest) {
  StoreRecord record;
  record.capture_id = manifest.whole ? manifest.capture_id : store.marked_id();
  if (record.capture_id.empty()) record.capture_id = manifest.capture_id;
  if (record.capture_id.empty()) record.capture_id = make_uuid();
  record.created_by = session.context().version;
  record.created_at = utc_now();
  record.root_path = store.place().root;
  auto volume = identify_volume(store.root());
  if (!volume) return std::unexpected(volume.error());
  record.volume = std::move(*volume);
  const auto root = identify_dir(store.root());
  const auto own = identify_dir(store.dir());
  if (!root || !own)
    return catalog::failed("statx", store.place().root, root ? own.error() : root.error());
  record.root = *root;
  record.store = *own;
  record.protected_dirs = is_protected(store);
  const auto number = last_wipe(store);
  if (!number) return std::unexpected(number.error());
  record.wipe_number = *number;

  // Wiped is the state in which nothing takes ROOT for the source of what was captured. But while
  // nothing shows that the wipe's refresh came to its end, aside/N may hold what the mirror lacks:
  // then the wipe is finished first, which is safe whatever has happened since.
  record.state = StoreState::kWiped;
  if (record.wipe_number == 0) return record;
  const RestoreTraces restored = traces_of_restore(store, record.wipe_number);
  const bool marked = stat_at(store.root(), layout::kMarker).has_value();
  const std::vector<std::string> parts{layout::kAside, std::to_string(record.wipe_number)};
  const auto aside = open_dir_below(store.dir(), parts);
  const auto plan = load_wipe_plan(store, record.wipe_number);
  record.moved_out = restored.moved;
  if (!aside) {
    // What stands in ROOT then is no image: no later wipe may take it for one.
    if (plan && is_in_place(store, *plan)) record.wipe_number = 0;
    return record;
  }
  record.wipe_refreshed = marked || record.protected_dirs || restored.any;
  record.old_system_complete = plan && is_old_system_whole(store, *aside, *plan);
  // Whether the wipe's refresh missed anything is not known any more: until the next one, it counts
  // as if something had been, and discard keeps aside/.
  record.missed = 1;
  if (!record.wipe_refreshed) record.state = StoreState::kWiping;
  return record;
}

}  // namespace holdfast::core
