#include "storecore/ops/repair_build.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/manifest.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "storecore/hash/hash_pass.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/ops/catalog_walk.hpp"
#include "storecore/ops/manifest_pass.hpp"
#include "storecore/ops/moved_places.hpp"
#include "storecore/ops/refresh.hpp"
#include "storecore/ops/repair_run.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/seal_pass.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/manifest_file.hpp"
#include "storecore/store/manifest_reader.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::failed;
using catalog::Fault;
using catalog::InodeRecord;
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;
using catalog::Table;

namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;
constexpr std::string_view kRebuildPrefix = "rebuild-";
constexpr const char* kLmdbLock = "lock.mdb";
/// In catalog/: checksum of the unsealed catalog that a repair has made.
constexpr const char* kRebuilt = "rebuilt";
/// Names without a hash of the capture are listed one by one up to here.
constexpr std::uint64_t kListedRehashed = 1000;

constexpr const char* kManifests[] = {layout::kManifest, layout::kManifestHashes};

Status warn(Session& session, std::string path, std::string_view reason) {
  session.problem({.kind = ProblemKind::kWarning,
                   .path = std::move(path),
                   .operation = {},
                   .error_number = 0,
                   .reason = std::string(reason)});
  return {};
}

std::string stamp_text(const CatalogSum& sum) {
  return fmt::format("{} {:016x}\n", sum.bytes, sum.xxh3);
}

/// What the seal and a later command would do with the catalog depends on where the store is.
bool ends_sealed(const StoreRecord& record, bool lost_state) {
  switch (record.state) {
    case StoreState::kCapturing:
    case StoreState::kLinked:
      return false;
    case StoreState::kWiping:
      return record.catalog_bytes != 0 || lost_state;
    default:
      return true;
  }
}

std::vector<std::string> leftovers(DirFd catalog_dir) {
  auto names = list_names(catalog_dir);
  if (!names) return {};
  std::erase_if(*names, [](const std::string& name) { return !name.starts_with(kRebuildPrefix); });
  return std::move(*names);
}

class Rebuild {
 public:
  Rebuild(Session& session, Store& store, const RebuildOptions& options)
      : session_(&session),
        store_(&store),
        options_(&options),
        sealed_(ends_sealed(store.record(), options.lost_state)),
        dropped_(store.dir(), layout::kDropped, make_run_name()) {}
  [[nodiscard]] Result<RebuildOutcome> run();

 private:
  [[nodiscard]] Status open_place();
  [[nodiscard]] Status keep_manifests();
  [[nodiscard]] Status copy_catalog();
  [[nodiscard]] Status fill(catalog::Env& env, catalog::Writer& writer);
  [[nodiscard]] Status settle_selection(catalog::Writer& writer);
  [[nodiscard]] Status write_meta(catalog::Writer& writer, std::uint64_t next_dir) const;
  [[nodiscard]] Status keep_gaps(catalog::Writer& writer);
  [[nodiscard]] Status list_unhashed(catalog::Writer& writer);
  [[nodiscard]] Status hash(catalog::Env& env, catalog::Writer& writer);
  [[nodiscard]] Result<std::string> swap();
  [[nodiscard]] Status record_it();
  void clean_up(const std::string& evidence);

  Session* session_;
  Store* store_;
  const RebuildOptions* options_;
  const bool sealed_;
  Attic dropped_;
  std::optional<Selection> selection_;
  SelectionSpec spec_;
  std::string place_name_;
  Fd catalog_dir_;
  Fd place_;
  ManifestRead manifest_;
  CatalogTotals totals_;
  RebuildOutcome outcome_;
};

