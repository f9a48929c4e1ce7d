// Wipe: check everything for every ROOT, then, volume by volume: write the plan, move aside,
// refresh from aside, seal. Nothing here is irrevocable but `--delete` and what `--need` asks for,
// and that comes last.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/move_aside.hpp"
#include "storecore/ops/old_system.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/protect.hpp"
#include "storecore/ops/refresh.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/vanish.hpp"
#include "storecore/ops/wipe_checks.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Fault;
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;

namespace {

constexpr std::string_view kMarkerText =
    "This volume holds a holdfast store in .holdfast: the files of its users live there and "
    "nowhere else.\n"
    "Do not format it. Put the new system on by unpacking it here, then run: holdfast restore\n";

class WipeVolume {
 public:
  WipeVolume(Session& session, StorePlace place, const WipeOptions& options)
      : session_(&session), place_(std::move(place)), options_(&options) {}

  /// Opens, locks and checks. False: this volume, and so the whole run, goes no further.
  [[nodiscard]] bool prepare();
  [[nodiscard]] VolumeReport execute();
  /// The report of a volume that was not touched because of @p why.
  [[nodiscard]] VolumeReport give_up(std::string_view why);

 private:
  enum class Way : std::uint8_t { kWipe, kResume, kDelete, kAgain, kNothing };
  [[nodiscard]] Status look();
  [[nodiscard]] Status look_after_wipe();
  [[nodiscard]] Status work();
  [[nodiscard]] Status begin_plan();
  [[nodiscard]] Status reopen();
  [[nodiscard]] Status move_and_refresh();
  [[nodiscard]] Result<RefreshOutcome> refresh(const WipePlan& plan,
                                               const std::set<std::string, std::less<>>& left);
  [[nodiscard]] Status finish_wipe();
  [[nodiscard]] Status delete_if_asked();
  [[nodiscard]] Status move_failed_image();
  [[nodiscard]] Status write_marker() const;

