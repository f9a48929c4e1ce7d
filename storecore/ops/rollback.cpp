// Rollback: the image goes to failed/M, the old top level comes back by the wipe plan, and
// directories that stayed get the metadata that the plan has of them. The store is sealed as
// before; nothing is deleted.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/move_aside.hpp"
#include "storecore/ops/old_system.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/protect.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Result;
using catalog::Status;

namespace {

/// Fewer missing names than one in so many do not stop a rollback: they are listed.
constexpr std::uint64_t kFewNames = 1000;

class RollbackVolume {
 public:
  RollbackVolume(Session& session, StorePlace place)
      : session_(&session), place_(std::move(place)) {}
  [[nodiscard]] VolumeReport run() {
    Status status = work();
    return session_->finish(std::move(status), store_ ? &*store_ : nullptr);
  }

 private:
  [[nodiscard]] Status work();
  [[nodiscard]] Status check();
  [[nodiscard]] Status check_old_system() const;
  [[nodiscard]] Status check_names() const;
  [[nodiscard]] Status bring_back(FlagJournal& flags);
  [[nodiscard]] Status bring_back(FlagJournal& flags, const WipePlan::Item& item, DirFd top);
  [[nodiscard]] Status open_projects(FlagJournal& flags);
  [[nodiscard]] Status mend_directories();
  void remove_aside() const;