/// The directory is named after what the state says of the damaged catalog: what a run that was
/// killed has left there is used by the run that repeats it, and by no other.
Status Rebuild::open_place() {
  auto dir = store_->subdir(layout::kCatalog);
  if (!dir) return std::unexpected(dir.error());
  catalog_dir_ = std::move(*dir);
  place_name_ = fmt::format("{}{:016x}", kRebuildPrefix, store_->record().catalog_xxh3);
  const auto made = mkdir_at(catalog_dir_, place_name_.c_str(), 0700);
  if (!made && made.error().value() != EEXIST) return failed("mkdirat", place_name_, made.error());
  auto place = open_dir_at(catalog_dir_, place_name_.c_str());
  if (!place) return failed("openat", place_name_, place.error());
  place_ = std::move(*place);
  for (const char* name : {layout::kCatalogData, kLmdbLock}) {
    if (auto gone = unlink_at(place_, name); !gone && gone.error().value() != ENOENT)
      return failed("unlinkat", name, gone.error());
  }
  return {};
}

/// A second name for the manifests as they are: the seal writes new ones in their place.
Status Rebuild::keep_manifests() {
  for (const char* name : kManifests) {
    const auto linked = link_at(store_->dir(), name, place_, name);
    if (linked || linked.error().value() == EEXIST) continue;
    if (linked.error().value() != ENOENT) return failed("linkat", name, linked.error());
    // None: a repeated run must not take the one that this run will write for the capture's.
    const auto made = create_file_at(place_, name, 0600);
    if (!made) return failed("openat", name, made.error());
  }
  return {};
}

Status Rebuild::copy_catalog() {
  const auto from = open_at(catalog_dir_, layout::kCatalogData, O_RDONLY);
  if (!from) return failed("openat", layout::kCatalogData, from.error());
  auto to = create_file_at(place_, layout::kCatalogData, 0600);
  if (!to) return failed("openat", layout::kCatalogData, to.error());
  std::vector<std::byte> buffer(kCopyBytes);
  while (true) {
    const auto got = read_some(from->get(), buffer);
    if (!got) return failed("read", layout::kCatalogData, got.error());
    if (*got == 0) return {};
    const std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), *got);
    if (auto written = write_all(to->get(), bytes); !written)
      return failed("write", layout::kCatalogData, written.error());
  }
}

Status Rebuild::settle_selection(catalog::Writer& writer) {
  if (options_->selection != nullptr) {
    spec_ = *options_->selection;
    return {};
  }
  auto txn = writer.transaction();
  if (!txn) return std::unexpected(txn.error());
  auto made = selection_from_rows(catalog::Reader(**txn));
  if (!made) return std::unexpected(made.error());
  spec_ = std::move(*made);
  outcome_.incomplete = true;
  if (auto saved = save_selection(*store_, spec_); !saved) return saved;
  return warn(*session_, layout::kSelection,
              "could not be read: from now on what was captured is what is wanted");
}

Status Rebuild::write_meta(catalog::Writer& writer, std::uint64_t next_dir) const {
  const StoreRecord& record = store_->record();
  const std::pair<std::string_view, std::string> rows[] = {
      {catalog::meta::kCaptureId, record.capture_id},
      {catalog::meta::kCreatedBy, session_->context().version},
      {catalog::meta::kIdentity, fmt::format("{} {} {}", record.volume.fs_type,
                                             record.volume.fs_uuid, record.volume.subvolume)},
      {catalog::meta::kSelection, to_json(spec_)},
      {catalog::meta::kNextDir, std::to_string(next_dir)},
  };
  for (const auto& [key, value] : rows) {
    if (auto put = writer.put(Table::kMeta, key, value); !put) return put;
  }
  return {};
}

/// The list of gaps was in the damaged catalog only. That there are some must not be forgotten:
/// wipe asks for them.
Status Rebuild::keep_gaps(catalog::Writer& writer) {
  StoreRecord& record = store_->record();
  // Another fingerprint than any list has: the next capture writes its own.
  record.problems = 0;
  if (record.missed == 0) return {};
  return writer.add(
      {.kind = ProblemKind::kMissed,
       .path = {},
       .operation = {},
       .error_number = 0,
       .reason = options_->lost_state
                     ? std::string("what the capture missed was lost with the state: "
                                   "the logs in log/ tell")
                     : fmt::format("{} entries were missed by the capture; which ones "
                                   "was lost with the catalog, the logs in log/ tell",
                                   record.missed)});
}

