#include <fmt/format.h>

#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

#include "catalog/codec.hpp"
#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/manifest.hpp"
#include "catalog/name.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "storecore/hash/hash_file.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/catalog_walk.hpp"
#include "storecore/ops/gaps.hpp"
#include "storecore/ops/repair_run.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/manifest_reader.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Directory;
using catalog::DirectoryRecord;
using catalog::DirId;
using catalog::Entry;
using catalog::InodeRecord;
using catalog::ManifestEntry;
using catalog::Result;
using catalog::Status;
using catalog::Table;

namespace {

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

class ManifestRows {
 public:
  explicit ManifestRows(RepairRun& run) : run_(&run) { dirs_.emplace("", catalog::kRootDir); }
  [[nodiscard]] Result<ManifestRead> load(DirFd dir);

 private:
  [[nodiscard]] Status entry(ManifestEntry&& entry);
  [[nodiscard]] Status file(const std::string& path, const InodeRecord& record, bool grouped);
  [[nodiscard]] Status directory(const std::string& path, DirectoryRecord record);
  [[nodiscard]] Result<DirId> find_parent(std::string_view path);
  [[nodiscard]] DirectoryRecord record_from_mirror(const std::string& path) const;
  [[nodiscard]] Status compare_hash(catalog::Xxh128Line&& line);
  [[nodiscard]] Status settle_dispute(const std::string& path, DirId parent, const Entry& entry,
                                      const catalog::Digest& other);

  RepairRun* run_;
  Fd tree_;
  /// By path. Directories only: a few percent of what a volume holds.
  std::unordered_map<std::string, DirId> dirs_;
  bool has_root_ = false;
};

/// A directory whose line is lost: the mirror's own has owner, mode, times and xattrs of the
/// original. Where there is none either, whatever stands in its place at restore is left alone.
DirectoryRecord ManifestRows::record_from_mirror(const std::string& path) const {
  const auto components = catalog::split_path(path);
  DirectoryRecord record;
  record.mode = 0700;
  record.selected = false;
  if (!components) return record;
  const auto dir = open_dir_below(tree_, *components);
  if (!dir) return record;
  if (auto read = read_directory_record(dir->get())) record = std::move(*read);
  record.selected =
      !path.empty() && (run_->selection == nullptr || selects_path(*run_->selection, path));
  return record;
}

Result<DirId> ManifestRows::find_parent(std::string_view path) {
  // The longest front that is known, then one directory more at a time: an id is always smaller
  // than those below it.
  std::string_view front = path;
  auto known = dirs_.find(std::string(front));
  while (known == dirs_.end()) {
    front = parent_of(front);
    known = dirs_.find(std::string(front));
  }
  DirId id = known->second;
  while (front.size() < path.size()) {
    const std::size_t end = path.find('/', front.empty() ? 0 : front.size() + 1);
    front = path.substr(0, end);
    const std::string whole(front);
    if (auto made = directory(whole, record_from_mirror(whole)); !made)
      return std::unexpected(made.error());
    id = dirs_.at(whole);
  }
  return id;
}

Status ManifestRows::directory(const std::string& path, DirectoryRecord record) {
  catalog::Writer& writer = run_->writer;
  Directory row{.id = catalog::kRootDir, .parent = catalog::kNoDir, .name = {}, .record = {}};
  row.record = std::move(record);
  if (path.empty()) {
    has_root_ = true;
    return writer.put(Table::kDirs, catalog::dir_key(row.id), catalog::encode(row));
  }
  const auto parent = find_parent(parent_of(path));
  if (!parent) return std::unexpected(parent.error());
  row.parent = *parent;
  row.name = last_component(path);
  const auto known = dirs_.find(path);
  row.id = known != dirs_.end() ? known->second : DirId{run_->next_dir++};
  dirs_.insert_or_assign(path, row.id);
  Entry entry;
  entry.kind = Entry::Kind::kDirectory;
  entry.name = row.name;
  entry.directory = row.id;
  if (auto put = writer.put(Table::kDirs, catalog::dir_key(row.id), catalog::encode(row)); !put)
    return put;
  return writer.put(Table::kEntries, catalog::entry_key(*parent, entry.name),
                    catalog::encode(entry));
}

Status ManifestRows::file(const std::string& path, const InodeRecord& record, bool grouped) {
  if (dirs_.contains(path)) return {};  // two lines of one path: a manifest that is not whole
  const auto parent = find_parent(parent_of(path));
  if (!parent) return std::unexpected(parent.error());
  catalog::Writer& writer = run_->writer;
  Entry entry;
  entry.name = last_component(path);
  entry.inode = record;
  if (grouped) {
    entry.kind = Entry::Kind::kGrouped;
    entry.group = record.held_inode;
    if (auto put = writer.put(Table::kInodes, catalog::inode_key(record.held_inode),
                              catalog::encode(record));
        !put)
      return put;
  }
  return writer.put(Table::kEntries, catalog::entry_key(*parent, entry.name),
                    catalog::encode(entry));
}

Status ManifestRows::entry(ManifestEntry&& entry) {
  if (run_->session.context().stopped())
    return catalog::fail(catalog::Fault::kFailed, run_->store.place().root, "interrupted",
                         "run the command again");
  if (auto* record = std::get_if<DirectoryRecord>(&entry.record))
    return directory(entry.path, std::move(*record));
  return file(entry.path, std::get<InodeRecord>(entry.record), entry.grouped);
}

/// Both manifests give a hash and they differ: one of the two lines is damaged. What the file holds
/// now says which, unless it fits neither: then the row's stands and verify tells.
Status ManifestRows::settle_dispute(const std::string& path, DirId parent, const Entry& entry,
                                    const catalog::Digest& other) {
  const auto dir = open_parent(tree_, path);
  if (!dir) return {};
  const auto hashed = FileHasher().hash(*dir, entry.name.c_str());
  if (!hashed || hashed->digest != other) return {};
  Entry mended = entry;
  mended.inode.hash = other;
  if (entry.kind == Entry::Kind::kGrouped)
    return run_->writer.put(Table::kInodes, catalog::inode_key(entry.group),
                            catalog::encode(mended.inode));
  return run_->writer.put(Table::kEntries, catalog::entry_key(parent, entry.name),
                          catalog::encode(mended));
}

Status ManifestRows::compare_hash(catalog::Xxh128Line&& line) {
  const auto parent = dirs_.find(std::string(parent_of(line.path)));
  std::optional<Entry> known;
  if (parent != dirs_.end()) {
    auto txn = run_->writer.transaction();
    if (!txn) return std::unexpected(txn.error());
    auto found = catalog::Reader(**txn).find_entry(parent->second, last_component(line.path));
    if (!found) return std::unexpected(found.error());
    known = std::move(*found);
  }
  if (!known) {
    run_->spare_hashes.insert_or_assign(std::move(line.path), line.hash);
    return {};
  }
  if (known->kind == Entry::Kind::kDirectory || known->inode.hash == line.hash ||
      known->inode.hash_state != catalog::HashState::kHashed)
    return {};
  return settle_dispute(line.path, parent->second, *known, line.hash);
}

Result<ManifestRead> ManifestRows::load(DirFd dir) {
  auto tree = run_->store.subdir(layout::kTree);
  if (!tree) return std::unexpected(tree.error());
  tree_ = std::move(*tree);
  auto read = read_manifest(dir, layout::kManifest,
                            [this](ManifestEntry&& one) { return entry(std::move(one)); });
  if (!read) return read;
  if (!read->whole) {
    const auto status = read_manifest_hashes(
        dir, layout::kManifestHashes,
        [this](catalog::Xxh128Line&& line) { return compare_hash(std::move(line)); });
    if (!status) return std::unexpected(status.error());
  }
  if (!has_root_) {
    // ROOT's own metadata is restored only with --everything: what is not known is left alone.
    if (auto put = directory("", record_from_mirror("")); !put) return std::unexpected(put.error());
  }
  return read;
}

}  // namespace

