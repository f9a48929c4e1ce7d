#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/codec.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/erase_rows.hpp"
#include "storecore/ops/gaps.hpp"
#include "storecore/ops/repair_run.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::InodeRecord;
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;
using catalog::SysResult;
using catalog::Table;

namespace {

/// A directory that has a row, or has just been given one.
struct Level {
  std::shared_ptr<DirNode> mirror;
  DirId id{};
  bool in_mirror = true;  ///< false: gone from there, or moved to its place by a restore
  bool lost = false;      ///< it is nowhere, and that is listed for it or for one above it
};

class MirrorMatch {
 public:
  explicit MirrorMatch(RepairRun& run) : run_(&run) {}
  [[nodiscard]] Status run();

 private:
  [[nodiscard]] Status visit(Level& level);
  [[nodiscard]] Status look_at_rows(const Level& level, const Fd* dir);
  void look_at_row(const Level& level, const Fd* dir, const Entry& entry);
  void look_at_directory(const Level& level, const Fd* dir, const Entry& entry);
  void lose(const Level& level, const Entry& entry, bool other_there);
  [[nodiscard]] Status look_at_names(const Level& level, const Fd& dir);
  [[nodiscard]] Status stray(const Level& level, const Fd& dir, const std::string& name);
  [[nodiscard]] Status adopt_directory(const Level& level, const std::string& name);
  [[nodiscard]] Status adopt_file(const Level& level, const Fd& dir, const std::string& name,
                                  const Stat& stat);
  [[nodiscard]] Status put_file(DirId parent, const std::string& name, const InodeRecord& record,
                                bool grouped);
  [[nodiscard]] bool may_drop(const std::string& path, const Stat& stat) const;
  void problem(ProblemKind kind, std::string path, std::error_code cause, std::string_view reason);

