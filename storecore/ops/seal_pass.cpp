#include "storecore/ops/seal_pass.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "catalog/codec.hpp"
#include "catalog/content_index.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "storecore/ops/manifest_pass.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/manifest_file.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Directory;
using catalog::DirId;
using catalog::Entry;
using catalog::FileType;
using catalog::HashState;
using catalog::Held;
using catalog::InodeNo;
using catalog::InodeRecord;
using catalog::Result;
using catalog::Status;
using catalog::Table;

namespace {

/// Directory rows read before the changed ones among them are written.
constexpr std::size_t kChunk = 4096;

/// Distinct sets of owners, each kept once: nearly all directories share a handful.
class IdSets {
 public:
  static constexpr std::uint32_t kMany = UINT32_MAX;
  IdSets() { number({}); }
  [[nodiscard]] std::uint32_t with(std::uint32_t set, std::uint32_t id) {
    if (set == kMany || std::ranges::binary_search(sets_[set], id)) return set;
    std::vector<std::uint32_t> ids = sets_[set];
    ids.insert(std::ranges::lower_bound(ids, id), id);
    return number(std::move(ids));
  }
  [[nodiscard]] std::uint32_t joined(std::uint32_t a, std::uint32_t b) {
    if (a == b || b == 0) return a;
    if (a == kMany || b == kMany) return kMany;
    std::vector<std::uint32_t> ids;
    std::ranges::set_union(sets_[a], sets_[b], std::back_inserter(ids));
    return number(std::move(ids));
  }
  [[nodiscard]] const std::vector<std::uint32_t>& ids(std::uint32_t set) const {
    return sets_[set];
  }

 private:
  std::uint32_t number(std::vector<std::uint32_t> ids) {
    if (ids.size() > catalog::kMaxSummaryIds) return kMany;
    const auto [at, inserted] = numbers_.emplace(ids, static_cast<std::uint32_t>(sets_.size()));
    if (inserted) sets_.push_back(std::move(ids));
    return at->second;
  }
  std::vector<std::vector<std::uint32_t>> sets_;
  std::map<std::vector<std::uint32_t>, std::uint32_t> numbers_;
};

/// One directory's summary while it adds up. 40 bytes, one for each directory.
struct Sum {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t parent = 0;
  std::uint32_t uids = 0;
  std::uint32_t gids = 0;
  bool present = false;
  bool needs_rebuild = false;
  bool has_unselected = false;
  bool has_copies = false;
};

class Derivation {
 public:
  /// @p scratch is borrowed: the folder for what does not fit into memory.
  Derivation(catalog::Env& env, catalog::Writer& writer, int scratch)
      : env_(&env), writer_(&writer), index_(scratch) {}
  [[nodiscard]] Status run();
  [[nodiscard]] const CatalogTotals& totals() const noexcept { return totals_; }

 private:
  [[nodiscard]] Status read_directories(const catalog::Reader& reader);
  [[nodiscard]] Status read_entries(const catalog::Reader& reader);
  [[nodiscard]] Status entry(DirId parent, const Entry& entry);
  void count(const InodeRecord& record, bool grouped);
  [[nodiscard]] Status read_groups(const catalog::Reader& reader);
  [[nodiscard]] Status write_groups();
  void add_up();
  [[nodiscard]] Status write_summaries();
  [[nodiscard]] catalog::SubtreeSummary summary(const Sum& sum) const;

