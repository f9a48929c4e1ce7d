#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/gaps.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/refresh.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/space.hpp"
#include "storecore/ops/survey.hpp"
#include "storecore/ops/volumes.hpp"
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
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;

namespace {

/// What the sealed catalog holds, into the report.
void report_totals(Session& session, const Store& store) {
  const auto& counts = store.record().counts;
  for (const Count count : {Count::kEntries, Count::kFiles, Count::kInodes, Count::kDirectories,
                            Count::kSymlinks, Count::kSpecials, Count::kBytes, Count::kSetuid}) {
    if (const auto known = counts.find(std::string(to_word(count))); known != counts.end())
      session.report().counts.set(count, known->second);
  }
}

/// One ROOT of a capture, from its first look to the tie with the others.
class CaptureVolume {
 public:
  CaptureVolume(Session& session, StorePlace place, const CaptureOptions& options,
                std::string capture_id)
      : session_(&session),
        place_(std::move(place)),
        options_(&options),
        capture_id_(std::move(capture_id)) {}

  [[nodiscard]] VolumeReport run();
  /// After a run that left a sealed (or linked) store.
  [[nodiscard]] std::optional<Store>& store() noexcept { return store_; }
  [[nodiscard]] const std::optional<Store>& store() const noexcept { return store_; }
  [[nodiscard]] const std::vector<CaptureWalk::Border>& borders() const noexcept {
    return borders_;
  }
  /// What this run was asked to select here; nullopt: what the store had selected before.
  [[nodiscard]] const std::optional<SelectionSpec>& asked() const noexcept { return asked_; }

 private:
  [[nodiscard]] Status work();
  [[nodiscard]] Status open_store();
  [[nodiscard]] Status make_store();
  [[nodiscard]] Status check_filesystem() const;
  [[nodiscard]] Status check_room(const SelectionSpec& spec);
  [[nodiscard]] Status ask_rules(bool has_store);
  [[nodiscard]] Status settle_selection();
  [[nodiscard]] Result<std::uint64_t> would_leave(const SelectionSpec& wanted) const;
  [[nodiscard]] Status note_options();
  [[nodiscard]] Status dry_run();