  RepairRun* run_;
  std::vector<Level> todo_;
  std::vector<Entry> erase_;  ///< of the directory that is being looked at
  bool dropped_here_ = false;
  /// Adopted inodes that have one name so far and may have more.
  struct Single {
    DirId parent{};
    std::string name;
  };
  std::unordered_map<std::uint64_t, Single> singles_;
};

void MirrorMatch::problem(ProblemKind kind, std::string path, std::error_code cause,
                          std::string_view reason) {
  run_->session.problem({.kind = kind,
                         .path = std::move(path),
                         .operation = {},
                         .error_number = cause.value(),
                         .reason = std::string(reason)});
}

/// The row's file is not under its name, and no restore moved it to its place.
void MirrorMatch::lose(const Level& level, const Entry& entry, bool other_there) {
  const bool pending = entry.kind != Entry::Kind::kDirectory &&
                       entry.inode.hash_state == catalog::HashState::kPending;
  // Its row stays, so that verify and restore go on to tell. Without a hash it could not be sealed.
  if (!run_->strict || other_there || pending) erase_.push_back(entry);
  if (!run_->strict) return;
  ++run_->missing;
  if (level.lost) return;
  problem(ProblemKind::kMissing, level.mirror->path_of(entry.name), {},
          other_there ? "another file has its name: that one is taken into the catalog"
          : entry.kind == Entry::Kind::kDirectory ? "the directory is gone, with all below it"
                                                  : "gone from the store");
}

void MirrorMatch::look_at_directory(const Level& level, const Fd* dir, const Entry& entry) {
  const auto stat = dir != nullptr ? stat_at(*dir, entry.name) : catalog::sys_error(ENOENT);
  Level child{.mirror = DirNode::child(level.mirror, entry.name), .id = entry.directory};
  if (stat && stat->is_directory()) {
    todo_.push_back(std::move(child));
    return;
  }
  child.in_mirror = false;
  child.lost = level.lost;
  if (run_->moved != nullptr && run_->moved->has_directory(child.mirror->path())) {
    child.lost = false;
    todo_.push_back(std::move(child));
    return;
  }
  if (!stat && !is_gone(stat.error()))
    return problem(ProblemKind::kCorrupt, child.mirror->path(), stat.error(),
                   "the directory cannot be looked at: what is below keeps its records");
  lose(level, entry, stat.has_value());
  child.lost = true;
  // What is below may have been moved elsewhere, by a mapping of its own, and is counted.
  if (run_->strict && !stat) todo_.push_back(std::move(child));
}

void MirrorMatch::look_at_row(const Level& level, const Fd* dir, const Entry& entry) {
  if (entry.kind == Entry::Kind::kDirectory) return look_at_directory(level, dir, entry);
  const InodeRecord& record = entry.inode;
  const auto stat = dir != nullptr ? stat_at(*dir, entry.name) : catalog::sys_error(ENOENT);
  if (stat && file_type(*stat) == record.type && stat->inode == catalog::raw(record.held_inode) &&
      stat->device == run_->store.store_stat().device)
    return;
  if (run_->moved != nullptr && run_->moved->find(level.mirror->path_of(entry.name), record))
    return;
  if (!stat && !is_gone(stat.error()))
    return problem(ProblemKind::kCorrupt, level.mirror->path_of(entry.name), stat.error(),
                   "the mirror's name cannot be looked at");
  lose(level, entry, stat.has_value());
}

Status MirrorMatch::look_at_rows(const Level& level, const Fd* dir) {
  auto txn = run_->writer.transaction();
  if (!txn) return std::unexpected(txn.error());
  const catalog::Reader reader(**txn);
  erase_.clear();
  const auto status =
      reader.for_each_entry(level.id, [&](DirId, const Entry& entry) -> Result<bool> {
        look_at_row(level, dir, entry);
        return true;
      });
  if (!status) return status;
  if (erase_.empty()) return {};
  catalog::Batch batch;
  FirstError errors;
  for (const Entry& entry : erase_) erase_entry(reader, level.id, entry, batch, errors);
  if (auto failed = errors.status(); !failed) return failed;
  return run_->writer.apply(batch);
}

/// A stray that nobody wants and that has its name in ROOT as well. It is renamed, not unlinked.
bool MirrorMatch::may_drop(const std::string& path, const Stat& stat) const {
  if (!run_->strict || !run_->rows_are_whole || run_->selection == nullptr) return false;
  if (judge_path(*run_->selection, path, false) != Selection::Verdict::kUnselected) return false;
  const auto parent = open_parent(run_->store.root(), path);
  const auto there = parent ? stat_at(*parent, last_component(path))
                            : SysResult<Stat>(std::unexpected(parent.error()));
  return there && there->same_inode(stat);
}

Status MirrorMatch::put_file(DirId parent, const std::string& name, const InodeRecord& record,
                             bool grouped) {
  Entry entry;
  entry.name = name;
  entry.inode = record;
  if (grouped) {
    entry.kind = Entry::Kind::kGrouped;
    entry.group = record.held_inode;
  }
  return run_->writer.put(Table::kEntries, catalog::entry_key(parent, name),
                          catalog::encode(entry));
}

Status MirrorMatch::adopt_file(const Level& level, const Fd& dir, const std::string& name,
                               const Stat& stat) {
  InodeRecord record = make_record(stat);
  const std::string path = level.mirror->path_of(name);
  if (stat.is_symlink()) {
    auto target = readlink_at(dir, name.c_str());
    if (!target) {
      problem(ProblemKind::kCorrupt, path, target.error(), "the symlink cannot be read");
      return {};
    }
    record.link_target = std::move(*target);
  }
  if (const auto spare = run_->spare_hashes.find(path);
      spare != run_->spare_hashes.end() && stat.is_regular()) {
    record.hash = spare->second;
    record.hash_state = catalog::HashState::kHashed;
  }
  ++run_->adopted;
  if (stat.links == 1) return put_file(level.id, name, record, false);
  // Other names of the inode are one group with this one, and its hash is that of the group.
  auto txn = run_->writer.transaction();
  if (!txn) return std::unexpected(txn.error());
  const auto group = catalog::Reader(**txn).find_inode(record.held_inode);
  if (!group) return std::unexpected(group.error());
  if (*group) return put_file(level.id, name, **group, true);
  const auto first = singles_.find(stat.inode);
  if (first == singles_.end()) {
    singles_.emplace(stat.inode, Single{.parent = level.id, .name = name});
    return put_file(level.id, name, record, false);
  }
  const Single single = std::move(first->second);
  singles_.erase(first);
  const auto known = catalog::Reader(**txn).find_entry(single.parent, single.name);
  if (!known) return std::unexpected(known.error());
  if (*known && (*known)->inode.hash_state == catalog::HashState::kHashed) record = (*known)->inode;
  if (auto put = run_->writer.put(Table::kInodes, catalog::inode_key(record.held_inode),
                                  catalog::encode(record));
      !put)
    return put;
  if (auto put = put_file(single.parent, single.name, record, true); !put) return put;
  return put_file(level.id, name, record, true);
}

Status MirrorMatch::adopt_directory(const Level& level, const std::string& name) {
  auto node = DirNode::child(level.mirror, name);
  const std::string path = node->path();
  const auto dir = node->open();
  auto record = dir ? read_directory_record((*dir)->get())
                    : SysResult<catalog::DirectoryRecord>(std::unexpected(dir.error()));
  if (!record) {
    if (is_shortage(record.error())) return catalog::failed("openat", path, record.error());
    problem(ProblemKind::kCorrupt, path, record.error(), "the directory cannot be read");
    return {};
  }
  record->selected = run_->selection == nullptr || selects_path(*run_->selection, path);
  ++run_->adopted;
  const DirId id{run_->next_dir++};
  const catalog::Directory row{
      .id = id, .parent = level.id, .name = name, .record = std::move(*record)};
  Entry entry;
  entry.kind = Entry::Kind::kDirectory;
  entry.name = name;
  entry.directory = id;
  if (auto put = run_->writer.put(Table::kDirs, catalog::dir_key(id), catalog::encode(row)); !put)
    return put;
  todo_.push_back({.mirror = std::move(node), .id = id});
  return run_->writer.put(Table::kEntries, catalog::entry_key(level.id, name),
                          catalog::encode(entry));
}

Status MirrorMatch::stray(const Level& level, const Fd& dir, const std::string& name) {
  const std::string path = level.mirror->path_of(name);
  const auto stat = stat_at(dir, name);
  if (!stat) {
    if (is_shortage(stat.error())) return catalog::failed("statx", path, stat.error());
    problem(ProblemKind::kCorrupt, path, stat.error(), "the mirror's name cannot be looked at");
    return {};
  }
  const bool storable = stat->is_directory() || file_type(*stat).has_value();
  if (!storable || (!stat->is_directory() && may_drop(path, *stat))) {
    if (auto taken = run_->dropped.take(dir, name, path); !taken) return taken;
    dropped_here_ = true;
    problem(ProblemKind::kWarning, path, {},
            storable ? "not wanted, not recorded, and still in ROOT: moved to dropped/"
                     : "of a type that is not captured: moved to dropped/");
    return {};
  }
  if (run_->rows_are_whole) run_->session.note(fmt::format("adopted {}", path));
  return stat->is_directory() ? adopt_directory(level, name) : adopt_file(level, dir, name, *stat);
}

Status MirrorMatch::look_at_names(const Level& level, const Fd& dir) {
  const auto names = list_names(dir);
  if (!names) {
    if (is_shortage(names.error()))
      return catalog::failed("getdents64", level.mirror->path(), names.error());
    problem(ProblemKind::kCorrupt, level.mirror->path(), names.error(),
            "the directory cannot be listed");
    return {};
  }
  for (const std::string& name : *names) {
    auto txn = run_->writer.transaction();
    if (!txn) return std::unexpected(txn.error());
    const auto known = catalog::Reader(**txn).find_entry(level.id, name);
    if (!known) return std::unexpected(known.error());
    if (*known) continue;
    if (auto status = stray(level, dir, name); !status) return status;
  }
  return {};
}

Status MirrorMatch::visit(Level& level) {
  if (run_->session.context().stopped())
    return catalog::fail(catalog::Fault::kFailed, run_->store.place().root, "interrupted",
                         "run the command again");
  SysResult<SharedFd> dir = catalog::sys_error(ENOENT);
  if (level.in_mirror) {
    dir = level.mirror->open();
    if (!dir) {
      if (is_shortage(dir.error()))
        return catalog::failed("openat", level.mirror->path(), dir.error());
      problem(ProblemKind::kCorrupt, level.mirror->path(), dir.error(),
              "the directory cannot be opened: what is below keeps its records");
      return {};
    }
  }
  dropped_here_ = false;
  if (auto status = look_at_rows(level, dir ? dir->get() : nullptr); !status) return status;
  if (!dir) return {};
  if (auto status = look_at_names(level, **dir); !status) return status;
  if (dropped_here_) {
    // The mirror's directory gets its times back: they are the captured ones.
    auto txn = run_->writer.transaction();
    if (!txn) return std::unexpected(txn.error());
    const auto row = catalog::Reader(**txn).find_directory(level.id);
    if (row && *row)
      (void)apply_directory_record((*dir)->get(), (*row)->record, geteuid() == 0, false);
  }
  return {};
}

Status MirrorMatch::run() {
  auto tree = run_->store.tree(std::make_shared<FdBudget>(FdBudget::default_size()));
  if (!tree) return std::unexpected(tree.error());
  todo_.push_back({.mirror = std::move(*tree), .id = catalog::kRootDir});
  while (!todo_.empty()) {
    Level level = std::move(todo_.back());
    todo_.pop_back();
    if (auto status = visit(level); !status) return status;
  }
  return {};
}

}  // namespace

