#include "storecore/ops/refresh.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "storecore/hash/hash_pass.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/adopt.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/catalog_feed.hpp"
#include "storecore/ops/gaps.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/seal_pass.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/vanish.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"
#include "storecore/store/store_file.hpp"

namespace holdfast::core {

using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;
using catalog::Table;

namespace {

/// Of a stored selection: rules for some thousand people.
constexpr std::size_t kMaxSelectionBytes = std::size_t{256} << 20;

/// Makes the catalog ready for changes: nobody takes it for sealed any more, and the content index
/// is gone.
Status unseal(Store& store, catalog::Env& env, StoreState state) {
  store.record().catalog_bytes = 0;
  store.record().catalog_xxh3 = 0;
  if (auto entered = store.enter(state); !entered) return entered;
  failpoint("unsealed");
  auto txn = catalog::WriteTxn::begin(env);
  if (!txn) return std::unexpected(txn.error());
  if (auto dropped = txn->drop(Table::kContent); !dropped) return dropped;
  return txn->commit();
}

Status write_meta(catalog::Writer& writer, const Store& store, const RunContext& context,
                  const SelectionSpec& spec, std::uint64_t next_dir) {
  const StoreRecord& record = store.record();
  const std::pair<std::string_view, std::string> rows[] = {
      {catalog::meta::kCaptureId, record.capture_id},
      {catalog::meta::kCreatedBy, context.version},
      {catalog::meta::kIdentity, fmt::format("{} {} {}", record.volume.fs_type,
                                             record.volume.fs_uuid, record.volume.subvolume)},
      {catalog::meta::kSelection, to_json(spec)},
      {catalog::meta::kNextDir, std::to_string(next_dir)},
  };
  for (const auto& [key, value] : rows) {
    if (auto put = writer.put(Table::kMeta, key, value); !put) return put;
  }
  return {};
}

/// Mirror directories that lost a name get their times back.
Status mend_touched(Store& store, catalog::Env& env, const VanishOutcome& outcome) {
  (void)store;
  if (outcome.touched.empty()) return {};
  const auto txn = catalog::ReadTxn::begin(env);
  if (!txn) return std::unexpected(txn.error());
  const catalog::Reader reader(*txn);
  for (const auto& [id, node] : outcome.touched) {
    const auto row = reader.find_directory(id);
    if (!row) return std::unexpected(row.error());
    if (!*row) continue;
    const auto dir = node->open();
    if (!dir && dir.error().value() == ENOENT) continue;  // went to dropped/ itself
    if (!dir) return catalog::failed("openat", node->path(), dir.error());
    const auto applied =
        apply_directory_record((*dir)->get(), (*row)->record, geteuid() == 0, false);
    if (!applied && is_failure_of_store(applied.error(), geteuid() == 0))
      return catalog::failed("fchown", node->path(), applied.error());
  }
  return {};
}

class Refresh {
 public:
  Refresh(Session& session, Store& store, const Selection& selection, RefreshOptions options)
      : session_(&session),
        store_(&store),
        selection_(&selection),
        options_(std::move(options)),
        flags_(store),
        dropped_(store.dir(), layout::kDropped, make_run_name()) {}
  [[nodiscard]] Result<RefreshOutcome> run();

 private:
  [[nodiscard]] Status walk(Progress& progress);
  [[nodiscard]] Status walk_source(RefreshSource& source, Progress& progress);
  void report_unmatched();
  [[nodiscard]] Status close_link_phase();

