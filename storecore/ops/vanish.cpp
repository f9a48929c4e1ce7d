#include "storecore/ops/vanish.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <utility>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/hash/hash_pass.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/catalog_feed.hpp"
#include "storecore/ops/erase_rows.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::ProblemKind;
using catalog::Reader;
using catalog::Result;
using catalog::Status;
using catalog::Table;

namespace {

/// More known contents than this are not kept: those files are just hashed again.
constexpr std::size_t kMaxKnown = 500'000;
/// Names that go with one barrier.
constexpr std::size_t kNamesPerBarrier = 20'000;

class Settling {
 public:
  Settling(Session& session, Store& store, const Reader& reader, CatalogFeed& feed, Attic& dropped,
           const std::vector<std::uint64_t>& new_inodes)
      : session_(&session),
        store_(&store),
        reader_(&reader),
        feed_(&feed),
        dropped_(&dropped),
        new_inodes_(&new_inodes) {}

  [[nodiscard]] Result<std::uint64_t> entries_in(const std::vector<Vanished>& vanished) const;
  [[nodiscard]] Status remember(const Entry& entry, std::vector<KnownContent>& known) const;
  [[nodiscard]] Status drop(const Vanished& gone);
  [[nodiscard]] Status drop_if_renamed(const Vanished& gone);
  [[nodiscard]] Status erase_rows();
  [[nodiscard]] std::uint64_t dropped() const noexcept { return count_; }
  [[nodiscard]] auto& touched() noexcept { return touched_; }

 private:
  struct Level {
    DirId id;
    DirId parent;
    std::shared_ptr<DirNode> mirror;
    Entry entry;
    std::vector<Entry> files;
    std::vector<Entry> dirs;
    bool all_gone = true;
  };
  [[nodiscard]] bool has_new_name(std::uint64_t inode) const {
    return std::ranges::binary_search(*new_inodes_, inode);
  }
  [[nodiscard]] Result<Level> open_level(DirId parent, const Entry& entry,
                                         std::shared_ptr<DirNode> mirror) const;
  [[nodiscard]] Result<bool> file_if_renamed(DirId parent, const Entry& entry,
                                             const std::shared_ptr<DirNode>& mirror);
  void keep(const std::shared_ptr<DirNode>& mirror, const Entry& entry);
  [[nodiscard]] Status take(DirId parent, const Entry& entry,
                            const std::shared_ptr<DirNode>& mirror);