  Session* session_;
  StorePlace place_;
  const WipeOptions* options_;
  std::optional<Store> store_;
  WipeChecks checks_;
  Way way_ = Way::kWipe;
  bool was_wiped_ = false;
  Status status_;
};

Status WipeVolume::look() {
  auto store = Store::open(place_, options_->dry_run ? Store::Access::kRead : Store::Access::kWrite,
                           "wipe", session_->context());
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  const StoreState state = store_->record().state;
  if (state == StoreState::kSealed) {
    if (options_->again)
      return catalog::refused("wrong-state", place_.root,
                              "--again is for a store that was wiped already");
    way_ = Way::kWipe;
    auto checks = check_wipe(*session_, *store_, *options_);
    if (!checks) return std::unexpected(checks.error());
    checks_ = std::move(*checks);
    return {};
  }
  if (state == StoreState::kWiping) {
    way_ = Way::kResume;
    if (auto same = store_->check_identity(); !same) return same;
    return store_->check_barrier();
  }
  if (state == StoreState::kWiped || state == StoreState::kRestoring ||
      state == StoreState::kRestored)
    return look_after_wipe();
  return catalog::refused(
      "not-sealed", place_.root, fmt::format("the store is in state {}", to_word(state)),
      state == StoreState::kDiscarding ? "holdfast discard finishes it"
                                       : "holdfast capture or holdfast seal finishes it");
}

Status WipeVolume::look_after_wipe() {
  if (auto same = store_->check_identity(); !same) return same;
  if (auto barrier = store_->check_barrier(); !barrier) return barrier;
  if (store_->record().wipe_number == 0)
    return catalog::refused(
        "no-plan", place_.root,
        "the state was lost and rebuilt by repair, and nothing tells what a wipe would move",
        "holdfast restore and holdfast discard end this store; then capture anew");
  if (options_->again) {
    way_ = Way::kAgain;
    if (store_->record().moved_out)
      return catalog::refused(
          "moved-out", place_.root,
          "restore moved the files out of the store: they are part of what stands in ROOT");
    return {};
  }
  const auto plan = load_wipe_plan(*store_, store_->record().wipe_number);
  if (!plan) return std::unexpected(plan.error());
  const auto empty = is_root_empty(*store_, *plan);
  if (!empty) return std::unexpected(empty.error());
  way_ = options_->delete_old ? Way::kDelete : Way::kNothing;
  if (*empty && store_->record().state == StoreState::kWiped) {
    const auto left = has_leftovers(*store_, *plan);
    if (!left) return std::unexpected(left.error());
    // What the refresh could not take may be taken now, and is listed again if not.
    const bool gaps = store_->record().missed != 0 || store_->record().unstable != 0;
    if (*left || gaps) way_ = Way::kResume;
    was_wiped_ = true;
  }
  if (*empty || options_->delete_old) return {};
  return catalog::refused("image-present", place_.root,
                          "the volume was wiped already, and something stands in ROOT now",
                          "--again moves a failed image aside; --delete frees the old system");
}

bool WipeVolume::prepare() {
  status_ = look();
  VolumeReport& report = session_->report();
  if (status_ && !report.reasons.empty()) {
    std::string text;
    for (const Reason& reason : report.reasons) text += (text.empty() ? "" : "; ") + reason.text;
    status_ = catalog::refused(report.reasons.front().code, place_.root, text);
  }
  if (!status_ && status_.error().fault == Fault::kRefused && report.reasons.empty())
    report.reasons.push_back({.code = status_.error().reason_code, .text = status_.error().reason});
  report.ready = status_.has_value();
  for (const std::string& path : checks_.keep) report.kept.push_back(path);
  for (const std::string& path : checks_.borders) report.kept.push_back(path);
  return status_.has_value();
}

VolumeReport WipeVolume::give_up(std::string_view why) {
  if (status_) session_->report().next = std::string(why);
  return session_->finish(std::move(status_), store_ ? &*store_ : nullptr);
}

VolumeReport WipeVolume::execute() {
  session_->log_into(*store_);
  session_->report().ready.reset();  // it is being done, not asked about
  return session_->finish(work(), &*store_);
}

Status WipeVolume::work() {
  if (way_ == Way::kNothing) {
    session_->report().nothing_to_do = true;
    session_->report().durable = true;
    return {};
  }
  store_->free_ballast_if_full();
  if (auto mended = FlagJournal::recover(*store_); !mended) return mended;
  switch (way_) {
    case Way::kWipe:
      if (auto begun = begin_plan(); !begun) return begun;
      [[fallthrough]];
    case Way::kResume:
      if (auto reopened = reopen(); !reopened) return reopened;
      if (auto moved = move_and_refresh(); !moved) return moved;
      return delete_if_asked();
    case Way::kDelete:
      if (auto deleted = delete_old_system(*session_, *store_); !deleted) return deleted;
      session_->report().durable = true;
      return {};
    case Way::kAgain:
      return move_failed_image();
    case Way::kNothing:
      break;
  }
  return {};
}

/// The plan is durable before the state says that it is being carried out, and both before the
/// first rename.
Status WipeVolume::begin_plan() {
  const auto plan = make_wipe_plan(*store_, checks_.keep, checks_.borders);
  if (!plan) return std::unexpected(plan.error());
  StoreRecord& record = store_->record();
  const std::uint32_t number = record.wipe_number + 1;
  if (auto saved = save_wipe_plan(*store_, number, *plan); !saved) return saved;
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  failpoint("wipe-planned");
  record.wipe_number = number;
  record.wipe_refreshed = false;
  record.old_system_complete = true;
  record.old_system_names = 0;
  record.moved_out = false;
  record.restored_all = false;
  return store_->enter(StoreState::kWiping);
}

/// A wipe that ended with something left, or that a rollback was to undo, is taken up again: the
/// store must be writable for the refresh, and what was seen before is not what is there now.
Status WipeVolume::reopen() {
  store_->record().wipe_refreshed = false;
  if (store_->record().state == StoreState::kWiping && !store_->record().protected_dirs) {
    // A rollback that was cut short may not have come so far.
    return way_ == Way::kResume ? forget_restores(*store_) : Status{};
  }
  if (auto opened = unprotect_store(*session_, *store_); !opened) return opened;
  return store_->enter(StoreState::kWiping);
}

Status WipeVolume::move_and_refresh() {
  const auto plan = load_wipe_plan(*store_, store_->record().wipe_number);
  if (!plan) return std::unexpected(plan.error());
  std::set<std::string, std::less<>> left;
  FlagJournal flags(*store_);
  const auto moved = session_->phase("move", [&](Progress& progress) -> Status {
    progress.total_files = plan->moves.size();
    auto result = move_aside(*session_, *store_, flags, *plan, store_->record().wipe_number);
    if (!result) return std::unexpected(result.error());
    left = std::move(*result);
    progress.files = plan->moves.size();
    if (way_ == Way::kWipe) {
      if (auto listed = list_newcomers(*session_, *store_, *plan); !listed) return listed;
    }
    if (auto barrier = store_->barrier(); !barrier) return barrier;
    return flags.finish();
  });
  if (!moved) return moved;
  failpoint("moved-aside");
  if (!store_->record().wipe_refreshed) {
    const auto refreshed = refresh(*plan, left);
    if (!refreshed) return std::unexpected(refreshed.error());
    store_->record().wipe_refreshed = true;
  }
  return finish_wipe();
}

Result<RefreshOutcome> WipeVolume::refresh(const WipePlan& plan,
                                           const std::set<std::string, std::less<>>& left) {
  const auto spec = load_selection(*store_);
  if (!spec) return std::unexpected(spec.error());
  auto selection = Selection::compile(*spec);
  if (!selection) return std::unexpected(selection.error());
  const auto aside = store_->subdir(layout::kAside);
  if (!aside) return std::unexpected(aside.error());
  auto old_root = open_dir_at(*aside, std::to_string(store_->record().wipe_number).c_str());
  if (!old_root) return failed("openat", layout::kAside, old_root.error());
  const bool resume = store_->record().catalog_bytes == 0;

  CaptureWalkOptions from_aside;
  from_aside.refresh = true;
  from_aside.resume = resume;
  for (const WipePlan::Split& split : plan.splits) from_aside.frozen.insert(split.path);
  // What stayed in ROOT is not gone. Only what the plan knows counts: an image may be there by now.
  const auto stayed = [&plan, &left](const std::string& path) {
    return plan.stays_there(path) || plan.is_split(path) || left.contains(path);
  };
  from_aside.exists_elsewhere = stayed;

  CaptureWalkOptions from_root;
  from_root.refresh = true;
  from_root.resume = resume;
  from_root.frozen = from_aside.frozen;
  from_root.only.emplace();
  const auto add_if_there = [&](const WipePlan::Item& item) -> Status {
    const auto there = is_inode(store_->root(), item);
    if (!there) return std::unexpected(there.error());
    if (*there) from_root.only->insert(item.path);
    return {};
  };
  for (const WipePlan::Item& item : plan.stays) {
    if (auto added = add_if_there(item); !added) return std::unexpected(added.error());
  }
  for (const WipePlan::Item& item : plan.moves) {
    if (!left.contains(item.path)) continue;
    if (auto added = add_if_there(item); !added) return std::unexpected(added.error());
  }
  RefreshOptions options;
  options.policy = VanishPolicy::kOnlyRenamed;
  options.state_while_open = StoreState::kWiping;
  options.state_when_sealed = StoreState::kWiping;
  options.sources.push_back({.dir = std::move(*old_root), .options = std::move(from_aside)});
  if (!from_root.only->empty()) {
    auto root = open_dir_at(store_->root(), ".");
    if (!root) return failed("openat", place_.root, root.error());
    options.sources.push_back({.dir = std::move(*root), .options = std::move(from_root)});
  }
  return refresh_store(*session_, *store_, *selection, std::move(options));
}

Status WipeVolume::write_marker() const {
  // Words for people: a full disk must not stop the wipe.
  auto fd = open_at(store_->root(), layout::kMarker, O_RDWR | O_CREAT | O_EXCL, 0644);
  if (!fd && fd.error().value() == EEXIST) {
    // An interrupted run may have left a part of it.
    const auto stat = stat_at(store_->root(), layout::kMarker);
    if (!stat || !stat->is_regular() || stat->size > kMarkerText.size()) return {};
    fd = open_at(store_->root(), layout::kMarker, O_RDWR | O_NONBLOCK);
    const auto text = fd ? read_all(fd->get(), kMarkerText.size()) : std::unexpected(fd.error());
    if (!text || !kMarkerText.starts_with(*text)) return {};
  }
  if (!fd) return {};
  (void)pwrite_all(fd->get(), kMarkerText, 0);
  (void)chmod_fd(fd->get(), 0644);
  return {};
}

Status WipeVolume::finish_wipe() {
  if (auto marked = write_marker(); !marked) return marked;
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  const auto plan = load_wipe_plan(*store_, store_->record().wipe_number);
  if (!plan) return std::unexpected(plan.error());
  const auto names = count_old_system(*session_, *store_, *plan);
  if (!names) return std::unexpected(names.error());
  store_->record().old_system_names = names->names;
  failpoint("wiped-before-protect");
  const auto guarded =
      session_->phase("protect", [&](Progress&) { return protect_store(*session_, *store_); });
  if (!guarded) return guarded;
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  if (auto entered = store_->enter(StoreState::kWiped); !entered) return entered;
  session_->report().durable = true;
  // What users wrote while we moved is in the store now, or it is listed: the caller must look
  // before going on.
  if (store_->record().missed != 0 || store_->record().unstable != 0 ||
      session_->count(ProblemKind::kUnstable) != 0)
    session_->report().exit_code = static_cast<int>(Fault::kIncomplete);
  return {};
}

Status WipeVolume::delete_if_asked() {
  bool wanted = options_->delete_old;
  if (!wanted && options_->need_bytes) {
    const auto space = space_of(store_->root().fd);
    if (!space) return failed("statvfs", place_.root, space.error());
    wanted = space->free_bytes < *options_->need_bytes;
  }
  if (!wanted) return {};
  // Whoever asks again has seen what was listed; what is wanted and not held stays in any case.
  if (session_->report().exit_code != 0 && !was_wiped_) {
    session_->problem(
        {.kind = ProblemKind::kWarning,
         .path = {},
         .operation = {},
         .error_number = 0,
         .reason =
             "the old system was not deleted: look at what is listed, then run wipe --delete"});
    return {};
  }
  return delete_old_system(*session_, *store_);
}

/// The image that failed goes to failed/M; nothing of it is taken into the store.
Status WipeVolume::move_failed_image() {
  const auto plan = load_wipe_plan(*store_, store_->record().wipe_number);
  if (!plan) return std::unexpected(plan.error());
  if (auto complete = check_complete(*store_, *plan); !complete) return complete;
  if (store_->record().state != StoreState::kWiped) {
    if (auto entered = store_->enter(StoreState::kWiped); !entered) return entered;
  }
  FlagJournal flags(*store_);
  const auto moved = move_image_away(*session_, *store_, flags, *plan);
  if (!moved) return std::unexpected(moved.error());
  session_->report().counts.set(Count::kMovedAside, moved->moved);
  // What was restored went with the image: nothing counts as restored any more.
  if (auto forgotten = forget_restores(*store_); !forgotten) return forgotten;
  if (auto finished = flags.finish(); !finished) return finished;
  store_->record().restored_all = false;
  if (auto marked = write_marker(); !marked) return marked;
  if (!store_->record().protected_dirs) {
    if (auto guarded = protect_store(*session_, *store_); !guarded) return guarded;
  }
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  if (auto saved = store_->save(); !saved) return saved;
  session_->report().durable = true;
  return {};
}

}  // namespace