  catalog::Env* env_;
  catalog::Writer* writer_;
  catalog::ContentIndexBuilder index_;
  CatalogTotals totals_;
  IdSets owners_;
  IdSets groups_of_;
  std::vector<Sum> sums_;
  std::vector<std::uint64_t> group_names_;
  std::vector<std::pair<InodeNo, InodeRecord>> changed_groups_;
  std::vector<InodeNo> empty_groups_;
};

Status Derivation::read_directories(const catalog::Reader& reader) {
  return reader.for_each_directory(catalog::kRootDir, [&](const Directory& dir) -> Result<bool> {
    const std::uint64_t id = catalog::raw(dir.id);
    if (sums_.size() <= id) sums_.resize(id + 1);
    Sum& sum = sums_[id];
    sum.present = true;
    sum.parent = catalog::raw(dir.parent);
    sum.needs_rebuild = dir.record.flags != 0 || dir.record.project_id != 0;
    sum.has_unselected = !dir.record.selected || !dir.record.complete;
    sum.uids = owners_.with(0, dir.record.uid);
    sum.gids = groups_of_.with(0, dir.record.gid);
    return true;
  });
}

void Derivation::count(const InodeRecord& record, bool grouped) {
  if (record.hash_state == HashState::kPending) ++totals_.pending;
  switch (record.type) {
    case FileType::kFile:
      ++totals_.files;
      if ((record.mode & catalog::kSetIds) != 0) ++totals_.setuid;
      if (!grouped) {
        ++totals_.inodes;
        totals_.bytes += record.size;
      }
      return;
    case FileType::kSymlink:
      ++totals_.symlinks;
      return;
    default:
      ++totals_.specials;
  }
}

Status Derivation::entry(DirId parent, const Entry& entry) {
  ++totals_.entries;
  const std::uint64_t id = catalog::raw(parent);
  if (id >= sums_.size() || !sums_[id].present)
    return catalog::fail(catalog::Fault::kCatalogBad, entry.name,
                         "an entry lies in a directory that is not catalogued");
  Sum& sum = sums_[id];
  ++sum.entries;
  if (entry.kind == Entry::Kind::kDirectory) {
    ++totals_.directories;
    return {};
  }
  const InodeRecord& record = entry.inode;
  const bool grouped = entry.kind == Entry::Kind::kGrouped;
  if (grouped) group_names_.push_back(catalog::raw(entry.group));
  count(record, grouped);
  sum.uids = owners_.with(sum.uids, record.uid);
  sum.gids = groups_of_.with(sum.gids, record.gid);
  sum.has_copies = sum.has_copies || record.held != Held::kLink;
  if (record.type == FileType::kFile) sum.bytes += record.size;
  if (record.type != FileType::kFile || record.hash_state != HashState::kHashed) return {};
  return index_.add(record.hash, catalog::entry_key(parent, entry.name));
}

Status Derivation::read_entries(const catalog::Reader& reader) {
  return reader.for_each_entry_after({}, [&](DirId parent, const Entry& row) -> Result<bool> {
    if (auto status = entry(parent, row); !status) return std::unexpected(status.error());
    return true;
  });
}

/// The `inodes` table is in inode order, and so are the names once they are sorted: one merge
/// counts them all.
Status Derivation::read_groups(const catalog::Reader& reader) {
  std::ranges::sort(group_names_);
  auto at = group_names_.begin();
  return reader.for_each_group([&](InodeNo number, const InodeRecord& record) -> Result<bool> {
    at = std::lower_bound(at, group_names_.end(), catalog::raw(number));
    const auto end = std::upper_bound(at, group_names_.end(), catalog::raw(number));
    const auto names = static_cast<std::uint32_t>(end - at);
    at = end;
    if (names == 0) {
      empty_groups_.push_back(number);
      return true;
    }
    if (record.type == FileType::kFile) {
      ++totals_.inodes;
      totals_.bytes += record.size;
    }
    if (record.names != names) {
      changed_groups_.emplace_back(number, record);
      changed_groups_.back().second.names = names;
    }
    return true;
  });
}

Status Derivation::write_groups() {
  for (const InodeNo number : empty_groups_) {
    if (auto erased = writer_->erase(Table::kInodes, catalog::inode_key(number)); !erased)
      return erased;
  }
  for (const auto& [number, record] : changed_groups_) {
    if (auto put =
            writer_->put(Table::kInodes, catalog::inode_key(number), catalog::encode(record));
        !put)
      return put;
  }
  return {};
}

/// A parent's id is smaller than its children's: from the last to the first, each is complete when
/// its turn comes.
void Derivation::add_up() {
  for (std::size_t id = sums_.size(); id-- > 2;) {
    const Sum& sum = sums_[id];
    if (!sum.present || sum.parent >= id) continue;
    Sum& parent = sums_[sum.parent];
    parent.entries += sum.entries;
    parent.bytes += sum.bytes;
    parent.needs_rebuild = parent.needs_rebuild || sum.needs_rebuild;
    parent.has_unselected = parent.has_unselected || sum.has_unselected;
    parent.has_copies = parent.has_copies || sum.has_copies;
    parent.uids = owners_.joined(parent.uids, sum.uids);
    parent.gids = groups_of_.joined(parent.gids, sum.gids);
  }
}

catalog::SubtreeSummary Derivation::summary(const Sum& sum) const {
  catalog::SubtreeSummary summary;
  summary.entries = sum.entries;
  summary.bytes = sum.bytes;
  summary.needs_rebuild = sum.needs_rebuild;
  summary.has_unselected = sum.has_unselected;
  summary.has_copies = sum.has_copies;
  summary.many_ids = sum.uids == IdSets::kMany || sum.gids == IdSets::kMany;
  if (!summary.many_ids) {
    summary.uids = owners_.ids(sum.uids);
    summary.gids = groups_of_.ids(sum.gids);
  }
  return summary;
}

Status Derivation::write_summaries() {
  // In chunks: what is read belongs to a transaction that the next write invalidates.
  std::uint64_t first = 1;
  while (true) {
    std::vector<Directory> changed;
    std::size_t seen = 0;
    auto txn = writer_->transaction();
    if (!txn) return std::unexpected(txn.error());
    const auto status = catalog::Reader(**txn).for_each_directory(
        DirId{first}, [&](const Directory& dir) -> Result<bool> {
          if (seen == kChunk) return false;
          ++seen;
          first = catalog::raw(dir.id) + 1;
          auto derived = summary(sums_.at(catalog::raw(dir.id)));
          if (dir.record.subtree == derived) return true;
          changed.push_back(dir);
          changed.back().record.subtree = std::move(derived);
          return true;
        });
    if (!status) return status;
    for (const Directory& dir : changed) {
      if (auto put = writer_->put(Table::kDirs, catalog::dir_key(dir.id), catalog::encode(dir));
          !put)
        return put;
    }
    if (seen < kChunk) return {};
  }
}

Status Derivation::run() {
  {
    auto txn = writer_->transaction();
    if (!txn) return std::unexpected(txn.error());
    const catalog::Reader reader(**txn);
    if (auto status = read_directories(reader); !status) return status;
    if (auto status = read_entries(reader); !status) return status;
    if (auto status = read_groups(reader); !status) return status;
  }
  if (auto status = write_groups(); !status) return status;
  add_up();
  if (auto status = write_summaries(); !status) return status;
  if (auto status = writer_->commit(); !status) return status;
  return index_.finish(*env_);
}

}  // namespace