  Session* session_;
  StorePlace place_;
  const CaptureOptions* options_;
  std::string capture_id_;
  std::optional<Store> store_;
  std::optional<Selection> selection_;
  std::optional<SelectionSpec> asked_;
  SelectionSpec spec_;
  bool fresh_ = false;
  std::vector<CaptureWalk::Border> borders_;
};

Status CaptureVolume::check_filesystem() const {
  const auto mounts = read_mounts();
  if (!mounts) return std::unexpected(mounts.error());
  const auto stat = stat_path(place_.root);
  if (!stat) return catalog::failed("statx", place_.root, stat.error());
  const Mount* mount = find_mount(*mounts, stat->mount_id);
  if (mount == nullptr) return {};
  switch (classify_fs(mount->fs_type)) {
    case FsClass::kOverlay:
      return catalog::refused("overlay-filesystem", place_.root,
                              fmt::format("{}: a link there copies the bytes", mount->fs_type),
                              "name a directory of the filesystem below it");
    case FsClass::kNetwork:
      return catalog::refused(
          "network-filesystem", place_.root,
          fmt::format("{}: the catalog cannot live on a network filesystem", mount->fs_type));
    case FsClass::kPseudo:
      return catalog::refused("pseudo-filesystem", place_.root,
                              fmt::format("{} holds no files to keep", mount->fs_type));
    default:
      return {};
  }
}

Status CaptureVolume::check_room(const SelectionSpec& spec) {
  const auto selection = Selection::compile(spec);
  if (!selection) return std::unexpected(selection.error());
  return check_room_for_store(*session_, place_.root, *selection);
}

/// Settles what this run is asked to select: by name, or by the rules if there is no store yet or
/// they were asked for.
Status CaptureVolume::ask_rules(bool has_store) {
  asked_ = options_->selection;
  if (asked_ || !options_->rules || (has_store && !options_->rules->given)) return {};
  const auto root = open_dir_path(place_.root);
  if (!root) return catalog::failed("open", place_.root, root.error());
  auto selected = select_by_rules(*root, place_.root, *options_->rules);
  if (!selected) return std::unexpected(selected.error());
  for (const PeopleNote& note : selected->notes)
    session_->problem({.kind = ProblemKind::kWarning,
                       .path = note.path,
                       .operation = {},
                       .error_number = 0,
                       .reason = note.user.empty()
                                     ? note.reason
                                     : fmt::format("{}: {}", note.user, note.reason)});
  for (const PresentComponent& component : selected->components) {
    if (component.warning.empty()) continue;
    session_->problem({.kind = ProblemKind::kWarning,
                       .path = {},
                       .operation = {},
                       .error_number = 0,
                       .reason = fmt::format("{}: {}", component.title, component.warning)});
  }
  session_->note(fmt::format("{} components of the rules have something to say, {} patterns",
                             selected->components.size(), selected->spec.rules.size()));
  asked_ = std::move(selected->spec);
  return {};
}

Status CaptureVolume::make_store() {
  if (auto asked = ask_rules(false); !asked) return asked;
  if (!asked_)
    return catalog::fail(Fault::kUsage, place_.root, "what is to be captured?",
                         "--everything, or --include PATTERN as often as needed");
  if (auto fits = check_filesystem(); !fits) return fits;
  if (auto room = check_room(*asked_); !room) return room;
  StoreRecord record;
  record.capture_id = capture_id_;
  record.created_by = session_->context().version;
  record.labels = options_->labels;
  if (auto room = StateFile::check_room(record); !room) return room;
  auto store = Store::create(place_, std::move(record), session_->command(), session_->context());
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  spec_ = *asked_;
  fresh_ = true;
  return save_selection(*store_, spec_);
}

Status CaptureVolume::open_store() {
  auto store = Store::open(place_, Store::Access::kWrite, session_->command(), session_->context());
  if (!store) {
    if (store.error().fault == Fault::kNoStore) return make_store();
    return std::unexpected(store.error());
  }
  store_ = std::move(*store);
  const StoreState state = store_->record().state;
  if (state != StoreState::kCapturing && state != StoreState::kLinked &&
      state != StoreState::kSealed)
    return catalog::refused(
        "wrong-state", place_.root,
        fmt::format("the store is in state {}: the originals are gone", to_word(state)),
        "restore or rollback first");
  if (auto same = store_->check_identity(); !same) return same;
  if (auto barrier = store_->check_barrier(); !barrier) return barrier;
  if (auto mended = FlagJournal::recover(*store_); !mended) return mended;
  if (state == StoreState::kSealed) {
    // Its checksum is compared before LMDB maps it.
    const auto intact = open_sealed_catalog(*store_, CatalogCheck::kAlways);
    if (!intact) return std::unexpected(intact.error());
  }
  return settle_selection();
}

/// The stored selection stands unless --replace-selection says otherwise.
Status CaptureVolume::settle_selection() {
  auto stored = load_selection(*store_);
  // A crash before the first selection was written: as if there were no store yet.
  const bool has_none = !stored && stored.error().cause.value() == ENOENT;
  if (!stored && !has_none) return std::unexpected(stored.error());
  if (auto asked = ask_rules(!has_none); !asked) return asked;
  if (has_none) {
    if (!asked_) return std::unexpected(stored.error());
    spec_ = *asked_;
    return save_selection(*store_, spec_);
  }
  spec_ = std::move(*stored);
  if (!asked_ || *asked_ == spec_) return {};
  if (!options_->replace_selection) {
    const auto leaving = would_leave(*asked_);
    if (!leaving) return std::unexpected(leaving.error());
    return catalog::refused(
        "other-selection", place_.root,
        fmt::format("the store was made with another selection; {} entries would leave it",
                    *leaving),
        "--replace-selection does that; without a selection the stored one is used");
  }
  spec_ = *asked_;
  return save_selection(*store_, spec_);
}

Result<std::uint64_t> CaptureVolume::would_leave(const SelectionSpec& wanted) const {
  const auto selection = Selection::compile(wanted);
  if (!selection) return std::unexpected(selection.error());
  const auto env = open_catalog_for_write(*store_);
  if (!env) return std::unexpected(env.error());
  const auto txn = catalog::ReadTxn::begin(*env);
  if (!txn) return std::unexpected(txn.error());
  const catalog::Reader reader(*txn);
  std::uint64_t leaving = 0;
  catalog::DirId last = catalog::kNoDir;
  std::string path;
  const auto status = reader.for_each_entry_after(
      {}, [&](catalog::DirId parent, const catalog::Entry& entry) -> Result<bool> {
        if (parent != last) {
          auto found = reader.path_of(parent);
          if (!found) return std::unexpected(found.error());
          path = std::move(*found);
          last = parent;
        }
        const bool is_directory = entry.kind == catalog::Entry::Kind::kDirectory;
        if (judge_path(*selection, catalog::join_path(path, entry.name), is_directory) ==
            Selection::Verdict::kUnselected)
          ++leaving;
        return true;
      });
  if (!status) return std::unexpected(status.error());
  return leaving;
}

Status CaptureVolume::note_options() {
  StoreRecord& record = store_->record();
  bool changed = false;
  for (const auto& [key, value] : options_->labels) {
    std::string& label = record.labels[key];
    changed = changed || label != value;
    label = value;
  }
  for (const std::string& pattern : options_->accept_missed) {
    if (std::ranges::find(record.accepted, pattern) != record.accepted.end()) continue;
    record.accepted.push_back(pattern);
    changed = true;
  }
  if (!changed) return {};
  if (auto room = StateFile::check_room(record); !room) return room;
  return fresh_ ? Status{} : store_->save();
}

Status CaptureVolume::dry_run() {
  std::optional<Store> store;
  if (auto opened =
          Store::open(place_, Store::Access::kRead, session_->command(), session_->context())) {
    store = std::move(*opened);
    const StoreState state = store->record().state;
    session_->report().state = state;
    if (state != StoreState::kCapturing && state != StoreState::kLinked &&
        state != StoreState::kSealed)
      return catalog::refused("wrong-state", place_.root, "the originals are gone",
                              "restore or rollback first");
  } else if (opened.error().fault != Fault::kNoStore) {
    return std::unexpected(opened.error());
  }
  if (auto asked = ask_rules(store.has_value()); !asked) return asked;
  if (asked_) {
    spec_ = *asked_;
  } else if (store) {
    auto stored = load_selection(*store);
    if (!stored) return std::unexpected(stored.error());
    spec_ = std::move(*stored);
  } else {
    return catalog::fail(Fault::kUsage, place_.root, "what is to be captured?",
                         "--everything, or --include PATTERN as often as needed");
  }
  if (auto fits = check_filesystem(); !fits) return fits;
  auto selection = Selection::compile(spec_);
  if (!selection) return std::unexpected(selection.error());
  const auto root = open_dir_path(place_.root);
  if (!root) return catalog::failed("open", place_.root, root.error());
  return session_->phase("survey", [&](Progress& progress) -> Status {
    const auto seen = survey(*root, store ? store->dir() : DirFd(), *selection, SurveyScope::kAll,
                             progress, session_->context(), place_.root);
    if (!seen) return std::unexpected(seen.error());
    for (const catalog::Problem& problem : seen->unseen) session_->problem(problem);
    Counts& counts = session_->report().counts;
    counts.set(Count::kFiles, seen->files);
    counts.set(Count::kDirectories, seen->directories);
    counts.set(Count::kSymlinks, seen->symlinks);
    counts.set(Count::kSpecials, seen->specials);
    counts.set(Count::kBytes, seen->bytes);
    session_->report().not_selected = seen->largest_unselected;
    session_->report().next = "the same command without --dry-run";
    for (const std::string& pattern : selection->unmatched_includes())
      session_->problem({.kind = ProblemKind::kMissed,
                         .path = pattern,
                         .operation = {},
                         .error_number = 0,
                         .reason = "nothing matches this --include"});
    if (store) return {};
    const auto space = space_of(root->get());
    if (!space) return catalog::failed("statvfs", place_.root, space.error());
    return check_room_for_store(*session_, place_.root, *space, *seen);
  });
}

Status CaptureVolume::work() {
  if (options_->dry_run) return dry_run();
  if (auto opened = open_store(); !opened) return opened;
  session_->log_into(*store_);
  if (auto noted = note_options(); !noted) return noted;
  auto selection = Selection::compile(spec_);
  if (!selection) return std::unexpected(selection.error());
  selection_ = std::move(*selection);

  auto source = open_at(store_->root(), ".", O_RDONLY | O_DIRECTORY | O_NOATIME);
  if (!source) source = open_at(store_->root(), ".", O_RDONLY | O_DIRECTORY);
  if (!source) return catalog::failed("openat", place_.root, source.error());
  CaptureWalkOptions walk;
  walk.refresh = !fresh_;
  walk.resume = !fresh_ && store_->record().state == StoreState::kCapturing;
  RefreshOptions refresh;
  refresh.sources.push_back({.dir = std::move(*source), .options = std::move(walk)});
  refresh.allow_vanished = options_->allow_vanished || options_->replace_selection;
  refresh.hash_later = options_->hash_later;
  const StoreState before = store_->record().state;
  auto done = refresh_store(*session_, *store_, *selection_, std::move(refresh));
  if (!done) return std::unexpected(done.error());
  borders_ = std::move(done->borders);
  report_totals(*session_, *store_);
  session_->report().durable = true;
  session_->report().nothing_to_do = !done->changed && before == StoreState::kSealed;
  if (done->vanished_refused)
    return catalog::refused(
        "vanished", place_.root,
        fmt::format("{} of {} catalogued entries are gone from ROOT; nothing was dropped",
                    done->would_drop, store_->record().counts["entries"]),
        "look whether everything is mounted; --allow-vanished lets them go");
  return {};
}

VolumeReport CaptureVolume::run() {
  Status status = work();
  VolumeReport& report = session_->report();
  std::uint64_t missed = session_->count(ProblemKind::kMissed);
  if (status && store_ && !options_->dry_run) missed = store_->record().missed;
  if (missed != 0) report.exit_code = static_cast<int>(Fault::kIncomplete);
  return session_->finish(std::move(status), store_ ? &*store_ : nullptr);
}

/// Every store of the run learns of the others.
void tie(std::vector<std::unique_ptr<CaptureVolume>>& volumes, RunReport& run) {
  std::vector<TiedVolume> all;
  for (auto& volume : volumes) {
    if (!volume->store()) continue;
    if (auto tied = describe_volume(*volume->store())) all.push_back(std::move(*tied));
  }
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    auto& store = volumes[i]->store();
    if (!store) continue;
    std::vector<TiedVolume> others;
    for (const TiedVolume& tied : all) {
      if (!(tied.root == store->record().root && tied.volume == store->record().volume))
        others.push_back(tied);
    }
    const auto& known = store->record().volumes;
    const bool same =
        others.size() == known.size() &&
        std::ranges::equal(others, known, [](const TiedVolume& a, const TiedVolume& b) {
          return a.root == b.root && a.volume == b.volume && a.path == b.path;
        });
    // A ROOT captured alone later keeps what it was tied to.
    if (same || volumes.size() == 1) continue;
    store->record().volumes = std::move(others);
    if (auto saved = store->save(); !saved && !run.volumes[i].error) {
      run.volumes[i].error = saved.error();
      run.volumes[i].exit_code = static_cast<int>(saved.error().fault);
    }
  }
}