  Session* session_;
  Store* store_;
  const Selection* selection_;
  RefreshOptions options_;
  FlagJournal flags_;
  Attic dropped_;
  FirstError errors_;
  std::optional<catalog::Env> env_;
  std::unique_ptr<CatalogFeed> feed_;
  RefreshOutcome outcome_;
  VanishOutcome vanish_;
  std::vector<Vanished> vanished_;
  std::vector<std::uint64_t> new_inodes_;
  std::uint64_t next_dir_ = 2;
  bool resume_ = false;
};

void Refresh::report_unmatched() {
  for (const std::string& pattern : selection_->unmatched_includes()) {
    const catalog::Problem problem{.kind = ProblemKind::kMissed,
                                   .path = pattern,
                                   .operation = {},
                                   .error_number = 0,
                                   .reason = "nothing matches this --include"};
    feed_->problem(problem);
    session_->problem(problem);
  }
  for (const std::string& pattern : selection_->unmatched_excludes())
    session_->problem({.kind = ProblemKind::kWarning,
                       .path = pattern,
                       .operation = {},
                       .error_number = 0,
                       .reason = "nothing matches this --exclude"});
}

Status Refresh::walk_source(RefreshSource& source, Progress& progress) {
  CaptureWalk walk(*store_, *env_, *selection_, *feed_, dropped_, flags_, errors_, progress,
                   session_->context());
  resume_ = resume_ || source.options.resume;
  if (auto status = walk.run(std::move(source.dir), std::move(source.options)); !status)
    return status;
  std::ranges::move(walk.vanished(), std::back_inserter(vanished_));
  std::ranges::move(walk.new_inodes(), std::back_inserter(new_inodes_));
  outcome_.borders.insert(outcome_.borders.end(), walk.borders().begin(), walk.borders().end());
  next_dir_ = std::max(next_dir_, walk.next_dir());
  Counts& counts = session_->report().counts;
  counts.add(Count::kLinked, walk.counts().linked.load());
  counts.add(Count::kReflinked, walk.counts().reflinked.load());
  counts.add(Count::kCopied, walk.counts().copied.load());
  counts.add(Count::kCapabilities, walk.counts().capabilities.load());
  return {};
}

Status Refresh::walk(Progress& progress) {
  for (RefreshSource& source : options_.sources) {
    if (auto status = walk_source(source, progress); !status) return status;
  }
  report_unmatched();
  auto settled = settle_vanished(*session_, *store_, *env_, *feed_, dropped_, vanished_,
                                 new_inodes_, options_.policy, options_.allow_vanished);
  if (!settled) return std::unexpected(settled.error());
  vanish_ = std::move(*settled);
  outcome_.vanished_refused = vanish_.refused;
  outcome_.would_drop = vanish_.dropped;
  if (!vanish_.refused && vanish_.dropped != 0)
    session_->report().counts.set(Count::kDropped, vanish_.dropped);
  return close_link_phase();
}

/// Other problems than last time are a change too: the catalog keeps them.
Status Refresh::close_link_phase() {
  const std::uint64_t fingerprint = feed_->fingerprint();
  if (fingerprint != store_->record().problems && !feed_->begin_changes()) return errors_.status();
  store_->record().problems = fingerprint;
  if (auto finished = feed_->finish(); !finished) return finished;
  if (resume_ && feed_->changed()) {
    if (auto adopted = adopt_strays(*session_, *store_, feed_->writer(), next_dir_); !adopted)
      return adopted;
  }
  outcome_.changed = feed_->changed();
  return mend_touched(*store_, *env_, vanish_);
}

Result<RefreshOutcome> Refresh::run() {
  auto env = open_catalog_for_write(*store_);
  if (!env) return std::unexpected(env.error());
  env_ = std::move(*env);
  const bool was_sealed = store_->record().catalog_bytes != 0;
  feed_ = std::make_unique<CatalogFeed>(
      *env_, session_->context().jobs > 1,
      [this, was_sealed] {
        return was_sealed || store_->record().state != options_.state_while_open
                   ? unseal(*store_, *env_, options_.state_while_open)
                   : Status{};
      },
      errors_);
  // An unsealed catalog is sealed by this run, whether the walk finds changes or not.
  if (!was_sealed && !feed_->begin_changes()) return std::unexpected(errors_.status().error());
  const auto linked =
      session_->phase("link", [this](Progress& progress) { return walk(progress); });
  if (!linked) return std::unexpected(linked.error());
  session_->report().counts.add(Count::kHashedFiles, 0);
  session_->report().counts.add(Count::kHashedBytes, 0);
  if (!outcome_.changed) return outcome_;

  const auto spec = load_selection(*store_);
  if (!spec) return std::unexpected(spec.error());
  if (auto meta = write_meta(feed_->writer(), *store_, session_->context(), *spec, next_dir_);
      !meta)
    return std::unexpected(meta.error());
  // Links first, then the rows that speak of them, then everything that trusts the rows.
  failpoint("linked-before-barrier");
  if (auto barrier = store_->barrier(); !barrier) return std::unexpected(barrier.error());
  if (auto committed = feed_->writer().commit(); !committed)
    return std::unexpected(committed.error());
  if (auto finished = flags_.finish(); !finished) return std::unexpected(finished.error());
  failpoint("linked");
  feed_.reset();
  if (options_.hash_later) {
    const auto txn = catalog::ReadTxn::begin(*env_);
    if (!txn) return std::unexpected(txn.error());
    const auto gaps = count_gaps(catalog::Reader(*txn), store_->record().accepted);
    if (!gaps) return std::unexpected(gaps.error());
    store_->record().missed = gaps->missed;
    if (auto barrier = store_->barrier(); !barrier) return std::unexpected(barrier.error());
    if (auto entered = store_->enter(StoreState::kLinked); !entered)
      return std::unexpected(entered.error());
    return outcome_;
  }
  auto sealed = hash_and_seal(*session_, *store_, std::move(*env_), vanish_.known,
                              options_.state_when_sealed);
  env_.reset();
  if (!sealed) return std::unexpected(sealed.error());
  return outcome_;
}

}  // namespace

Result<RefreshOutcome> refresh_store(Session& session, Store& store, const Selection& selection,
                                     RefreshOptions options) {
  return Refresh(session, store, selection, std::move(options)).run();
}

Status hash_and_seal(Session& session, Store& store, catalog::Env env,
                     const std::vector<KnownContent>& known, StoreState as) {
  catalog::Writer writer(env);
  Counts& counts = session.report().counts;
  const auto hashed = session.phase("hash", [&](Progress& progress) -> Status {
    const auto link = session.report().phases.empty() ? 0 : session.report().phases.back().files;
    progress.total_files = link;
    const auto result = hash_pending(store, writer, known, progress, session.context());
    if (!result) return std::unexpected(result.error());
    counts.add(Count::kHashedFiles, result->hashed_files);
    counts.add(Count::kHashedBytes, result->hashed_bytes);
    return writer.commit();
  });
  if (!hashed) return hashed;
  failpoint("hashed");
  return session.phase("seal", [&](Progress& progress) -> Status {
    {
      auto txn = writer.transaction();
      if (!txn) return std::unexpected(txn.error());
      const auto gaps = count_gaps(catalog::Reader(**txn), store.record().accepted);
      if (!gaps) return std::unexpected(gaps.error());
      store.record().missed = gaps->missed;
      store.record().unstable = gaps->unstable;
    }
    const auto totals = derive_from_catalog(store, env, writer, progress, session.context().jobs);
    if (!totals) return std::unexpected(totals.error());
    return seal_store(store, std::move(env), as, *totals);
  });
}

Result<SelectionSpec> load_selection(const Store& store) {
  const auto dir = store.subdir(layout::kSelection);
  if (!dir) return std::unexpected(dir.error());
  auto fd = open_store_file(*dir, layout::kSelectionFile, O_RDONLY);
  if (!fd) {
    if (fd.error().cause.value() == ENOENT) fd.error().fault = catalog::Fault::kCatalogBad;
    return std::unexpected(fd.error());
  }
  const auto text = read_all(fd->get(), kMaxSelectionBytes);
  if (!text) return catalog::failed("read", layout::kSelectionFile, text.error());
  auto spec = selection_from_json(*text);
  if (!spec)
    return catalog::fail(catalog::Fault::kCatalogBad, layout::kSelectionFile,
                         "the stored selection is damaged");
  return std::move(*spec);
}

Status save_selection(const Store& store, const SelectionSpec& spec) {
  const std::string text = to_json(spec);
  if (text.size() > kMaxSelectionBytes)
    return catalog::fail(catalog::Fault::kUsage, layout::kSelectionFile,
                         "too many rules for too many people: no version could read them again",
                         "--users takes fewer people");
  const auto dir = store.subdir(layout::kSelection);
  if (!dir) return std::unexpected(dir.error());
  const std::string staged = std::string(layout::kSelectionFile) + ".new";
  auto fd = open_at(*dir, staged.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) return catalog::failed("openat", staged, fd.error());
  if (auto written = write_all(fd->get(), text); !written)
    return catalog::failed("write", staged, written.error());
  if (auto synced = fsync_fd(fd->get()); !synced)
    return catalog::failed("fsync", staged, synced.error());
  if (auto renamed = rename_replace(*dir, staged.c_str(), *dir, layout::kSelectionFile); !renamed)
    return catalog::failed("renameat", staged, renamed.error());
  if (auto synced = fsync_fd(dir->get()); !synced)
    return catalog::failed("fsync", layout::kSelection, synced.error());
  return {};
}

}  // namespace holdfast::core