RunReport wipe(const Targets& targets, const WipeOptions& options, const RunContext& context) {
  std::vector<std::unique_ptr<WipeVolume>> volumes(targets.roots.size());
  std::vector<std::unique_ptr<Session>> sessions(targets.roots.size());
  std::vector<char> ready(targets.roots.size(), 0);
  RunReport run;
  run.volumes.resize(targets.roots.size());
  bool resolved = true;
  std::vector<StorePlace> places;
  for (std::size_t i = 0; i < targets.roots.size(); ++i) {
    auto place = resolve_place(targets.roots[i], targets.store);
    Status status = place ? Status{} : std::unexpected(place.error());
    places.push_back(place ? *place : StorePlace{});
    if (status) status = check_overlap(places);
    sessions[i] =
        std::make_unique<Session>(context, "wipe", place ? place->root : targets.roots[i]);
    if (status) {
      volumes[i] = std::make_unique<WipeVolume>(*sessions[i], std::move(*place), options);
    } else {
      resolved = false;
      run.volumes[i] = sessions[i]->finish(std::move(status), nullptr);
    }
  }
  const unsigned width = context.jobs == 1 ? 1 : static_cast<unsigned>(volumes.size());
  parallel_for(width, volumes.size(),
               [&](std::size_t i) { ready[i] = volumes[i] && volumes[i]->prepare() ? 1 : 0; });
  const bool all = resolved && std::ranges::all_of(ready, [](char r) { return r != 0; });
  parallel_for(width, volumes.size(), [&](std::size_t i) {
    if (!volumes[i]) return;
    if (!all) {
      run.volumes[i] = volumes[i]->give_up("nothing was done: another ROOT was refused");
    } else if (options.dry_run) {
      run.volumes[i] = volumes[i]->give_up("go: the same command without --dry-run, with --yes");
    } else {
      run.volumes[i] = volumes[i]->execute();
    }
  });
  return run;
}

}  // namespace holdfast::core