Result<ManifestRead> load_manifest_rows(RepairRun& run, DirFd dir) {
  return ManifestRows(run).load(dir);
}

Result<SelectionSpec> selection_from_rows(const catalog::Reader& reader) {
  SelectionSpec spec;
  const auto root = reader.find_directory(catalog::kRootDir);
  if (!root) return std::unexpected(root.error());
  if (*root && (*root)->record.selected) {
    spec.everything = true;
    return spec;
  }
  std::string taken;  // what lies below the last directory that was wanted itself is wanted with it
  const auto literal = [](std::string_view path) {
    std::string pattern = "/";
    for (const char letter : path) {
      if (std::string_view("*?[]\\!").contains(letter)) pattern += '\\';
      pattern += letter;
    }
    return pattern;
  };
  const auto status =
      walk_catalog(reader, catalog::kRootDir, "",
                   [&](const std::string& path, const Entry& entry) -> Result<bool> {
                     if (!taken.empty() && path.starts_with(taken + "/")) return true;
                     bool selected = true;
                     if (entry.kind == Entry::Kind::kDirectory) {
                       const auto row = reader.find_directory(entry.directory);
                       if (!row) return std::unexpected(row.error());
                       selected = *row && (*row)->record.selected;
                       if (selected) taken = path;
                     }
                     if (selected) spec.include.push_back(literal(path));
                     return true;
                   });
  if (!status) return std::unexpected(status.error());
  return spec;
}

}  // namespace holdfast::core