Status match_mirror(RepairRun& run) { return MirrorMatch(run).run(); }

Result<bool> has_strays(Session& session, const Store& store, const catalog::Env& env) {
  const auto txn = catalog::ReadTxn::begin(env);
  if (!txn) return std::unexpected(txn.error());
  const catalog::Reader reader(*txn);
  auto tree = store.tree(std::make_shared<FdBudget>(FdBudget::default_size()));
  if (!tree) return std::unexpected(tree.error());
  std::vector<Level> todo;
  todo.push_back({.mirror = std::move(*tree), .id = catalog::kRootDir});
  while (!todo.empty()) {
    if (session.context().stopped())
      return catalog::fail(catalog::Fault::kFailed, store.place().root, "interrupted",
                           "run the command again");
    const Level level = std::move(todo.back());
    todo.pop_back();
    const auto dir = level.mirror->open();
    if (!dir) continue;  // what cannot be read is verify's to tell
    const auto names = list_names(**dir);
    if (!names) continue;
    for (const std::string& name : *names) {
      const auto known = reader.find_entry(level.id, name);
      if (!known) return std::unexpected(known.error());
      if (!*known) return true;
      if ((*known)->kind == Entry::Kind::kDirectory)
        todo.push_back({.mirror = DirNode::child(level.mirror, name), .id = (*known)->directory});
    }
  }
  return false;
}

}  // namespace holdfast::core