Status Rebuild::list_unhashed(catalog::Writer& writer) {
  auto txn = writer.transaction();
  if (!txn) return std::unexpected(txn.error());
  const catalog::Reader reader(**txn);
  std::uint64_t files = 0;
  const bool each = manifest_.entries != 0;
  DirPaths paths(reader);
  const auto status =
      reader.for_each_entry_after({}, [&](DirId parent, const Entry& entry) -> Result<bool> {
        if (entry.kind == Entry::Kind::kDirectory || entry.inode.type != catalog::FileType::kFile ||
            entry.inode.hash_state != catalog::HashState::kPending)
          return true;
        if (++files > kListedRehashed || !each) return true;
        const auto path = paths.path_of(parent, entry.name);
        if (!path) return std::unexpected(path.error());
        (void)warn(*session_, std::string(*path),
                   "no hash of its capture is known: hashed as it is now");
        return true;
      });
  if (!status) return status;
  session_->report().counts.set(Count::kRehashed, files);
  if (files == 0) return {};
  outcome_.incomplete = true;
  if (each && files <= kListedRehashed) return {};
  return warn(
      *session_, {},
      fmt::format("of {} files no hash of their capture is known: hashed as they are now", files));
}

Status Rebuild::hash(catalog::Env& env, catalog::Writer& writer) {
  if (auto listed = list_unhashed(writer); !listed) return listed;
  // A write through a mapping shows in a file's times only after this.
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  const auto hashed = session_->phase("hash", [&](Progress& progress) -> Status {
    const auto result = hash_pending(*store_, writer, {}, progress, session_->context());
    if (!result) return std::unexpected(result.error());
    store_->record().missed += result->unreadable;
    store_->record().unstable += result->unstable;
    session_->report().counts.set(Count::kHashedFiles, result->hashed_files);
    session_->report().counts.set(Count::kHashedBytes, result->hashed_bytes);
    return writer.commit();
  });
  if (!hashed) return hashed;
  return session_->phase("seal", [&](Progress& progress) -> Status {
    auto totals = derive_from_catalog(*store_, env, writer, progress, session_->context().jobs);
    if (!totals) return std::unexpected(totals.error());
    totals_ = *totals;
    return {};
  });
}

Status Rebuild::fill(catalog::Env& env, catalog::Writer& writer) {
  if (options_->from_catalog) {
    auto txn = catalog::WriteTxn::begin(env);
    if (!txn) return std::unexpected(txn.error());
    if (auto dropped = txn->drop(Table::kContent); !dropped) return dropped;
    if (auto committed = txn->commit(); !committed) return committed;
  }
  if (options_->selection != nullptr) {
    auto compiled = Selection::compile(*options_->selection);
    if (!compiled) return std::unexpected(compiled.error());
    selection_ = std::move(*compiled);
  }
  auto moved = MovedPlaces::load(*store_);
  if (!moved) return std::unexpected(moved.error());
  RepairRun run{.session = *session_,
                .store = *store_,
                .writer = writer,
                .dropped = dropped_,
                .selection = selection_ ? &*selection_ : nullptr,
                .moved = moved->get(),
                .strict = sealed_,
                .rows_are_whole = options_->from_catalog,
                .next_dir = 2,
                .spare_hashes = {}};
  if (options_->from_catalog) {
    auto txn = writer.transaction();
    if (!txn) return std::unexpected(txn.error());
    const auto every = catalog::Reader(**txn).for_each_directory(
        catalog::kRootDir, [&](const catalog::Directory& dir) -> Result<bool> {
          run.next_dir = std::max(run.next_dir, catalog::raw(dir.id) + 1);
          return true;
        });
    if (!every) return every;
    manifest_.entries = 1;  // what is hashed now is a stray, and listed by its name
  } else {
    auto read = load_manifest_rows(run, place_);
    if (!read) return std::unexpected(read.error());
    manifest_ = std::move(*read);
    run.rows_are_whole = manifest_.whole;
  }
  if (auto matched = match_mirror(run); !matched) return matched;
  Counts& counts = session_->report().counts;
  counts.set(Count::kAdopted, run.adopted);
  counts.set(Count::kMissing, run.missing);
  if (dropped_.taken() != 0) counts.set(Count::kDropped, dropped_.taken());
  if (auto settled = settle_selection(writer); !settled) return settled;
  if (auto meta = write_meta(writer, run.next_dir); !meta) return meta;
  if (!options_->from_catalog) {
    if (auto kept = keep_gaps(writer); !kept) return kept;
  }
  return writer.commit();
}

