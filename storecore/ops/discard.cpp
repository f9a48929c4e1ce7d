// Discard: the store and the old system go. Looks first for what would go with them; the state is
// `discarding`, durably, before the first unlink, so that a store that is half gone is never taken
// for a good one.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/followed.hpp"
#include "storecore/ops/only_names.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/protect.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/tree_remover.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
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

/// What holds user data goes first, what describes it last, and the state and the lock after
/// everything.
constexpr std::array<const char*, 9> kOrder{layout::kFailed,    layout::kAside, layout::kDropped,
                                            layout::kDisplaced, layout::kTree,  layout::kCatalog,
                                            layout::kSelection, layout::kLog,   layout::kJournal};

class DiscardVolume {
 public:
  DiscardVolume(Session& session, StorePlace place, const DiscardOptions& options)
      : session_(&session), place_(std::move(place)), options_(&options) {}
  [[nodiscard]] VolumeReport run();

 private:
  [[nodiscard]] Status work();
  [[nodiscard]] Status mend();
  [[nodiscard]] Status check_folders() const;
  [[nodiscard]] Status check();
  [[nodiscard]] Status check_names();
  [[nodiscard]] Status check_aside();
  [[nodiscard]] Status remove();
  [[nodiscard]] Status remove_files();
  [[nodiscard]] bool remove_remains();
  void refuse(std::string_view code, std::string text) {
    session_->report().reasons.push_back({.code = std::string(code), .text = std::move(text)});
  }

  Session* session_;
  StorePlace place_;
  const DiscardOptions* options_;
  std::optional<Store> store_;
  bool gone_ = false;
};

Result<bool> has_entries(const Store& store, const char* area) {
  const auto dir = store.subdir(area);
  if (!dir)
    return dir.error().cause.value() == ENOENT ? Result<bool>(false) : std::unexpected(dir.error());
  DirReader listing;
  const auto more = listing.fill(dir->get());
  if (!more) return failed("getdents64", area, more.error());
  Dirent dirent;
  return *more && listing.next(dirent);
}

Status DiscardVolume::check_names() {
  return session_->phase("check", [&](Progress& progress) -> Status {
    const auto names = find_only_names(*session_, *store_, progress);
    if (!names) return std::unexpected(names.error());
    if (names->only_here == 0) return {};
    std::string examples;
    for (const std::string& path : names->examples)
      examples += (examples.empty() ? "" : ", ") + catalog::escape_name(path);
    const std::string count = fmt::format("{}{} of {}", names->at_least ? "at least " : "",
                                          names->only_here, names->files);
    if (!store_->record().restored_all) {
      refuse("only-names",
             fmt::format(
                 "{} captured files have no name outside the store and were never restored: {}",
                 count, examples));
    } else if (names->only_here * 2 > names->files) {
      // Restored once, and users may delete what is theirs; but not nearly everything.
      refuse("root-emptied",
             fmt::format(
                 "{} captured files have no other name any more, though they were restored: {}",
                 count, examples));
    }
    return {};
  });
}

/// What users wanted kept may be in aside/ alone: what wipe's refresh missed, or has not come to.
Status DiscardVolume::check_aside() {
  const auto aside = has_entries(*store_, layout::kAside);
  if (!aside) return std::unexpected(aside.error());
  if (!*aside) return {};
  if (store_->record().state == StoreState::kWiping)
    refuse("wipe-unfinished",
           "a wipe was cut short: what users changed since the capture is in aside/ only");
  if (store_->record().missed != 0)
    refuse("missed-entries",
           fmt::format("{} entries were missed and are in aside/ only: see `holdfast ls --missed`",
                       store_->record().missed));
  return {};
}

/// What an earlier run left undone. The journal is the last directory to go: where it is missing,
/// only files of the store itself are left.
Status DiscardVolume::mend() {
  const auto journal = store_->subdir(layout::kJournal);
  if (!journal && store_->record().state == StoreState::kDiscarding &&
      journal.error().cause.value() == ENOENT)
    return {};
  if (auto barrier = store_->check_barrier(); !barrier) return barrier;
  return FlagJournal::recover(*store_);
}

/// A folder that is none of ours is somebody's: it would stop the deletion half-way.
Status DiscardVolume::check_folders() const {
  const auto names = list_names(store_->dir());
  if (!names) return failed("getdents64", place_.store, names.error());
  for (const std::string& name : *names) {
    const auto stat = stat_at(store_->dir(), name);
    if (stat && stat->is_directory() && std::ranges::find(kOrder, name) == kOrder.end())
      return catalog::refused("strange-folder", catalog::join_path(place_.store, name),
                              "a folder that is not of the store stands in it",
                              "move it out of the store");
  }
  return {};
}

Status DiscardVolume::check() {
  if (auto folders = check_folders(); !folders) return folders;
  if (!options_->lose_files) {
    if (auto names = check_names(); !names) return names;
    if (auto aside = check_aside(); !aside) return aside;
  }
  const auto displaced = has_entries(*store_, layout::kDisplaced);
  if (!displaced) return std::unexpected(displaced.error());
  if (*displaced && !options_->lose_displaced)
    refuse("displaced-files",
           "displaced/ holds files that restore put out of the way: look at them, then "
           "--lose-displaced");
  const auto& reasons = session_->report().reasons;
  if (reasons.empty()) return {};
  std::string text;
  for (const Reason& reason : reasons) text += (text.empty() ? "" : "; ") + reason.text;
  return catalog::refused(reasons.front().code, place_.root, text,
                          reasons.front().code == "displaced-files"
                              ? "look at them, then --lose-displaced"
                              : "restore them, or --lose-files");
}