  Session* session_;
  StorePlace place_;
  std::optional<Store> store_;
  WipePlan plan_;
};

Status RollbackVolume::check() {
  const StoreRecord& record = store_->record();
  switch (record.state) {
    case StoreState::kWiping:
    case StoreState::kWiped:
    case StoreState::kRestoring:
    case StoreState::kRestored:
      break;
    default:
      return catalog::refused("wrong-state", place_.root,
                              fmt::format("the store is in state {}: there is nothing to roll back",
                                          to_word(record.state)));
  }
  if (auto same = store_->check_identity(); !same) return same;
  if (auto barrier = store_->check_barrier(); !barrier) return barrier;
  if (record.moved_out)
    return catalog::refused(
        "moved-out", place_.root,
        "restore moved the files out of the store: they are part of what stands in ROOT");
  if (!record.old_system_complete)
    return catalog::refused("old-system-gone", place_.root,
                            "the old system was deleted to free its space");
  auto plan = load_wipe_plan(*store_, record.wipe_number);
  if (!plan) return std::unexpected(plan.error());
  plan_ = std::move(*plan);
  if (auto complete = check_complete(*store_, plan_); !complete) return complete;
  return check_old_system();
}

/// Everything that was moved is in aside/N, or back in ROOT already.
Status RollbackVolume::check_old_system() const {
  const std::vector<std::string> parts{layout::kAside,
                                       std::to_string(store_->record().wipe_number)};
  const auto aside = open_dir_below(store_->dir(), parts);
  if (!aside && !is_absent(aside.error())) return failed("openat", layout::kAside, aside.error());
  std::string gone;
  std::size_t count = 0;
  for (const WipePlan::Item& item : plan_.moves) {
    const auto back = is_inode(store_->root(), item);
    if (!back) return std::unexpected(back.error());
    const auto kept = aside && !*back ? is_inode(*aside, item) : Result<bool>(false);
    if (!kept) return std::unexpected(kept.error());
    if (*back || *kept) continue;
    // Before the first rename of its turn an entry may vanish by its owner's hand: then it was
    // never ours.
    if (++count <= 5) gone += (gone.empty() ? "" : ", ") + catalog::escape_name(item.path);
  }
  if (count == 0) return check_names();
  if (count > 5) gone += fmt::format(" and {} more", count - 5);
  return catalog::refused("old-system-incomplete", place_.root,
                          fmt::format("of the old system is gone: {}", gone),
                          "what was captured is safe: holdfast restore brings it back");
}

/// What is gone below the entries that were moved. A few names may have gone by the hand of a
/// process that still works in the old system; more than that is somebody's clean-up.
Status RollbackVolume::check_names() const {
  const std::uint64_t known = store_->record().old_system_names;
  if (known == 0) return {};
  const auto found = count_old_system(*session_, *store_, plan_);
  if (!found) return std::unexpected(found.error());
  if (found->names >= known) return {};
  if (found->unseen != 0) {
    session_->problem({.kind = catalog::ProblemKind::kWarning,
                       .path = {},
                       .operation = {},
                       .error_number = 0,
                       .reason =
                           "not all of the old system can be read: whether it is whole is not "
                           "known"});
    return {};
  }
  const std::uint64_t gone = known - found->names;
  const std::string text = fmt::format("{} of {} names of the old system are gone", gone, known);
  if (gone > known / kFewNames)
    return catalog::refused("old-system-incomplete", place_.root, text,
                            "what was captured is safe: holdfast restore brings it back");
  session_->problem({.kind = catalog::ProblemKind::kLeft,
                     .path = {},
                     .operation = {},
                     .error_number = 0,
                     .reason = text});
  return {};
}

Status RollbackVolume::bring_back(FlagJournal& flags, const WipePlan::Item& item, DirFd top) {
  const auto there = is_inode(store_->root(), item);
  if (!there) return std::unexpected(there.error());
  if (*there) return {};
  const auto from = open_parent(top, item.path);
  const auto to = open_parent(store_->root(), item.path);
  if (!from || !to) return failed("openat", item.path, from ? to.error() : from.error());
  const std::string name = last_component(item.path);
  const auto rename = [&] { return rename_no_replace(*from, name.c_str(), *to, name.c_str()); };
  failpoint("bring-back");
  auto renamed = rename();
  if (!renamed && renamed.error().value() == EACCES)
    renamed = flags.with_writable(*from, name, item.path, rename);
  if (!renamed && renamed.error().value() == EPERM)
    renamed = flags.with_cleared(*from, name, item.path, rename);
  if (!renamed) return failed("renameat2", item.path, renamed.error());
  return {};
}

Status RollbackVolume::bring_back(FlagJournal& flags) {
  const std::vector<std::string> parts{layout::kAside,
                                       std::to_string(store_->record().wipe_number)};
  const auto aside = open_dir_below(store_->dir(), parts);
  if (!aside) return failed("openat", layout::kAside, aside.error());
  for (const WipePlan::Item& item : plan_.moves) {
    if (session_->context().stopped())
      return catalog::fail(catalog::Fault::kFailed, place_.root, "interrupted",
                           "run the command again to go on");
    if (auto status = bring_back(flags, item, *aside); !status) return status;
  }
  return {};
}

/// What stood below such a directory before it became one came out, and would not go in again.
Status RollbackVolume::open_projects(FlagJournal& flags) {
  for (const WipePlan::Split& split : plan_.splits) {
    const auto components = catalog::split_path(split.path);
    if (!components) continue;
    const auto dir = open_dir_below(store_->root(), *components);
    if (!dir) return failed("openat", split.path, dir.error());
    if (auto cleared = flags.clear_inheritance(dir->get(), split.path); !cleared)
      return failed("ioctl(FS_IOC_SETFLAGS)", split.path, cleared.error());
  }
  return {};
}

/// Deepest first: a directory's times are the last thing that changes in it.
Status RollbackVolume::mend_directories() {
  for (auto split = plan_.splits.rbegin(); split != plan_.splits.rend(); ++split) {
    const auto components = catalog::split_path(split->path);
    if (!components) continue;
    const auto dir = open_dir_below(store_->root(), *components);
    if (!dir) return failed("openat", split->path, dir.error());
    const auto mended = apply_directory_record(dir->get(), split->record, geteuid() == 0, true);
    // Afterwards nobody has the plan any more: what another run can do is left to it.
    if (!mended && is_failure_of_store(mended.error(), geteuid() == 0))
      return failed("fsetxattr", split->path, mended.error());
    if (!mended)
      session_->problem({.kind = catalog::ProblemKind::kLeft,
                         .path = split->path,
                         .operation = "fsetxattr",
                         .error_number = mended.error().value(),
                         .reason = "its metadata could not all be given back"});
  }
  return {};
}

/// What is left of aside/N are empty directories of our own.
void RollbackVolume::remove_aside() const {
  const auto area = store_->subdir(layout::kAside);
  if (!area) return;
  const std::string number = std::to_string(store_->record().wipe_number);
  const auto top = open_dir_at(*area, number.c_str());
  if (!top) return;
  for (auto split = plan_.splits.rbegin(); split != plan_.splits.rend(); ++split) {
    if (split->path.empty()) continue;
    if (const auto parent = open_parent(*top, split->path))
      (void)rmdir_at(*parent, last_component(split->path).c_str());
  }
  (void)rmdir_at(*area, number.c_str());
}

Status RollbackVolume::work() {
  auto store = Store::open(place_, Store::Access::kWrite, "rollback", session_->context());
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  if (auto checked = check(); !checked) return checked;
  session_->log_into(*store_);
  store_->free_ballast_if_full();
  if (auto mended = FlagJournal::recover(*store_); !mended) return mended;
  if (auto opened = unprotect_store(*session_, *store_); !opened) return opened;
  // From here on the way is back only: a run that is cut short is finished by rollback, or by wipe,
  // which moves the same entries of the same plan, and must look at them anew: users have them
  // again.
  store_->record().wipe_refreshed = false;
  store_->record().restored_all = false;
  if (auto entered = store_->enter(StoreState::kWiping); !entered) return entered;
  if (auto forgotten = forget_restores(*store_); !forgotten) return forgotten;
  FlagJournal flags(*store_);
  const auto moved = session_->phase("move", [&](Progress& progress) -> Status {
    progress.total_files = plan_.moves.size();
    const auto image = move_image_away(*session_, *store_, flags, plan_);
    if (!image) return std::unexpected(image.error());
    if (image->left != 0)
      return catalog::fail(catalog::Fault::kFailed, place_.root,
                           "parts of the image resist being moved away",
                           "see what is listed as left, and run the command again");
    if (auto opened = open_projects(flags); !opened) return opened;
    if (auto status = bring_back(flags); !status) return status;
    progress.files = plan_.moves.size();
    if (auto mended = mend_directories(); !mended) return mended;
    return flags.finish();
  });
  if (!moved) return moved;
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  failpoint("rolled-back");
  StoreRecord& record = store_->record();
  record.old_system_complete = false;
  // A wipe that was cut short in its refresh left the catalog unsealed: capture goes on from there.
  const StoreState next = record.catalog_bytes == 0 ? StoreState::kCapturing : StoreState::kSealed;
  if (auto entered = store_->enter(next); !entered) return entered;
  remove_aside();
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  session_->report().durable = true;
  return {};
}

}  // namespace

RunReport rollback(const Targets& targets, const RunContext& context) {
  return for_each_volume(targets, "rollback", context,
                         [](Session& session, const StorePlace& place) {
                           return RollbackVolume(session, place).run();
                         });
}

}  // namespace holdfast::core