/// The old file stays beside the new one, as evidence, unless it was sound.
Result<std::string> Rebuild::swap() {
  std::string evidence;
  if (!options_->from_catalog) {
    for (unsigned number = 1;; ++number) {
      evidence = fmt::format("damaged-{}", number);
      const auto renamed =
          rename_no_replace(catalog_dir_, layout::kCatalogData, catalog_dir_, evidence.c_str());
      if (renamed || renamed.error().value() == ENOENT) break;
      if (renamed.error().value() != EEXIST)
        return failed("renameat2", layout::kCatalogData, renamed.error());
    }
  }
  failpoint("repair-between-names");
  if (auto renamed =
          rename_replace(place_, layout::kCatalogData, catalog_dir_, layout::kCatalogData);
      !renamed)
    return failed("renameat", layout::kCatalogData, renamed.error());
  if (auto barrier = store_->barrier(); !barrier) return std::unexpected(barrier.error());
  return evidence;
}

Status Rebuild::record_it() {
  StoreRecord& record = store_->record();
  if (sealed_) {
    if (auto noted = note_catalog_sum(*store_); !noted) return noted;
    note_totals(record, totals_);
    if (record.sealed_at.empty()) record.sealed_at = utc_now();
    return store_->save();
  }
  record.catalog_bytes = 0;
  record.catalog_xxh3 = 0;
  const auto sum = sum_catalog(*store_);
  if (!sum) return std::unexpected(sum.error());
  const auto stamp = open_at(catalog_dir_, kRebuilt, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!stamp) return failed("openat", kRebuilt, stamp.error());
  if (auto written = write_all(stamp->get(), stamp_text(*sum)); !written)
    return failed("write", kRebuilt, written.error());
  if (auto synced = fsync_fd(stamp->get()); !synced)
    return failed("fsync", kRebuilt, synced.error());
  // Seal would take the rows as they are; capture looks at everything again.
  if (record.state == StoreState::kLinked) record.state = StoreState::kCapturing;
  return store_->save();
}

/// Ours alone, and of no use any more; a damaged manifest goes to the evidence.
void Rebuild::clean_up(const std::string& evidence) {
  if (manifest_.found && !manifest_.whole && !evidence.empty()) {
    for (const char* name : kManifests)
      (void)rename_no_replace(place_, name, catalog_dir_,
                              fmt::format("{}.{}", evidence, name).c_str());
  }
  remove_leftovers(*store_);
}

Result<RebuildOutcome> Rebuild::run() {
  if (auto opened = open_place(); !opened) return std::unexpected(opened.error());
  if (options_->from_catalog) {
    if (auto copied = copy_catalog(); !copied) return std::unexpected(copied.error());
  } else if (auto kept = keep_manifests(); !kept) {
    return std::unexpected(kept.error());
  }
  {
    auto env = catalog::Env::open(place_.get(), catalog::Env::Mode::kCreate);
    if (!env) return std::unexpected(env.error());
    catalog::Writer writer(*env);
    const auto filled = session_->phase("rebuild", [&](Progress&) { return fill(*env, writer); });
    if (!filled) return std::unexpected(filled.error());
    failpoint("repair-filled");
    if (sealed_) {
      if (auto hashed = hash(*env, writer); !hashed) return std::unexpected(hashed.error());
    }
  }
  failpoint("repair-before-barrier");
  if (auto barrier = store_->barrier(); !barrier) return std::unexpected(barrier.error());
  const auto evidence = swap();
  if (!evidence) return std::unexpected(evidence.error());
  failpoint("repair-swapped");
  if (auto recorded = record_it(); !recorded) return std::unexpected(recorded.error());
  failpoint("repair-recorded");
  clean_up(*evidence);
  return outcome_;
}

}  // namespace

