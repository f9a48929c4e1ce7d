// The order of a repair, and what a crash leaves at each step:
//
//   state       only where it cannot be read: a new record from what else is there
//   journals    damaged lines out, each file replaced in one step, the old one beside it
//   unprotect   the record says so first, as everywhere
//   rebuild     in catalog/rebuild-SUM/, which also keeps the manifests as they were found: a
//               second run starts again from the same sources, not from what the first one wrote
//   swap        the damaged catalog becomes catalog/damaged-N, the new one takes its name
//   record      checksum and counts of the new catalog, durable
//   protect     where the state is wiped
//
// Between swap and record the checksum does not fit: the next repair builds the same catalog once
// more. Nothing in tree/, aside/, dropped/, displaced/ or failed/ is ever unlinked.
#include <fmt/format.h>

#include <cerrno>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/manifest.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/schema.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/followed.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/protect.hpp"
#include "storecore/ops/refresh.hpp"
#include "storecore/ops/repair_build.hpp"
#include "storecore/ops/repair_run.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/journal.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/manifest_reader.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Fault;
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;

namespace {

class RepairVolume {
 public:
  RepairVolume(Session& session, StorePlace place) : session_(&session), place_(std::move(place)) {}
  [[nodiscard]] VolumeReport run();

 private:
  [[nodiscard]] Status work();
  [[nodiscard]] Status open_store();
  [[nodiscard]] Status make_state();
  [[nodiscard]] Status mend_dirs();
  [[nodiscard]] Status mend_state_slot();
  [[nodiscard]] Status mend_journals();
  [[nodiscard]] Result<bool> mend_journal(const char* name);
  [[nodiscard]] Status look_at_catalog();
  [[nodiscard]] Status look_at_sound_catalog();
  [[nodiscard]] Status open_up();
  [[nodiscard]] Status mend_selection();
  [[nodiscard]] Status mend_manifests();
  [[nodiscard]] Status rebuild();
  [[nodiscard]] Status close_again();
  void say(ProblemKind kind, std::string path, std::string_view reason);