Status DiscardVolume::remove_files() {
  const DirFd dir = store_->dir();
  const auto names = list_names(dir);
  if (!names) return failed("getdents64", place_.store, names.error());
  // The state goes after everything but the lock: until then a second run knows what to do.
  for (const std::string& name : *names) {
    if (name == layout::kState || name == layout::kLock) continue;
    if (auto removed = unlink_at(dir, name.c_str()); !removed)
      return failed("unlinkat", name, removed.error());
  }
  failpoint("discard-before-state");
  store_->release_lock();
  for (const char* name : {layout::kState, layout::kLock}) {
    if (auto removed = unlink_at(dir, name); !removed && removed.error().value() != ENOENT)
      return failed("unlinkat", name, removed.error());
  }
  return {};
}

Status DiscardVolume::remove() {
  if (auto opened = unprotect_store(*session_, *store_); !opened) return opened;
  FlagJournal flags(*store_);
  std::uint64_t left = 0;
  const auto deleted = session_->phase("delete", [&](Progress& progress) -> Status {
    for (const char* area : kOrder) {
      auto top = store_->subdir(area);
      if (!top && top.error().cause.value() == ENOENT) continue;
      if (!top) return std::unexpected(top.error());
      if (area == layout::kJournal) {
        if (left != 0) break;
        if (auto finished = flags.finish(); !finished) return finished;
      }
      TreeRemover remover(*session_, *store_, flags, {});
      if (auto status =
              remover.run(std::move(*top), progress, catalog::join_path(layout::kStore, area));
          !status)
        return status;
      session_->report().counts.add(Count::kDeleted, remover.deleted());
      left += remover.left();
      if (remover.left() == 0) {
        if (auto gone = rmdir_at(store_->dir(), area); !gone)
          return failed("unlinkat", area, gone.error());
      }
    }
    return {};
  });
  if (!deleted) return deleted;
  if (left != 0) {
    if (auto finished = flags.finish(); !finished) return finished;
    return store_->barrier();
  }
  if (auto removed = remove_files(); !removed) return removed;
  const std::size_t slash = place_.store.rfind('/');
  auto parent = open_dir_path(slash == 0 ? "/" : place_.store.substr(0, slash));
  if (!parent) return failed("open", place_.store, parent.error());
  const auto before = stat_fd(parent->get());
  const auto marker = unlink_at(store_->root(), layout::kMarker);
  if (auto gone = rmdir_at(*parent, place_.store.substr(slash + 1).c_str()); !gone)
    return failed("unlinkat", place_.store, gone.error());
  // The user's directory gets its times back: nobody but us changed it just now.
  if (before && !marker) (void)set_times_fd(parent->get(), before->atime, before->mtime);
  if (auto synced = syncfs_fd(store_->root().fd); !synced)
    return failed("syncfs", place_.root, synced.error());
  (void)fsync_fd(parent->get());
  gone_ = true;
  return {};
}

/// A run that was killed behind its last unlink of the state: the directory, or its lock, is left.
/// False: there is more in it, or nothing to remove.
bool DiscardVolume::remove_remains() {
  const auto root = open_dir_path(place_.root);
  const std::size_t slash = place_.store.rfind('/');
  const std::string name = place_.store.substr(slash + 1);
  const auto parent = open_dir_path(slash == 0 ? "/" : place_.store.substr(0, slash));
  if (!root || !parent) return false;
  const auto dir = open_dir_at(*parent, name.c_str());
  const auto stat =
      dir ? stat_fd(dir->get()) : catalog::SysResult<Stat>(catalog::sys_error(ENOENT));
  if (!stat || stat->uid != geteuid() || stat->mode != 0700) return false;
  DirReader listing;
  Dirent dirent;
  const auto more = listing.fill(dir->get());
  if (!more) return false;
  while (listing.next(dirent)) {
    if (dirent.view() != layout::kLock) return false;
  }
  (void)unlink_at(*dir, layout::kLock);
  if (!rmdir_at(*parent, name.c_str())) return false;
  (void)unlink_at(*root, layout::kMarker);
  (void)fsync_fd(parent->get());
  gone_ = true;
  return true;
}

Status DiscardVolume::work() {
  auto store = Store::open(place_, Store::Access::kWrite, "discard", session_->context());
  if (!store && store.error().fault == catalog::Fault::kNoStore && remove_remains()) {
    session_->report().durable = true;
    return {};
  }
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  store_->free_ballast_if_full();
  if (auto mended = mend(); !mended) return mended;
  if (store_->record().state != StoreState::kDiscarding) {
    if (auto checked = check(); !checked) return checked;
    // Names outside may be younger than the last barrier, and btrfs can lose both names of a file
    // when the one inside goes.
    if (auto barrier = store_->barrier(); !barrier) return barrier;
    failpoint("discarding");
    if (auto entered = store_->enter(StoreState::kDiscarding); !entered) return entered;
  } else if (auto barrier = store_->barrier(); !barrier) {
    return barrier;
  }
  if (auto removed = remove(); !removed) return removed;
  session_->report().durable = true;
  return {};
}

VolumeReport DiscardVolume::run() {
  Status status = work();
  VolumeReport& report = session_->report();
  const Store* store = store_ ? &*store_ : nullptr;
  if (gone_) report.next = "nothing: the store is gone, the files are in their places";
  VolumeReport done = session_->finish(std::move(status), store);
  if (gone_) done.state.reset();
  return done;
}

}  // namespace

RunReport discard(const Targets& targets, const DiscardOptions& options,
                  const RunContext& context) {
  return for_each_followed_volume(targets, "discard", context,
                                  [&](Session& session, const StorePlace& place) {
                                    return DiscardVolume(session, place, options).run();
                                  });
}

}  // namespace holdfast::core
