#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/schema.hpp"
#include "storecore/ops/followed.hpp"
#include "storecore/ops/moved_places.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/verify_content.hpp"
#include "storecore/ops/verify_names.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::Fault;
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;

namespace {

Result<std::shared_ptr<DirNode>> open_mirror(const Store& store) {
  auto tree = store.tree(std::make_shared<FdBudget>(FdBudget::default_size()));
  if (!tree && is_gone(tree.error().cause))
    return catalog::fail(Fault::kDamage, store.place().store, "the mirror (tree/) is gone");
  return tree;
}

void report_tally(const VerifyRun& run, Counts& counts) {
  counts.set(Count::kOk, run.tally.ok);
  counts.set(Count::kModified, run.tally.modified);
  counts.set(Count::kCorrupt, run.tally.corrupt);
  counts.set(Count::kMissing, run.tally.missing);
  counts.set(Count::kExtra, run.tally.extra);
  if (!run.full) return;
  counts.set(Count::kHashedFiles, run.tally.hashed_files);
  counts.set(Count::kHashedBytes, run.tally.hashed_bytes);
}

constexpr const char* kDamagedHint = "the files are safe in tree/: see the README in the store";

/// Every entry was counted once, or something moved between the passes and the result is worth
/// nothing.
Status check_sum(const VerifyRun& run) {
  const auto& recorded = run.store.record().counts;
  const auto entries = recorded.find("entries");
  const std::uint64_t seen =
      run.tally.ok + run.tally.modified + run.tally.corrupt + run.tally.missing;
  if (entries == recorded.end() || entries->second == seen) return {};
  return catalog::fail(
      Fault::kFailed, run.store.place().root,
      fmt::format("{} entries are catalogued and {} were checked: the store changed meanwhile",
                  entries->second, seen),
      "run the command again");
}

/// What the passes do not come by: ROOT's own row, and rows that no directory leads to. The catalog
/// is the one whose checksum is in the state; that it has other rows than were counted at that seal
/// is no accident of today.
Status check_rows(const Store& store, const catalog::Env& env) {
  const auto txn = catalog::ReadTxn::begin(env);
  if (!txn) return std::unexpected(txn.error());
  const auto root = catalog::Reader(*txn).find_directory(catalog::kRootDir);
  if (!root) return std::unexpected(root.error());
  if (!*root)
    return catalog::fail(Fault::kCatalogBad, store.place().root, "ROOT has no record",
                         kDamagedHint);
  const auto& recorded = store.record().counts;
  const auto entries = recorded.find("entries");
  if (entries == recorded.end()) return {};
  const auto rows = txn->count(catalog::Table::kEntries);
  if (!rows) return std::unexpected(rows.error());
  if (*rows == entries->second) return {};
  return catalog::fail(Fault::kCatalogBad, store.place().root,
                       fmt::format("the catalog has {} entries, and {} were counted at its seal",
                                   *rows, entries->second),
                       kDamagedHint);
}

Status compare(Session& session, const Store& store, const catalog::Env& env, bool full) {
  auto tree = open_mirror(store);
  if (!tree) return std::unexpected(tree.error());
  const auto moved = MovedPlaces::load(store);
  if (!moved) return std::unexpected(moved.error());
  return session.phase("verify", [&](Progress& progress) -> Status {
    const Counts totals = recorded_counts(store.record());
    progress.total_files = totals.get(Count::kEntries).value_or(0);
    if (full) progress.total_bytes = totals.get(Count::kBytes).value_or(0);
    VerifyRun run{.store = store,
                  .env = env,
                  .context = session.context(),
                  .progress = progress,
                  .full = full,
                  .tree = std::move(*tree),
                  .moved = moved->get()};
    parallel_for(session.context().jobs == 1 ? 1 : 2, full ? 2 : 1, [&](std::size_t pass) {
      if (pass == 0) NamesPass(run).work();
      if (pass == 1) ContentPass(run).work();
    });
    report_tally(run, session.report().counts);
    if (auto status = run.errors.status(); !status) return status;
    if (auto status = check_rows(store, env); !status) return status;
    return check_sum(run);
  });
}

void say_next(Session& session, const Store& store) {
  const bool corrupt = session.count(ProblemKind::kCorrupt) != 0;
  const bool missing = session.count(ProblemKind::kMissing) != 0;
  if (!corrupt && !missing) return;
  // While the originals are in ROOT a refresh gives the mirror back its names; bytes that went bad
  // are bad in both.
  session.report().next =
      !corrupt && store.record().state == StoreState::kSealed
          ? "holdfast capture takes what is missing again, as far as ROOT has it"
          : "get what is listed from a backup";
}

}  // namespace

RunReport verify(const Targets& targets, const VerifyOptions& options, const RunContext& context) {
  return for_each_followed_volume(
      targets, "verify", context, [&](Session& session, const StorePlace& place) {
        std::optional<Store> store;
        const auto work = [&]() -> Status {
          auto opened = Store::open(place, Store::Access::kRead, "verify", session.context());
          if (!opened) return std::unexpected(opened.error());
          store = std::move(*opened);
          session.report().counts = recorded_counts(store->record());
          const auto env = open_sealed_catalog(*store, CatalogCheck::kAlways);
          if (!env) return std::unexpected(env.error());
          session.log_into(*store);
          auto status = compare(session, *store, *env, !options.quick);
          say_next(session, *store);
          return status;
        };
        Status status = work();
        return session.finish(std::move(status), store ? &*store : nullptr);
      });
}

}  // namespace holdfast::core