  Session* session_;
  Store* store_;
  const Reader* reader_;
  CatalogFeed* feed_;
  Attic* dropped_;
  const std::vector<std::uint64_t>* new_inodes_;
  std::uint64_t count_ = 0;
  std::vector<catalog::Batch> rows_;
  std::vector<std::pair<DirId, std::shared_ptr<DirNode>>> touched_;
};

Result<std::uint64_t> Settling::entries_in(const std::vector<Vanished>& vanished) const {
  std::uint64_t entries = 0;
  for (const Vanished& gone : vanished) {
    ++entries;
    if (gone.entry.kind != Entry::Kind::kDirectory) continue;
    const auto row = reader_->find_directory(gone.entry.directory);
    if (!row) return std::unexpected(row.error());
    if (*row) entries += (*row)->record.subtree.entries;
  }
  return entries;
}

Status Settling::remember(const Entry& entry, std::vector<KnownContent>& known) const {
  const auto add = [&](const Entry& file) {
    const catalog::InodeRecord& record = file.inode;
    if (record.type != catalog::FileType::kFile ||
        record.hash_state != catalog::HashState::kHashed || record.held != catalog::Held::kLink ||
        known.size() >= kMaxKnown)
      return;
    known.push_back({.inode = catalog::raw(record.source_inode),
                     .size = record.size,
                     .mtime = record.mtime,
                     .ctime = record.ctime,
                     .hash = record.hash});
  };
  if (entry.kind != Entry::Kind::kDirectory) {
    add(entry);
    return {};
  }
  std::vector<DirId> todo{entry.directory};
  while (!todo.empty() && known.size() < kMaxKnown) {
    const DirId id = todo.back();
    todo.pop_back();
    const auto status = reader_->for_each_entry(id, [&](DirId, const Entry& below) -> Result<bool> {
      if (below.kind == Entry::Kind::kDirectory) {
        todo.push_back(below.directory);
      } else {
        add(below);
      }
      return true;
    });
    if (!status) return status;
  }
  return {};
}

/// Out of the mirror, out of the catalog; the mirror's name first, and durably: a name without a
/// row is taken for a file that a crash kept out of the catalog, and would come back with restore.
Status Settling::take(DirId parent, const Entry& entry, const std::shared_ptr<DirNode>& mirror) {
  if (!feed_->begin_changes()) return {};
  const auto dir = mirror->open();
  if (!dir) return catalog::failed("openat", mirror->path(), dir.error());
  const auto there = stat_at(**dir, entry.name);
  if (there) {
    if (auto taken = dropped_->take(**dir, entry.name, mirror->path_of(entry.name)); !taken)
      return taken;
  } else if (there.error().value() != ENOENT) {
    return catalog::failed("statx", mirror->path_of(entry.name), there.error());
  }
  if (touched_.empty() || touched_.back().first != parent) touched_.emplace_back(parent, mirror);
  failpoint("dropped-from-mirror");
  catalog::Batch batch;
  FirstError errors;
  erase_entry(*reader_, parent, entry, batch, errors);
  rows_.push_back(std::move(batch));
  if (errors.failed() || rows_.size() < kNamesPerBarrier) return errors.status();
  return erase_rows();
}

/// The names are out of the mirror for good: now the catalog forgets them.
Status Settling::erase_rows() {
  if (rows_.empty()) return {};
  if (auto barrier = store_->barrier(); !barrier) return barrier;
  for (catalog::Batch& batch : rows_) feed_->push(batch);
  rows_.clear();
  return {};
}

Status Settling::drop(const Vanished& gone) {
  auto entries = entries_in({gone});
  if (!entries) return std::unexpected(entries.error());
  if (auto taken = take(gone.parent, gone.entry, gone.mirror); !taken) return taken;
  count_ += *entries;
  return {};
}

void Settling::keep(const std::shared_ptr<DirNode>& mirror, const Entry& entry) {
  const catalog::Problem problem{
      .kind = ProblemKind::kVanished,
      .path = mirror->path_of(entry.name),
      .operation = {},
      .error_number = 0,
      .reason = "gone since the capture; still held, and restored with the rest"};
  feed_->problem(problem);
  session_->problem(problem);
}

Result<bool> Settling::file_if_renamed(DirId parent, const Entry& entry,
                                       const std::shared_ptr<DirNode>& mirror) {
  if (!has_new_name(catalog::raw(entry.inode.source_inode))) {
    keep(mirror, entry);
    return false;
  }
  if (auto taken = take(parent, entry, mirror); !taken) return std::unexpected(taken.error());
  ++count_;
  return true;
}

Result<Settling::Level> Settling::open_level(DirId parent, const Entry& entry,
                                             std::shared_ptr<DirNode> mirror) const {
  Level level{.id = entry.directory,
              .parent = parent,
              .mirror = DirNode::child(std::move(mirror), entry.name),
              .entry = entry,
              .files = {},
              .dirs = {},
              .all_gone = true};
  const auto status =
      reader_->for_each_entry(entry.directory, [&](DirId, const Entry& below) -> Result<bool> {
        (below.kind == Entry::Kind::kDirectory ? level.dirs : level.files).push_back(below);
        return true;
      });
  if (!status) return std::unexpected(status.error());
  return level;
}

/// A name goes only if its inode has a new name in the mirror; a directory only if all in it went
/// and it has one itself.
Status Settling::drop_if_renamed(const Vanished& gone) {
  if (gone.entry.kind != Entry::Kind::kDirectory) {
    const auto file = file_if_renamed(gone.parent, gone.entry, gone.mirror);
    return file ? Status{} : std::unexpected(file.error());
  }
  std::vector<Level> levels;
  auto first = open_level(gone.parent, gone.entry, gone.mirror);
  if (!first) return std::unexpected(first.error());
  levels.push_back(std::move(*first));
  while (!levels.empty()) {
    Level& level = levels.back();
    for (const Entry& file : std::exchange(level.files, {})) {
      const auto went = file_if_renamed(level.id, file, level.mirror);
      if (!went) return std::unexpected(went.error());
      level.all_gone = level.all_gone && *went;
    }
    if (!level.dirs.empty()) {
      const Entry below = std::move(level.dirs.back());
      level.dirs.pop_back();
      auto next = open_level(level.id, below, level.mirror);
      if (!next) return std::unexpected(next.error());
      levels.push_back(std::move(*next));
      continue;
    }
    const Level done = std::move(level);
    levels.pop_back();
    bool went = false;
    const auto row = reader_->find_directory(done.id);
    if (!row) return std::unexpected(row.error());
    if (done.all_gone && *row && has_new_name(catalog::raw((*row)->record.inode))) {
      done.mirror->close();
      if (auto taken = take(done.parent, done.entry, done.mirror->parent()); !taken) return taken;
      ++count_;
      went = true;
    } else if (done.all_gone) {
      keep(done.mirror->parent(), done.entry);
    }
    if (!levels.empty()) levels.back().all_gone = levels.back().all_gone && went;
  }
  return {};
}

}  // namespace

Result<VanishOutcome> settle_vanished(Session& session, Store& store, catalog::Env& env,
                                      CatalogFeed& feed, Attic& dropped,
                                      std::vector<Vanished>& vanished,
                                      std::vector<std::uint64_t>& new_inodes, VanishPolicy policy,
                                      bool allow_many) {
  VanishOutcome outcome;
  if (vanished.empty()) return outcome;
  std::ranges::sort(new_inodes);
  const auto txn = catalog::ReadTxn::begin(env);
  if (!txn) return std::unexpected(txn.error());
  const Reader reader(*txn);
  Settling settling(session, store, reader, feed, dropped, new_inodes);
  if (policy == VanishPolicy::kDrop && !allow_many) {
    const auto total = txn->count(Table::kEntries);
    if (!total) return std::unexpected(total.error());
    const auto entries = settling.entries_in(vanished);
    if (!entries) return std::unexpected(entries.error());
    if (*entries * 2 > *total) {
      outcome.refused = true;
      outcome.dropped = *entries;
      return outcome;
    }
  }
  for (const Vanished& gone : vanished) {
    if (!new_inodes.empty()) {
      if (auto status = settling.remember(gone.entry, outcome.known); !status)
        return std::unexpected(status.error());
    }
    const auto status =
        policy == VanishPolicy::kDrop ? settling.drop(gone) : settling.drop_if_renamed(gone);
    if (!status) return std::unexpected(status.error());
  }
  if (auto erased = settling.erase_rows(); !erased) return std::unexpected(erased.error());
  std::ranges::sort(outcome.known, {}, &KnownContent::inode);
  outcome.dropped = settling.dropped();
  outcome.touched = std::move(settling.touched());
  return outcome;
}

}  // namespace holdfast::core
