#include "storecore/ops/wipe_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <expected>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/schema.hpp"
#include "storecore/ops/gaps.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/refresh.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/survey.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/identity.hpp"
#include "storecore/os/mounts.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Fault;
using catalog::Result;
using catalog::Status;

namespace {

void refuse(Session& session, std::string_view code, std::string text) {
  session.report().reasons.push_back({.code = std::string(code), .text = std::move(text)});
}

bool is_at_or_below(std::string_view path, std::string_view top) {
  if (top == "/") return true;
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

/// ROOT's path inside its filesystem, whatever is mounted where.
std::string inside_path(const Mount& mount, std::string_view path) {
  const std::string_view rest = mount.mount_point == "/"
                                    ? path
                                    : path.substr(std::min(path.size(), mount.mount_point.size()));
  if (rest.empty() || rest == "/") return mount.root;
  return mount.root == "/" ? std::string(rest) : mount.root + std::string(rest);
}

Result<std::set<std::string>> check_keep(const Store& store,
                                         const std::vector<std::string>& paths) {
  std::set<std::string> keep;
  for (const std::string& path : paths) {
    const auto components = catalog::split_path(path);
    if (!components || components->empty())
      return catalog::fail(Fault::kUsage, path, "--keep takes a path below ROOT");
    std::string normal;
    for (const std::string& component : *components) normal = catalog::join_path(normal, component);
    const auto parent = open_parent(store.root(), normal);
    const auto stat = parent ? stat_at(*parent, components->back())
                             : catalog::SysResult<Stat>(std::unexpected(parent.error()));
    if (!stat)
      return catalog::fail(Fault::kUsage, path, "--keep: there is no such path below ROOT");
    keep.insert(std::move(normal));
  }
  return keep;
}

/// Gaps of the sealed catalog against the patterns accepted so far and now.
Status check_gaps(Session& session, Store& store, const WipeOptions& options) {
  const auto env = open_sealed_catalog(store, CatalogCheck::kAlways);
  if (!env) return std::unexpected(env.error());
  StoreRecord& record = store.record();
  for (const std::string& pattern : options.accept_missed) {
    if (std::ranges::find(record.accepted, pattern) == record.accepted.end())
      record.accepted.push_back(pattern);
  }
  if (auto room = StateFile::check_room(record); !room) return room;
  const auto txn = catalog::ReadTxn::begin(*env);
  if (!txn) return std::unexpected(txn.error());
  const auto gaps = count_gaps(catalog::Reader(*txn), record.accepted);
  if (!gaps) return std::unexpected(gaps.error());
  record.missed = gaps->missed;
  if (gaps->missed != 0)
    refuse(session, "missed-entries",
           fmt::format("{} entries were missed by the capture; see `holdfast ls --missed`, then "
                       "--accept-missed PATTERN",
                       gaps->missed));
  const auto entries = txn->count(catalog::Table::kEntries);
  if (!entries) return std::unexpected(entries.error());
  if (*entries == 0)
    refuse(session, "nothing-held", "the store holds nothing: check the selection");
  return {};
}

Status look_at_root(Session& session, const Store& store, WipeChecks& checks) {
  const auto mounts = read_mounts();
  if (!mounts) return std::unexpected(mounts.error());
  checks.borders = mounts_below(*mounts, store.place().root);
  const auto spec = load_selection(store);
  if (!spec) return std::unexpected(spec.error());
  const bool whole = spec->everything && spec->exclude.empty();
  VolumeReport& report = session.report();
  report.would_free_bytes = 0;
  // What is selected frees nothing, and only btrfs has borders that no mount table knows.
  const bool hidden_borders = store.record().volume.fs_type == "btrfs";
  if (whole && !hidden_borders) return {};
  auto selection = Selection::compile(*spec);
  if (!selection) return std::unexpected(selection.error());
  return session.phase("survey", [&](Progress& progress) -> Status {
    const auto seen =
        survey(store.root(), store.dir(), *selection,
               hidden_borders ? SurveyScope::kUnselectedAndBorders : SurveyScope::kUnselected,
               progress, session.context(), store.place().root);
    if (!seen) return std::unexpected(seen.error());
    // Not missed: whether what is wanted in it is held shows when it is moved aside and read again.
    for (catalog::Problem problem : seen->unseen) {
      problem.kind = catalog::ProblemKind::kWarning;
      problem.reason = "not looked into before the wipe";
      session.problem(problem);
    }
    checks.borders.insert(checks.borders.end(), seen->borders.begin(), seen->borders.end());
    report.would_free_bytes = seen->unselected_blocks;
    report.not_selected = seen->largest_unselected;
    return {};
  });
}

Status check_space(Session& session, const Store& store, const WipeOptions& options) {
  if (!options.need_bytes) return {};
  const auto space = space_of(store.root().fd);
  if (!space) return catalog::failed("statvfs", store.place().root, space.error());
  session.report().needed_bytes = options.need_bytes;
  const std::uint64_t possible = space->free_bytes + session.report().would_free_bytes.value_or(0);
  if (possible >= *options.need_bytes) return {};
  return catalog::fail(Fault::kNoSpace, store.place().root,
                       fmt::format("{} bytes are needed, {} would be free after the wipe",
                                   *options.need_bytes, possible));
}

}  // namespace

Result<bool> holds_running_system(const Store& store) {
  const auto running = stat_path("/");
  if (!running) return catalog::failed("statx", "/", running.error());
  if (running->same_inode(store.root_stat())) return true;
  const auto mounts = read_mounts();
  if (!mounts) return std::unexpected(mounts.error());
  const Mount* system = find_mount(*mounts, running->mount_id);
  const Mount* mine = find_mount(*mounts, store.root_stat().mount_id);
  if (system != nullptr && mine != nullptr)
    return system->device == mine->device &&
           is_at_or_below(system->root, inside_path(*mine, store.place().root));
  // In a chroot the mount that `/` is on has no line of its own, and where `/` lies inside its
  // filesystem cannot be told: on ROOT's filesystem it counts as inside ROOT.
  if (running->device == store.root_stat().device) return true;
  const auto slash = open_dir_path("/");
  if (!slash) return catalog::failed("open", "/", slash.error());
  const auto volume = identify_volume(*slash);
  return volume && !volume->fs_uuid.empty() && volume->fs_uuid == store.record().volume.fs_uuid;
}

Result<WipeChecks> check_wipe(Session& session, Store& store, const WipeOptions& options) {
  WipeChecks checks;
  auto keep = check_keep(store, options.keep);
  if (!keep) return std::unexpected(keep.error());
  checks.keep = std::move(*keep);
  if (auto same = store.check_identity(); !same) {
    if (same.error().fault != Fault::kRefused) return std::unexpected(same.error());
    refuse(session, same.error().reason_code, same.error().reason);
    return checks;
  }
  if (auto barrier = store.check_barrier(); !barrier) return std::unexpected(barrier.error());
  const auto running = holds_running_system(store);
  if (!running) return std::unexpected(running.error());
  if (*running)
    refuse(session, "running-system", "ROOT is, or holds, the system that is running now");
  if (store.root_stat().is_immutable() || store.root_stat().is_append_only())
    refuse(session, "root-immutable",
           "ROOT itself is immutable or append-only: chattr -i -a it first");
  if (auto gaps = check_gaps(session, store, options); !gaps) return std::unexpected(gaps.error());
  if (auto looked = look_at_root(session, store, checks); !looked)
    return std::unexpected(looked.error());
  if (auto space = check_space(session, store, options); !space)
    return std::unexpected(space.error());
  return checks;
}

}  // namespace holdfast::core