/// The id of the first ROOT that has a store; a new one otherwise.
std::string shared_capture_id(const Targets& targets) {
  for (const std::string& root : targets.roots) {
    const auto place = resolve_place(root, targets.store);
    if (!place) continue;
    if (const auto store = Store::open(*place, Store::Access::kPeek, {}, {}))
      return store->record().capture_id;
  }
  return make_uuid();
}

struct Added {
  std::string root;
  std::optional<SelectionSpec> selection;
};

/// What --all-volumes adds to one ROOT: mounts, and the subvolumes that its walk met.
std::vector<Added> further_volumes(const std::string& root,
                                   const std::vector<CaptureWalk::Border>& borders,
                                   const std::optional<SelectionSpec>& asked) {
  std::vector<std::string> paths;
  if (auto mounted = volumes_below(root)) paths = std::move(*mounted);
  for (const CaptureWalk::Border& border : borders) {
    if (border.subvolume)
      paths.push_back(root == "/" ? "/" + border.path : root + "/" + border.path);
  }
  std::vector<Added> added;
  for (const std::string& path : paths) {
    const auto components = catalog::split_path(path.substr(root == "/" ? 0 : root.size()));
    if (!components) continue;
    const auto dir = open_dir_path(path);
    if (!dir) continue;
    Added one{.root = path, .selection = std::nullopt};
    if (asked) {
      one.selection = rebase_selection(*asked, *components);
      if (!one.selection) continue;
    }
    added.push_back(std::move(one));
  }
  return added;
}

}  // namespace