Result<CatalogTotals> derive_from_catalog(const Store& store, catalog::Env& env,
                                          catalog::Writer& writer, Progress& progress,
                                          unsigned jobs) {
  const auto scratch = store.subdir(layout::kCatalog);
  if (!scratch) return std::unexpected(scratch.error());
  auto manifests = ManifestFiles::begin(store.dir(), store.record().capture_id);
  if (!manifests) return std::unexpected(manifests.error());
  // The manifests are written from a snapshot of what is committed now. The writer changes nothing
  // that stands in them, so the two go on beside each other.
  if (auto status = writer.commit(); !status) return std::unexpected(status.error());
  Derivation derivation(env, writer, scratch->get());
  FirstError errors;
  parallel_for(jobs, 2, [&](std::size_t half) {
    errors.check(half == 0 ? derivation.run() : write_manifest_lines(env, *manifests, progress));
  });
  if (errors.failed()) return std::unexpected(errors.status().error());
  if (auto status = manifests->finish(); !status) return std::unexpected(status.error());
  return derivation.totals();
}

void note_totals(StoreRecord& record, const CatalogTotals& totals) {
  record.counts = {{"entries", totals.entries},   {"files", totals.files},
                   {"inodes", totals.inodes},     {"directories", totals.directories},
                   {"symlinks", totals.symlinks}, {"specials", totals.specials},
                   {"bytes", totals.bytes},       {"setuid", totals.setuid}};
}

Status seal_store(Store& store, catalog::Env env, StoreState as, const CatalogTotals& totals) {
  {
    const catalog::Env closed = std::move(env);
  }
  failpoint("seal-before-barrier");
  if (auto status = store.barrier(); !status) return status;
  if (auto status = note_catalog_sum(store); !status) return status;
  note_totals(store.record(), totals);
  store.record().sealed_at = utc_now();
  failpoint("seal-before-state");
  return store.enter(as);
}

}  // namespace holdfast::core
