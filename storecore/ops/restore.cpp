#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/name.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/ops/followed.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/protect.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/ops/restore_plan.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/ops/restore_walk.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/mounts.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Fault;
using catalog::refused;
using catalog::Result;
using catalog::Status;

namespace {

constexpr std::size_t kMostOwnChanges = 64;
constexpr catalog::Timestamp kNotOverYet{.seconds = std::numeric_limits<std::int64_t>::max(),
                                         .nanoseconds = 0};
constexpr std::array<const char*, 2> kWrittenWhileProtected{layout::kJournal, layout::kDropped};

bool is_complete(const RestoreOptions& options) {
  return options.paths.empty() && !options.to && options.include.empty() && options.exclude.empty();
}

/// As the catalog writes it: without a leading slash and without empty components.
std::string plain_path(const std::string& path) {
  std::string plain;
  if (const auto components = catalog::split_path(path)) {
    for (const std::string& component : *components) plain = catalog::join_path(plain, component);
  }
  return plain;
}

/// Can this filesystem share extents? Tried on a file without a name, so that nothing at the
/// destination moves.
bool can_reflink(const Store& store, DirFd dest) {
  const auto source = open_at(store.dir(), layout::kReadme, O_RDONLY);
  const Fd probe(openat(dest.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return source && probe && ioctl(probe.get(), FICLONE, source->get()) == 0;
}

/// One volume's restore, from its first look to its state afterwards.
class RestoreVolume {
 public:
  RestoreVolume(Session& session, StorePlace place, const RestoreOptions& options)
      : session_(&session), place_(std::move(place)), options_(&options) {}
  [[nodiscard]] VolumeReport run();

 private:
  [[nodiscard]] Status work();
  [[nodiscard]] Status open_store();
  [[nodiscard]] Status open_destination();
  [[nodiscard]] Status check_mode() const;
  [[nodiscard]] Status make_plan();
  [[nodiscard]] Status carry_out();
  [[nodiscard]] Status look(RestoreRun& run);
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status note_moves();
  [[nodiscard]] Status put_everything(RestoreRun& run);
  [[nodiscard]] Status make_durable();
  [[nodiscard]] Status conclude(RestoreRun& run);
  [[nodiscard]] Status note_finished(RestoreRun& run, bool& all);
  [[nodiscard]] Status guard(bool immutable) const;
  void close_own_change();
  [[nodiscard]] bool remove_marker() const;
  void report_tally(const RestoreRun& run);
  [[nodiscard]] bool after_wipe() const {
    return before_ == StoreState::kWiped || before_ == StoreState::kRestoring ||
           before_ == StoreState::kRestored;
  }
  [[nodiscard]] bool changes_state() const { return is_complete(*options_) && after_wipe(); }
  [[nodiscard]] bool makes_names() const {
    return options_->mode == RestoreMode::kLink || options_->mode == RestoreMode::kMove;
  }

  Session* session_;
  StorePlace place_;
  const RestoreOptions* options_;
  std::optional<Store> store_;
  StoreState before_ = StoreState::kSealed;
  std::optional<catalog::Env> env_;
  std::optional<RestorePlan> plan_;
  RestoreNotes notes_;
  Fd dest_;
  Stat dest_stat_;
  std::string dest_path_;
  bool was_protected_ = false;
};

Status RestoreVolume::open_store() {
  const auto access = options_->dry_run ? Store::Access::kRead : Store::Access::kWrite;
  auto opened = Store::open(place_, access, session_->command(), session_->context());
  if (!opened) return std::unexpected(opened.error());
  store_ = std::move(*opened);
  before_ = store_->record().state;
  if (before_ != StoreState::kSealed && !after_wipe())
    return refused(
        "wrong-state", place_.root, fmt::format("the store is in state {}", to_word(before_)),
        before_ == StoreState::kWiping       ? "holdfast wipe or holdfast rollback finishes it"
        : before_ == StoreState::kDiscarding ? "holdfast discard finishes it"
                                             : "holdfast capture or holdfast seal finishes it");
  if (options_->mode == RestoreMode::kMove && !after_wipe())
    return refused("wrong-state", place_.root,
                   "the originals are still there, and move would empty the store",
                   "--mode link, or wipe first");
  if (auto same = store_->check_identity(); !same) return same;
  if (!options_->dry_run) {
    if (auto barrier = store_->check_barrier(); !barrier) return barrier;
  }
  auto env = open_sealed_catalog(*store_, CatalogCheck::kAlways);
  if (!env) return std::unexpected(env.error());
  env_ = std::move(*env);
  return {};
}

Status RestoreVolume::open_destination() {
  dest_path_ = place_.root;
  if (options_->to) {
    const auto to = resolve_place(*options_->to, std::nullopt);
    if (!to)
      return catalog::fail(Fault::kUsage, *options_->to,
                           "--to is an existing directory: this is none");
    dest_path_ = to->root;
    if (dest_path_ == place_.store || dest_path_.starts_with(place_.store + "/"))
      return catalog::fail(Fault::kUsage, *options_->to, "--to lies in the store");
  }
  auto dir = options_->to ? open_dir_path(dest_path_)
                          : open_at(store_->root(), ".", O_RDONLY | O_DIRECTORY);
  if (!dir) return failed("open", dest_path_, dir.error());
  dest_ = std::move(*dir);
  const auto stat = stat_fd(dest_.get());
  if (!stat) return failed("statx", dest_path_, stat.error());
  dest_stat_ = *stat;
  return check_mode();
}

/// Before anything is done: a mode that cannot work is never replaced by another in silence.
Status RestoreVolume::check_mode() const {
  if (makes_names() && !dest_stat_.same_volume(store_->store_stat()))
    return refused("mode-impossible", dest_path_,
                   fmt::format("--mode {}: the destination is on another volume than the store",
                               to_word(options_->mode)),
                   "--mode copy");
  if (options_->mode == RestoreMode::kReflink && !can_reflink(*store_, dest_))
    return refused("mode-impossible", dest_path_,
                   "--mode reflink: the filesystem cannot share extents there",
                   "--mode copy, or --mode link");
  return {};
}

Status RestoreVolume::make_plan() {
  return session_->phase("plan", [&](Progress&) -> Status {
    if (after_wipe()) {
      auto notes = read_restore_notes(*store_);
      if (!notes) return std::unexpected(notes.error());
      notes_ = std::move(*notes);
    }
    const auto txn = catalog::ReadTxn::begin(*env_);
    if (!txn) return std::unexpected(txn.error());
    const bool ignore_finished = options_->again || options_->to.has_value();
    auto plan =
        RestorePlan::make(*options_, ignore_finished ? std::vector<std::string>() : notes_.finished,
                          catalog::Reader(*txn));
    if (!plan) return std::unexpected(plan.error());
    plan_ = std::move(*plan);
    return {};
  });
}

/// Takes the flags that a protected store has off the directories in which this run may have to
/// write, or sets them again.
Status RestoreVolume::guard(bool immutable) const {
  for (const char* name : kWrittenWhileProtected) {
    const auto dir = store_->subdir(name);
    if (!dir) return std::unexpected(dir.error());
    if (const auto set = set_immutable(dir->get(), immutable); !set)
      return failed("ioctl(FS_IOC_SETFLAGS)", name, set.error());
  }
  return {};
}

/// What must be durable before the first change.
Status RestoreVolume::prepare() {
  StoreRecord& record = store_->record();
  if (changes_state() || options_->mode == RestoreMode::kMove) {
    if (auto open = unprotect_store(*session_, *store_); !open) return open;
  }
  was_protected_ = record.protected_dirs;
  if (was_protected_) {
    if (auto open = guard(false); !open) return open;
  }
  bool changed = false;
  if (makes_names()) {
    // Open to the future until this run, or the one that ends its work, knows when it was over.
    const bool goes_on = !record.own_changes.empty() && record.own_changes.back().to == kNotOverYet;
    if (!goes_on) record.own_changes.push_back({.from = now(), .to = kNotOverYet});
    changed = !goes_on;
  }
  if (options_->mode == RestoreMode::kMove) {
    if (auto noted = note_moves(); !noted) return noted;
    changed = changed || !record.moved_out;
    record.moved_out = true;
  }
  if (changes_state()) {
    changed = changed || record.state != StoreState::kRestoring;
    record.state = StoreState::kRestoring;
  }
  failpoint("restore-prepared");
  return changed ? store_->save() : Status{};
}

/// Where names go that leave the store: verify finds them there.
Status RestoreVolume::note_moves() {
  const std::string to = options_->to ? dest_path_ : std::string();
  RestoreNotes notes;
  notes.moved.push_back({.to = to, .from = {}, .into = {}});
  for (const PathMapping& mapping : options_->maps)
    notes.moved.push_back(
        {.to = to, .from = plain_path(mapping.from), .into = plain_path(mapping.to)});
  return add_restore_notes(*store_, notes);
}

/// The pass that changes nothing: --dry-run, and --on-conflict fail.
Status RestoreVolume::look(RestoreRun& run) {
  auto looked = session_->phase("look", [&](Progress& progress) -> Status {
    run.progress = &progress;
    progress.total_files = recorded_counts(store_->record()).get(Count::kEntries).value_or(0);
    return RestoreWalk(run).run(RestorePass::kLook);
  });
  if (!looked) return looked;
  const std::uint64_t conflicts = run.tally.undecided;
  if (options_->on_conflict != ConflictPolicy::kFail || conflicts == 0) return {};
  return refused("conflicts", dest_path_,
                 fmt::format("{} captured entries are in conflict with what is there", conflicts),
                 "another --on-conflict decides them");
}

Status RestoreVolume::put_everything(RestoreRun& run) {
  RestoreWalk walk(run);
  const std::uint64_t entries = recorded_counts(store_->record()).get(Count::kEntries).value_or(0);
  auto restored = session_->phase("restore", [&](Progress& progress) -> Status {
    run.progress = &progress;
    progress.total_files = entries;
    if (auto done = walk.run(RestorePass::kRestore); !done) return done;
    if (auto finished = run.flags.finish(); !finished) return finished;
    failpoint("restore-before-barrier");
    return make_durable();
  });
  if (!restored) return restored;
  if (options_->verify != VerifyMode::kNone) {
    auto checked = session_->phase("verify", [&](Progress& progress) -> Status {
      run.progress = &progress;
      if (auto done = walk.check_moved(); !done) return done;
      return options_->verify == VerifyMode::kFull ? walk.run(RestorePass::kCheck) : Status{};
    });
    if (!checked) return checked;
  }
  if (options_->mode != RestoreMode::kMove) return {};
  return session_->phase("clear", [&](Progress& progress) -> Status {
    run.progress = &progress;
    if (auto done = walk.run(RestorePass::kClear); !done) return done;
    if (auto finished = run.flags.finish(); !finished) return finished;
    return make_durable();
  });
}

Status RestoreVolume::make_durable() {
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  if (dest_stat_.same_volume(store_->store_stat())) return {};
  auto synced = syncfs_fd(dest_.get());
  if (synced) synced = fsync_fd(dest_.get());
  if (!synced) return failed("syncfs", dest_path_, synced.error());
  return {};
}

void RestoreVolume::close_own_change() {
  auto& changes = store_->record().own_changes;
  if (changes.empty() || changes.back().to != kNotOverYet) return;
  changes.back().to = now();
  while (changes.size() > kMostOwnChanges) {
    changes[1].from = changes[0].from;
    changes.erase(changes.begin());
  }
}

/// Notes finished PATHs, and finds out whether they add up to everything.
Status RestoreVolume::note_finished(RestoreRun& run, bool& all) {
  const bool in_place = !options_->to && options_->maps.empty() && options_->include.empty() &&
                        options_->exclude.empty();
  if (!after_wipe() || options_->paths.empty() || !in_place) return {};
  RestoreNotes notes;
  for (const std::string& path : options_->paths) {
    notes.finished.push_back(plain_path(path));
  }
  if (auto noted = add_restore_notes(*store_, notes); !noted) return noted;
  notes.finished.insert(notes.finished.end(), notes_.finished.begin(), notes_.finished.end());
  const auto txn = catalog::ReadTxn::begin(run.env);
  if (!txn) return std::unexpected(txn.error());
  const auto covered = covers_catalog(notes.finished, catalog::Reader(*txn));
  if (!covered) return std::unexpected(covered.error());
  all = *covered;
  return {};
}

/// Everything is durable at its place; now it is written down.
Status RestoreVolume::conclude(RestoreRun& run) {
  StoreRecord& record = store_->record();
  const RestoreTally& tally = run.tally;
  const bool whole = tally.left == 0 && tally.missing == 0 && tally.undecided == 0;
  if (options_->mode == RestoreMode::kMove) {
    RestoreNotes notes;
    for (const auto& [captured, where] : run.beside())
      notes.moved.push_back(
          {.to = options_->to ? dest_path_ : std::string(), .from = captured, .into = where});
    if (auto noted = add_restore_notes(*store_, notes); !noted) return noted;
  }
  bool all = changes_state();
  if (whole) {
    if (auto noted = note_finished(run, all); !noted) return noted;
  }
  const bool closes = makes_names();
  if (closes) close_own_change();
  if (whole && all) {
    record.state = StoreState::kRestored;
    record.restored_all = true;
  }
  failpoint("restore-before-state");
  if (closes || all) {
    if (auto saved = store_->save(); !saved) return saved;
  }
  bool undurable = false;
  if (was_protected_ && !all) {
    if (auto closed = guard(true); !closed) return closed;
    undurable = true;
  } else if (was_protected_) {
    // The parts add up to everything: the store protects nothing any more that is not in place.
    if (auto open = unprotect_store(*session_, *store_); !open) return open;
  }
  if (whole && all) undurable = remove_marker() || undurable;
  if (undurable) {
    if (auto barrier = store_->barrier(); !barrier) return barrier;
  }
  session_->report().durable = true;
  session_->report().nothing_to_do =
      whole && tally.changed == 0 && tally.conflicts == 0 && record.state == before_;
  return {};
}

/// wipe's warning is of no use any more. ROOT keeps its times: they may have just been given back.
/// True if it was there: the caller makes a barrier.
bool RestoreVolume::remove_marker() const {
  const auto marker = stat_at(store_->root(), layout::kMarker);
  if (!marker || !marker->is_regular()) return false;
  const auto root = stat_fd(store_->root().fd);
  if (!unlink_at(store_->root(), layout::kMarker)) return false;
  if (root) (void)set_times_fd(store_->root().fd, root->atime, root->mtime);
  return true;
}

void RestoreVolume::report_tally(const RestoreRun& run) {
  Counts& counts = session_->report().counts;
  const RestoreTally& tally = run.tally;
  counts.set(Count::kRestored, tally.restored);
  counts.set(Count::kConflicts, tally.conflicts + tally.undecided);
  counts.set(Count::kDisplaced, run.displaced.taken());
  counts.set(Count::kLeft, tally.left);
  counts.set(Count::kSetuid, tally.setuid);
  counts.set(Count::kCapabilities, tally.capabilities);
  if (options_->mode == RestoreMode::kLink) counts.set(Count::kLinked, tally.linked);
  if (options_->mode == RestoreMode::kReflink) counts.set(Count::kReflinked, tally.reflinked);
  if (run.copies()) counts.set(Count::kCopied, tally.copied);
  // Who chose `existing` has decided already; all other conflicts are for a person to look at.
  const bool decided = options_->on_conflict == ConflictPolicy::kExisting || tally.conflicts == 0;
  if (tally.undecided != 0 || tally.left != 0 || !decided)
    session_->report().exit_code = static_cast<int>(Fault::kIncomplete);
}

Status RestoreVolume::carry_out() {
  const auto budget = std::make_shared<FdBudget>(FdBudget::default_size());
  auto tree = store_->tree(budget);
  if (!tree) return std::unexpected(tree.error());
  auto dest = open_at(dest_, ".", O_RDONLY | O_DIRECTORY);
  if (!dest) return failed("openat", dest_path_, dest.error());
  FlagJournal flags(*store_);
  Attic displaced(store_->dir(), layout::kDisplaced, make_run_name());
  Attic dropped(store_->dir(), layout::kDropped, make_run_name());
  RestoreSetup setup{.store = *store_,
                     .env = *env_,
                     .plan = *plan_,
                     .options = *options_,
                     .context = session_->context(),
                     .flags = flags,
                     .displaced = displaced,
                     .dropped = dropped,
                     .budget = budget,
                     .dest = DirNode::root(std::move(*dest), budget),
                     .dest_stat = dest_stat_,
                     .dest_path = dest_path_,
                     .from_root = std::nullopt,
                     .mounts = {},
                     .mirror = std::move(*tree),
                     .privileged = geteuid() == 0};
  if (dest_path_ == place_.root) setup.from_root = "";
  if (dest_path_.starts_with(place_.root + "/"))
    setup.from_root = dest_path_.substr(place_.root.size() + 1);
  if (const auto mounts = read_mounts()) setup.mounts = mounts_below(*mounts, dest_path_);
  RestoreRun run(std::move(setup));

  if (options_->dry_run || options_->on_conflict == ConflictPolicy::kFail) {
    run.looks_ahead = !options_->dry_run;
    auto looked = look(run);
    if (!looked || options_->dry_run) {
      report_tally(run);
      session_->report().next = "the same command without --dry-run";
      return looked;
    }
    run.start_over();
  }
  auto done = prepare();
  if (done) done = put_everything(run);
  if (done) done = conclude(run);
  report_tally(run);
  return done;
}

Status RestoreVolume::work() {
  if (auto opened = open_store(); !opened) return opened;
  session_->report().counts.set(Count::kEntries,
                                recorded_counts(store_->record()).get(Count::kEntries).value_or(0));
  if (auto opened = open_destination(); !opened) return opened;
  if (auto planned = make_plan(); !planned) return planned;
  if (before_ == StoreState::kRestored && is_complete(*options_) && !options_->again) {
    // Users have gone on working: what is there now is theirs.
    if (!options_->dry_run && remove_marker()) {
      if (auto barrier = store_->barrier(); !barrier) return barrier;
    }
    session_->report().nothing_to_do = true;
    session_->report().durable = true;
    return {};
  }
  if (!options_->dry_run) {
    session_->log_into(*store_);
    if (auto mended = FlagJournal::recover(*store_); !mended) return mended;
  }
  return carry_out();
}

VolumeReport RestoreVolume::run() {
  Status status = work();
  return session_->finish(std::move(status), store_ ? &*store_ : nullptr);
}

}  // namespace

RunReport restore(const Targets& targets, const RestoreOptions& options,
                  const RunContext& context) {
  if (!is_complete(options)) {
    return for_each_volume(targets, "restore", context,
                           [&](Session& session, const StorePlace& place) {
                             return RestoreVolume(session, place, options).run();
                           });
  }
  // --map speaks of the named ROOT; volumes that were captured with it come back as they were.
  RestoreOptions unmapped = options;
  unmapped.maps.clear();
  std::optional<std::string> named;
  if (!targets.roots.empty()) {
    if (const auto place = resolve_place(targets.roots.front(), targets.store)) named = place->root;
  }
  return for_each_followed_volume(
      targets, "restore", context, [&](Session& session, const StorePlace& place) {
        return RestoreVolume(session, place, named == place.root ? options : unmapped).run();
      });
}

}  // namespace holdfast::core