  Session* session_;
  StorePlace place_;
  std::optional<Store> store_;
  std::optional<SelectionSpec> spec_;
  bool lost_state_ = false;
  bool mended_ = false;      ///< something was damaged, and is not any more
  bool incomplete_ = false;  ///< something is lost that a person should know of
  bool catalog_bad_ = false;
  bool manifests_bad_ = false;
  bool strays_ = false;
};

void RepairVolume::say(ProblemKind kind, std::string path, std::string_view reason) {
  session_->problem({.kind = kind,
                     .path = std::move(path),
                     .operation = {},
                     .error_number = 0,
                     .reason = std::string(reason)});
}

Status RepairVolume::open_store() {
  auto store = Store::open_for_repair(place_, session_->command(), session_->context());
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  lost_state_ = store_->record().created_at.empty();
  if (lost_state_) return make_state();
  return store_->check_identity();
}

/// What is in the store may be read, so its directories are mended and its plan is before the
/// record is made of them.
Status RepairVolume::make_state() {
  const auto manifest = read_manifest(store_->dir(), layout::kManifest,
                                      [](catalog::ManifestEntry&&) { return Status{}; });
  if (!manifest) return std::unexpected(manifest.error());
  if (auto made = mend_dirs(); !made) return made;
  // The flags show that a wipe had ended, and forbid to make the file that says so.
  const StoreRecord before = [&] {
    auto record = record_from_evidence(*session_, *store_, *manifest);
    return record ? std::move(*record) : StoreRecord{};
  }();
  if (const auto journal = store_->subdir(layout::kJournal))
    (void)set_immutable(journal->get(), false);
  const auto number = last_wipe(*store_);
  if (!number) return std::unexpected(number.error());
  if (*number != 0) {
    if (const auto mended = mend_wipe_plan(*store_, *number); !mended)
      return std::unexpected(mended.error());
  }
  auto record = record_from_evidence(*session_, *store_, *manifest);
  if (!record) return std::unexpected(record.error());
  record->protected_dirs = record->protected_dirs || before.protected_dirs;
  if (store_->store_stat().is_immutable()) (void)set_immutable(store_->dir().fd, false);
  failpoint("repair-before-state");
  if (auto replaced = store_->replace_state(std::move(*record)); !replaced) return replaced;
  mended_ = true;
  incomplete_ = true;
  say(ProblemKind::kWarning, layout::kState,
      store_->record().state == StoreState::kWiped
          ? "could not be read and was made anew, for a store that was wiped: labels, accepted "
            "gaps "
            "and volumes captured with this one are not known any more"
          : "could not be read and was made anew; nothing shows that the wipe came to its end: run "
            "wipe again, it moves and refreshes what is left");
  return {};
}

Status RepairVolume::mend_dirs() {
  auto made = store_->mend_dirs();
  if (made || made.error().cause.value() != EPERM) return made;
  if (auto open = set_immutable(store_->dir().fd, false); !open)
    return failed("ioctl(FS_IOC_SETFLAGS)", place_.store, open.error());
  mended_ = true;
  return store_->mend_dirs();
}

Status RepairVolume::mend_state_slot() {
  const auto look = StateFile::look(store_->dir());
  if (!look) return std::unexpected(look.error());
  if (!look->damaged_slot) return {};
  mended_ = true;
  return store_->save();  // goes to the slot that is not current: the damaged one
}

Result<bool> RepairVolume::mend_journal(const char* name) {
  const auto dir = store_->subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  std::vector<std::string> whole;
  const auto bad = Journal::read_whole_lines(*dir, name, [&](std::string_view line) -> Status {
    whole.emplace_back(line);
    return {};
  });
  if (!bad) return std::unexpected(bad.error());
  if (*bad == 0) return false;
  if (auto open = open_up(); !open) return std::unexpected(open.error());
  if (auto replaced = Journal::replace(*dir, name, whole); !replaced)
    return std::unexpected(replaced.error());
  mended_ = true;
  incomplete_ = true;
  say(ProblemKind::kWarning, std::string(layout::kJournal) + "/" + name,
      fmt::format("{} damaged lines were left out; the file is kept beside it", *bad));
  return true;
}

Status RepairVolume::mend_journals() {
  if (const auto flags = mend_journal(layout::kJournalFlags); !flags)
    return std::unexpected(flags.error());
  const auto notes = mend_journal(layout::kJournalRestore);
  if (!notes) return std::unexpected(notes.error());
  // A lost note of where files were moved to: ROOT is where they are, but for --to and --map.
  if (*notes && store_->record().moved_out) {
    RestoreNotes everything;
    everything.moved.emplace_back();
    if (auto added = add_restore_notes(*store_, everything); !added) return added;
  }
  const StoreRecord& record = store_->record();
  const bool planned = record.wipe_number != 0 && record.state != StoreState::kCapturing &&
                       record.state != StoreState::kLinked && record.state != StoreState::kSealed;
  if (!planned) return {};
  if (const auto sound = load_wipe_plan(*store_, record.wipe_number);
      sound || sound.error().fault != Fault::kCatalogBad)
    return sound ? Status{} : std::unexpected(sound.error());
  if (auto open = open_up(); !open) return open;
  const auto mended = mend_wipe_plan(*store_, record.wipe_number);
  if (!mended) return std::unexpected(mended.error());
  mended_ = true;
  incomplete_ = true;
  say(ProblemKind::kWarning, fmt::format("{}/wipe-{}", layout::kJournal, record.wipe_number),
      "the plan was damaged: it lists what can still be read and what lies in aside/");
  return {};
}

Status RepairVolume::look_at_sound_catalog() {
  auto env = open_sealed_catalog(*store_, CatalogCheck::kAlways);
  if (!env) {
    // Sectors that cannot be read are damage like any other.
    const bool unreadable = env.error().cause.value() == EIO;
    if (!unreadable && (env.error().fault != Fault::kCatalogBad || !env.error().hint.empty()))
      return std::unexpected(env.error());
    catalog_bad_ = true;
    return {};
  }
  const auto strays = has_strays(*session_, *store_, *env);
  if (!strays) return std::unexpected(strays.error());
  strays_ = *strays;
  const auto whole = are_manifests_whole(*store_);
  if (!whole) return std::unexpected(whole.error());
  manifests_bad_ = !*whole;
  return {};
}

Status RepairVolume::look_at_catalog() {
  return session_->phase("check", [&](Progress&) -> Status {
    const auto manifest = look_at_manifest(*store_);
    if (!manifest) return std::unexpected(manifest.error());
    if (store_->record().catalog_bytes != 0) return look_at_sound_catalog();
    // Without a checksum, a catalog is sound when it is the one that repair made. Looking into it
    // could end this process.
    const StoreState state = store_->record().state;
    const bool open = state == StoreState::kCapturing || state == StoreState::kLinked ||
                      (state == StoreState::kWiping && !lost_state_);
    catalog_bad_ = !open || !is_rebuilt(*store_);
    return {};
  });
}

/// Takes the immutable flags off, once.
Status RepairVolume::open_up() { return unprotect_store(*session_, *store_); }

/// The selection is kept in a file of its own and in a sound catalog. From neither, one is made
/// that wants what was captured.
Status RepairVolume::mend_selection() {
  if (auto loaded = load_selection(*store_)) {
    spec_ = std::move(*loaded);
    return {};
  } else if (loaded.error().fault != Fault::kCatalogBad && loaded.error().cause.value() != ENOENT) {
    return std::unexpected(loaded.error());
  }
  // A capture that was cut short before its first file: it names its selection again.
  if (store_->record().state == StoreState::kCapturing && store_->record().sealed_at.empty() &&
      catalog_bad_ && !look_at_manifest(*store_).value_or(ManifestRead{}).found)
    return {};
  if (auto open = open_up(); !open) return open;
  const auto dir = store_->subdir(layout::kCatalog);
  if (!dir) return std::unexpected(dir.error());
  if (!catalog_bad_ && store_->record().catalog_bytes != 0) {
    const auto env = catalog::Env::open(dir->get(), catalog::Env::Mode::kRead);
    if (!env) return std::unexpected(env.error());
    const auto txn = catalog::ReadTxn::begin(*env);
    if (!txn) return std::unexpected(txn.error());
    const auto text = catalog::Reader(*txn).meta(catalog::meta::kSelection);
    if (!text) return std::unexpected(text.error());
    if (*text) spec_ = selection_from_json(**text);
  }
  if (spec_) {
    if (auto saved = save_selection(*store_, *spec_); !saved) return saved;
    mended_ = true;
  } else {
    catalog_bad_ = true;  // rows are needed to make one: the rebuild does it
  }
  return {};
}

Status RepairVolume::mend_manifests() {
  if (auto open = open_up(); !open) return open;
  if (auto written = rewrite_manifests(*session_, *store_); !written) return written;
  mended_ = true;
  return {};
}

Status RepairVolume::rebuild() {
  if (auto open = open_up(); !open) return open;
  RebuildOptions options{.from_catalog = !catalog_bad_,
                         .lost_state = lost_state_,
                         .selection = spec_ ? &*spec_ : nullptr};
  const auto outcome = rebuild_catalog(*session_, *store_, options);
  if (!outcome) return std::unexpected(outcome.error());
  mended_ = true;
  incomplete_ = incomplete_ || outcome->incomplete;
  return {};
}

/// From wiped until a restore begins the store is immutable, and at no other time. A crash between
/// the two is finished here.
Status RepairVolume::close_again() {
  if (store_->record().state != StoreState::kWiped) return open_up();
  const bool before = store_->record().protected_dirs;
  if (auto closed = protect_store(*session_, *store_); !closed) return closed;
  mended_ = mended_ || (!before && store_->record().protected_dirs);
  return {};
}

Status RepairVolume::work() {
  if (auto opened = open_store(); !opened) return opened;
  session_->log_into(*store_);
  if (store_->record().state == StoreState::kDiscarding) {
    session_->report().nothing_to_do = true;
    session_->report().durable = true;
    return {};
  }
  store_->free_ballast_if_full();
  if (auto made = mend_dirs(); !made) return made;
  if (auto barrier = store_->check_barrier(); !barrier) return barrier;
  if (auto mended = mend_state_slot(); !mended) return mended;
  if (auto mended = mend_journals(); !mended) return mended;
  if (auto mended = FlagJournal::recover(*store_); !mended) return mended;
  if (auto looked = look_at_catalog(); !looked) return looked;
  if (auto mended = mend_selection(); !mended) return mended;
  if (catalog_bad_ || strays_) {
    if (auto rebuilt = rebuild(); !rebuilt) {
      (void)close_again();  // a full disk must not leave a wiped store open
      return rebuilt;
    }
  } else if (manifests_bad_) {
    if (auto mended = mend_manifests(); !mended) return mended;
  }
  if (has_leftovers(*store_)) {
    // A run that was killed when all but this was done.
    if (auto open = open_up(); !open) return open;
    remove_leftovers(*store_);
    mended_ = true;
  }
  if (auto closed = close_again(); !closed) return closed;
  if (mended_) {
    if (auto barrier = store_->barrier(); !barrier) return barrier;
  }
  session_->report().durable = true;
  session_->report().nothing_to_do = !mended_;
  if (session_->count(ProblemKind::kMissed) + session_->count(ProblemKind::kUnstable) != 0)
    incomplete_ = true;
  if (incomplete_) session_->report().exit_code = static_cast<int>(Fault::kIncomplete);
  return {};
}

VolumeReport RepairVolume::run() {
  Status status = work();
  if (store_ && status) {
    Counts& counts = session_->report().counts;
    const Counts recorded = recorded_counts(store_->record());
    for (const Count count : {Count::kEntries, Count::kFiles, Count::kInodes, Count::kDirectories,
                              Count::kSymlinks, Count::kSpecials, Count::kBytes}) {
      if (const auto known = recorded.get(count)) counts.set(count, *known);
    }
    if (session_->report().counts.get(Count::kMissing).value_or(0) != 0 &&
        store_->record().state == StoreState::kSealed)
      session_->report().next =
          "holdfast capture takes what is missing again, as far as ROOT has it";
  }
  return session_->finish(std::move(status), store_ ? &*store_ : nullptr);
}

}  // namespace

RunReport repair(const Targets& targets, const RunContext& context) {
  return for_each_volume(targets, "repair", context, [](Session& session, const StorePlace& place) {
    return RepairVolume(session, place).run();
  });
}

}  // namespace holdfast::core