RunReport capture(const Targets& targets, const CaptureOptions& options,
                  const RunContext& context) {
  RunReport run;
  std::vector<std::unique_ptr<CaptureVolume>> volumes;
  std::vector<std::unique_ptr<CaptureOptions>> kept_options;
  std::mutex mutex;
  const std::string id = shared_capture_id(targets);
  const auto capture_all = [&](const Targets& some, const CaptureOptions& how,
                               std::vector<std::unique_ptr<CaptureVolume>>& into) {
    return for_each_volume(some, "capture", context,
                           [&](Session& session, const StorePlace& place) {
                             auto volume = std::make_unique<CaptureVolume>(session, place, how, id);
                             VolumeReport report = volume->run();
                             const std::lock_guard lock(mutex);
                             into.push_back(std::move(volume));
                             return report;
                           });
  };
  run = capture_all(targets, options, volumes);
  if (options.all_volumes && !context.stopped()) {
    std::vector<std::string> done;
    done.reserve(run.volumes.size());
    for (const VolumeReport& volume : run.volumes) done.push_back(volume.root);
    // Volumes below volumes: each round looks below what the last one found.
    std::vector<const CaptureVolume*> todo;
    for (const auto& volume : volumes) {
      if (volume->store()) todo.push_back(volume.get());
    }
    while (!todo.empty()) {
      const CaptureVolume& above = *todo.back();
      todo.pop_back();
      for (Added& added :
           further_volumes(above.store()->place().root, above.borders(), above.asked())) {
        if (std::ranges::find(done, added.root) != done.end()) continue;
        done.push_back(added.root);
        kept_options.push_back(std::make_unique<CaptureOptions>(options));
        kept_options.back()->selection = added.selection;
        kept_options.back()->rules.reset();  // they are of the system above, whose people it has
        const std::size_t before = volumes.size();
        RunReport more = capture_all({.roots = {added.root}, .store = std::nullopt, .volumes = {}},
                                     *kept_options.back(), volumes);
        for (VolumeReport& report : more.volumes) run.volumes.push_back(std::move(report));
        if (volumes.size() > before && volumes.back()->store())
          todo.push_back(volumes.back().get());
      }
    }
  }
  // for_each_volume may have finished them in another order: reports and volumes meet by their
  // ROOT.
  std::ranges::sort(volumes, {}, [&](const std::unique_ptr<CaptureVolume>& volume) {
    const auto at = std::ranges::find(
        run.volumes, volume->store() ? volume->store()->place().root : std::string(),
        &VolumeReport::root);
    return at - run.volumes.begin();
  });
  if (volumes.size() == run.volumes.size()) tie(volumes, run);
  return run;
}

