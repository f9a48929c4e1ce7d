#include "storecore/ops/old_system.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/name.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/gaps.hpp"
#include "storecore/ops/move_aside.hpp"
#include "storecore/ops/refresh.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/tree_remover.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"
#include "storecore/walk/tree_walk.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Result;
using catalog::Status;

namespace {

/// Says of each name in aside/N whether it may go. for_directory() is thread-safe; what it gives
/// belongs to one thread.
class HoldCheck {
 public:
  HoldCheck(const Store& store, Selection selection, Selection accepted, catalog::ReadTxn txn)
      : store_(&store),
        selection_(std::move(selection)),
        accepted_(std::move(accepted)),
        txn_(std::move(txn)) {}

  /// What the names in one directory have in common is found out once: where the selection stands,
  /// and the mirror's directory of the same path.
  [[nodiscard]] TreeRemover::MayUnlink for_directory(DirNode& dir) {
    const auto components = catalog::split_path(dir.path());
    if (!components) return [](const std::string&, const Stat&) { return false; };
    auto state = state_in(selection_, *components);
    return [this, &dir, state = std::move(state), mirror = open_mirror(*components)](
               const std::string& name, const Stat& stat) {
      // Never a directory here: a pattern that takes directories only must not take it.
      if (stat.is_socket() || !state ||
          selection_.judge(*state, name, false) != Selection::Verdict::kSelected)
        return true;
      if (mirror) {
        const auto held = stat_at(*mirror, name);
        if (held && held->same_inode(stat)) return true;
      }
      const std::string full = dir.path_of(name);
      return held_by_copy(full, stat) || selects_path(accepted_, full);
    };
  }

 private:
  [[nodiscard]] catalog::SysResult<Fd> open_mirror(
      const std::vector<std::string>& components) const {
    const auto tree = store_->subdir(layout::kTree);
    if (!tree) return catalog::sys_error(ENOENT);
    return open_dir_below(*tree, components);
  }
  /// A copy was compared when the refresh from aside was sealed: unchanged since means held.
  [[nodiscard]] bool held_by_copy(const std::string& path, const Stat& stat) {
    const auto components = catalog::split_path(path);
    if (!components) return false;
    const std::lock_guard lock(mutex_);
    const auto found = catalog::Reader(txn_).find_path(*components);
    if (!found || !*found || (*found)->entry.kind == catalog::Entry::Kind::kDirectory) return false;
    const catalog::InodeRecord& record = (*found)->entry.inode;
    return record.held != catalog::Held::kLink && catalog::raw(record.source_inode) == stat.inode &&
           record.size == stat.size && record.mtime == stat.mtime && file_type(stat) == record.type;
  }

  const Store* store_;
  Selection selection_;
  Selection accepted_;
  std::mutex mutex_;
  catalog::ReadTxn txn_;
};

}  // namespace

Status delete_old_system(Session& session, Store& store) {
  const auto env = open_sealed_catalog(store, CatalogCheck::kAlways);
  if (!env) return std::unexpected(env.error());
  auto txn = catalog::ReadTxn::begin(*env);
  if (!txn) return std::unexpected(txn.error());
  const auto spec = load_selection(store);
  if (!spec) return std::unexpected(spec.error());
  auto selection = Selection::compile(*spec);
  if (!selection) return std::unexpected(selection.error());
  auto accepted =
      Selection::compile({.everything = false, .include = store.record().accepted, .exclude = {}});
  if (!accepted) return std::unexpected(accepted.error());
  HoldCheck check(store, std::move(*selection), std::move(*accepted), std::move(*txn));

  store.record().old_system_complete = false;
  if (auto saved = store.save(); !saved) return saved;
  if (auto barrier = store.barrier(); !barrier) return barrier;
  failpoint("deleting-old-system");
  const auto aside = store.subdir(layout::kAside);
  if (!aside) return std::unexpected(aside.error());
  const auto numbers = list_names(*aside);
  if (!numbers) return failed("getdents64", layout::kAside, numbers.error());
  FlagJournal flags(store);
  const catalog::Timestamp begun = now();
  const auto deleted = session.phase("delete", [&](Progress& progress) -> Status {
    for (const std::string& number : *numbers) {
      auto top = open_dir_at(*aside, number.c_str());
      if (!top) return failed("openat", catalog::join_path(layout::kAside, number), top.error());
      TreeRemover remover(session, store, flags,
                          [&check](DirNode& dir) { return check.for_directory(dir); });
      if (auto status = remover.run(std::move(*top), progress); !status) return status;
      session.report().counts.add(Count::kDeleted, remover.deleted());
      if (remover.left() != 0) continue;
      (void)rmdir_at(*aside, number.c_str());
    }
    if (auto finished = flags.finish(); !finished) return finished;
    return store.barrier();
  });
  if (!deleted) return deleted;
  // Unlinking one name moves the ctime that the held one shows: not a sign that somebody wrote.
  store.record().own_changes.push_back({.from = begun, .to = now()});
  return store.save();
}

Result<OldSystemNames> count_old_system(const Session& session, const Store& store,
                                        const WipePlan& plan) {
  const std::vector<std::string> parts{layout::kAside, std::to_string(store.record().wipe_number)};
  const auto aside = open_dir_below(store.dir(), parts);
  const auto budget = std::make_shared<FdBudget>(FdBudget::default_size());
  std::atomic<std::uint64_t> names{0};
  OldSystemNames found;
  for (const WipePlan::Item& item : plan.moves) {
    const auto moved = aside ? is_inode(*aside, item) : Result<bool>(false);
    const auto back = moved && *moved ? Result<bool>(false) : is_inode(store.root(), item);
    const bool in_aside = moved && *moved;
    if (!moved || !back) ++found.unseen;
    if (!in_aside && !(back && *back)) continue;
    const auto parent = open_parent(in_aside ? DirFd(*aside) : store.root(), item.path);
    auto dir = parent ? open_dir_at(*parent, last_component(item.path).c_str())
                      : catalog::SysResult<Fd>(std::unexpected(parent.error()));
    if (!dir && dir.error().value() != ENOTDIR && dir.error().value() != ELOOP) ++found.unseen;
    if (!dir) {  // no directory, or one that is the one name that can be seen of it
      names.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    const auto count = [&names](const auto&...) -> Status {
      names.fetch_add(1, std::memory_order_relaxed);
      return {};
    };
    TreeWalk walk(session.context(), count, count, TreeWalk::Unseen::kNothing);
    if (auto status = walk.run(DirNode::root(std::move(*dir), budget)); !status)
      return std::unexpected(status.error());
    found.unseen += walk.unseen();
  }
  found.names = names.load(std::memory_order_relaxed);
  return found;
}

}  // namespace holdfast::core