Result<ManifestRead> look_at_manifest(const Store& store) {
  auto read = read_manifest(store.dir(), layout::kManifest,
                            [](catalog::ManifestEntry&&) { return Status{}; });
  if (!read) return read;
  if (read->format > catalog::kManifestFormat && read->whole) {
    auto error = catalog::fail(Fault::kCatalogBad, layout::kManifest,
                               "written by a newer version of holdfast",
                               "use the version of holdfast that wrote it, or a newer one");
    error.error().reason_code = "newer-format";
    return error;
  }
  return read;
}

Result<bool> are_manifests_whole(const Store& store) {
  // Both are written in the same order, so one can be made from the other while it is read.
  catalog::Hasher expected;
  const auto read =
      read_manifest(store.dir(), layout::kManifest, [&](catalog::ManifestEntry&& entry) -> Status {
        const auto* record = std::get_if<InodeRecord>(&entry.record);
        if (record == nullptr || record->type != catalog::FileType::kFile ||
            record->hash_state != catalog::HashState::kHashed || !catalog::fits_xxh128(entry.path))
          return {};
        const std::string line = catalog::xxh128_line(record->hash, entry.path);
        expected.update(std::as_bytes(std::span(line)));
        return {};
      });
  if (!read) return std::unexpected(read.error());
  if (!read->whole || read->capture_id != store.record().capture_id) return false;
  const auto fd = open_at(store.dir(), layout::kManifestHashes, O_RDONLY);
  if (!fd && fd.error().value() == ENOENT) return false;
  if (!fd) return failed("openat", layout::kManifestHashes, fd.error());
  catalog::Hasher found;
  std::vector<std::byte> buffer(kCopyBytes);
  while (true) {
    const auto got = read_some(fd->get(), buffer);
    if (!got && got.error().value() == EIO) return false;
    if (!got) return failed("read", layout::kManifestHashes, got.error());
    if (*got == 0) return found.digest64() == expected.digest64();
    found.update(std::span(buffer).first(*got));
  }
}

Status rewrite_manifests(Session& session, const Store& store) {
  return session.phase("manifests", [&](Progress& progress) -> Status {
    const auto env = open_sealed_catalog(store, CatalogCheck::kAlways);
    if (!env) return std::unexpected(env.error());
    auto manifests = ManifestFiles::begin(store.dir(), store.record().capture_id);
    if (!manifests) return std::unexpected(manifests.error());
    if (auto written = write_manifest_lines(*env, *manifests, progress); !written) return written;
    return manifests->finish();
  });
}

bool has_leftovers(const Store& store) {
  const auto dir = store.subdir(layout::kCatalog);
  return dir && !leftovers(*dir).empty();
}

void remove_leftovers(const Store& store) {
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return;
  for (const std::string& name : leftovers(*dir)) {
    if (const auto place = open_dir_at(*dir, name.c_str())) {
      for (const char* file :
           {layout::kManifest, layout::kManifestHashes, layout::kCatalogData, kLmdbLock})
        (void)unlink_at(*place, file);
    }
    (void)rmdir_at(*dir, name.c_str());
  }
}

bool is_rebuilt(const Store& store) {
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return false;
  const auto stamp = open_at(*dir, kRebuilt, O_RDONLY);
  if (!stamp) return false;
  const auto text = read_all(stamp->get(), 4096);
  const auto sum = sum_catalog(store);
  return text && sum && *text == stamp_text(*sum);
}

Result<RebuildOutcome> rebuild_catalog(Session& session, Store& store,
                                       const RebuildOptions& options) {
  return Rebuild(session, store, options).run();
}

}  // namespace holdfast::core