RunReport seal(const Targets& targets, const RunContext& context) {
  return for_each_volume(targets, "seal", context, [](Session& session, const StorePlace& place) {
    std::optional<Store> store;
    const auto work = [&]() -> Status {
      auto opened = Store::open(place, Store::Access::kWrite, "seal", session.context());
      if (!opened) return std::unexpected(opened.error());
      store = std::move(*opened);
      const StoreState state = store->record().state;
      if (state == StoreState::kSealed) {
        session.report().durable = true;
        session.report().nothing_to_do = store->record().missed == 0;
        if (store->record().missed != 0) {
          session.report().exit_code = static_cast<int>(Fault::kIncomplete);
          session.report().next = "holdfast capture " + place.root + " tries again what was missed";
        }
        return {};
      }
      if (state != StoreState::kLinked)
        return catalog::refused(
            "wrong-state", place.root, fmt::format("the store is in state {}", to_word(state)),
            state == StoreState::kCapturing ? "holdfast capture finishes it" : "");
      if (auto same = store->check_identity(); !same) return same;
      if (auto barrier = store->check_barrier(); !barrier) return barrier;
      if (auto mended = FlagJournal::recover(*store); !mended) return mended;
      session.log_into(*store);
      auto env = open_catalog_for_write(*store);
      if (!env) return std::unexpected(env.error());
      // A write through a mapping shows in a file's times only after this.
      if (auto barrier = store->barrier(); !barrier) return barrier;
      if (auto sealed = hash_and_seal(session, *store, std::move(*env), {}, StoreState::kSealed);
          !sealed)
        return sealed;
      report_totals(session, *store);
      session.report().durable = true;
      if (store->record().missed != 0)
        session.report().exit_code = static_cast<int>(Fault::kIncomplete);
      return {};
    };
    Status status = work();
    return session.finish(std::move(status), store ? &*store : nullptr);
  });
}

}  // namespace holdfast::core
