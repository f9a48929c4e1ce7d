// What CaptureWalk does with one entry: compare it with its row, hold it, record it, and make the
// mirror directories that it needs. The walk itself is in capture_walk.cpp.
#include <dirent.h>
#include <fmt/format.h>
#include <sys/xattr.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/codec.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/link/holder.hpp"
#include "storecore/ops/capture_dir.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/catalog_feed.hpp"
#include "storecore/ops/erase_rows.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"
namespace holdfast::core {

using catalog::Batch;
using catalog::DirId;
using catalog::Entry;
using catalog::FileType;
using catalog::HashState;
using catalog::Held;
using catalog::InodeRecord;
using catalog::ProblemKind;
using catalog::Status;
using catalog::Table;

namespace {

/// A catalogued directory that somebody took out of the mirror, made again with those above it.
bool make_mirror_again(CaptureDir& dir) {
  std::vector<CaptureDir*> missing;
  for (CaptureDir* at = &dir; at->parent; at = at->parent.get()) {
    missing.push_back(at);
    const auto parent = at->mirror->parent()->open();
    if (parent) break;
    if (parent.error().value() != ENOENT) return false;
  }
  if (missing.empty()) return false;
  for (; !missing.empty(); missing.pop_back()) {
    CaptureDir& next = *missing.back();
    const auto parent = next.mirror->parent()->open();
    if (!parent) return false;
    const auto made = mkdir_at(**parent, next.mirror->name().c_str(), 0700);
    if (!made && made.error().value() != EEXIST) return false;
    next.touched.store(true, std::memory_order_relaxed);
  }
  return true;
}

}  // namespace

void put_directory(const CaptureDir& dir, Batch& batch) {
  const DirId parent = dir.parent ? dir.parent->id : catalog::kNoDir;
  const catalog::Directory row{
      .id = dir.id, .parent = parent, .name = dir.mirror->name(), .record = dir.record};
  batch.put(Table::kDirs, catalog::dir_key(dir.id), catalog::encode(row));
}

bool CaptureWalk::is_unchanged(CaptureDir& dir, const Entry& entry, const Stat& stat,
                               const std::string& name) {
  const InodeRecord& record = entry.inode;
  const bool same = record.hash_state == HashState::kHashed && file_type(stat) == record.type &&
                    catalog::raw(record.source_inode) == stat.inode && record.size == stat.size &&
                    record.mtime == stat.mtime && record.ctime == stat.ctime;
  if (!same || !options_.resume) return same;
  // After a crash rows can be durable where links are not.
  const auto mirror = dir.mirror->open();
  if (!mirror) return false;
  const auto held = stat_at(**mirror, name);
  return held && held->inode == catalog::raw(record.held_inode);
}

void CaptureWalk::file(CaptureDir& dir, const Fd& source, const std::string& name, Batch& batch) {
  const auto before = find_before(dir, name);
  std::optional<Stat> stat;
  if (options_.refresh) {
    const auto looked = stat_at(source, name);
    if (!looked) {
      if (before) ++dir.matched;
      return not_seen(dir, name, looked.error());
    }
    stat = *looked;
  }
  if (before) {
    ++dir.matched;
    if (before->kind == Entry::Kind::kDirectory) {
      if (!drop(dir, *before, batch)) return;
    } else if (is_unchanged(dir, *before, *stat, name)) {
      progress_->files.fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
  hold(dir, source, name, stat ? &*stat : nullptr, batch);
  if (before && before->kind != Entry::Kind::kDirectory) forget_if_dropped(dir, *before, batch);
}

/// What was held under a name goes to dropped/ before something else takes its place. When nothing
/// could, the row would speak of a name that the mirror does not have.
void CaptureWalk::forget_if_dropped(CaptureDir& dir, const Entry& before, Batch& batch) {
  if (errors_->failed()) return;
  const auto mirror = dir.mirror->open();
  if (!mirror)
    return errors_->set(catalog::failed("openat", dir.mirror->path(), mirror.error()).error());
  const auto there = stat_at(**mirror, before.name);
  if (there) return;
  if (there.error().value() != ENOENT)
    return errors_->set(
        catalog::failed("statx", dir.mirror->path_of(before.name), there.error()).error());
  erase_entry(*reader(), dir.id, before, batch, *errors_);
}

void CaptureWalk::hold(CaptureDir& dir, const Fd& source, const std::string& name,
                       const Stat* before, Batch& batch) {
  if (!ensure(dir) || !feed_->begin_changes()) return;
  auto mirror = dir.mirror->open();
  if (!mirror && mirror.error().value() == ENOENT && make_mirror_again(dir))
    mirror = dir.mirror->open();
  if (!mirror)
    return errors_->set(catalog::failed("openat", dir.mirror->path(), mirror.error()).error());
  dir.touched.store(true, std::memory_order_relaxed);
  const EntryPath path(*dir.source, name);
  const auto held = holder_.hold(source, name, **mirror, path);
  if (!held) return errors_->set(held.error());
  failpoint("link-held");
  switch (held->answer) {
    case HoldResult::Answer::kHeld:
      return record(dir, name, *held, before, batch);
    case HoldResult::Answer::kVanished:
      return problem(ProblemKind::kSkipped, path.text(), "linkat", {}, "vanished while walking");
    case HoldResult::Answer::kSkipped:
      return problem(ProblemKind::kSkipped, path.text(), {}, {}, "a socket");
    case HoldResult::Answer::kMissed:
      return problem(ProblemKind::kMissed, path.text(), held->operation, held->cause, held->reason);
  }
}

void CaptureWalk::record(CaptureDir& dir, const std::string& name, const HoldResult& held,
                         const Stat* before, Batch& batch) {
  InodeRecord row = make_record(held.source);
  row.held = held.how;
  row.held_inode = catalog::InodeNo{held.held_inode};
  if (held.how == Held::kLink && before != nullptr && before->inode == held.source.inode)
    row.ctime = before->ctime;
  if (held.hash) {
    row.hash = *held.hash;
    row.hash_state = HashState::kHashed;
  }
  if (row.type == FileType::kSymlink) fill_symlink(dir, name, row);

  Entry entry;
  entry.name = name;
  // One name in the source and one in the mirror make two.
  const bool grouped = held.how == Held::kLink ? held.source.links > 2 : held.source.links > 1;
  if (grouped) {
    if (options_.refresh) {
      // Linking one name moves the ctime that the next name of the group is seen with: the first
      // one counts.
      const std::lock_guard lock(results_mutex_);
      const auto [seen, first] =
          group_ctimes_.try_emplace(catalog::raw(row.source_inode), row.ctime);
      if (!first) row.ctime = seen->second = std::min(seen->second, row.ctime);
    }
    entry.kind = Entry::Kind::kGrouped;
    // What is held names the group: names that are links and names of a copy are two groups.
    entry.group = row.held_inode;
    batch.put(Table::kInodes, catalog::inode_key(row.held_inode), catalog::encode(row));
  } else {
    entry.kind = Entry::Kind::kInline;
    entry.inode = row;
  }
  batch.put(Table::kEntries, catalog::entry_key(dir.id, name), catalog::encode(entry));

  if (!held.already) {
    auto& count = held.how == Held::kReflink ? counts_.reflinked
                  : held.how == Held::kLink  ? counts_.linked
                                             : counts_.copied;
    count.fetch_add(1, std::memory_order_relaxed);
    note_privileges(dir, name, row);
  }
  progress_->files.fetch_add(1, std::memory_order_relaxed);
  if (row.type == FileType::kFile) progress_->bytes.fetch_add(row.size, std::memory_order_relaxed);
  if (options_.refresh && !held.already) {
    const std::lock_guard lock(results_mutex_);
    new_inodes_.push_back(catalog::raw(row.source_inode));
  }
}

/// Lists setuid, setgid and capability files: the store keeps privileged programs alive, and
/// brings them into a newer system.
void CaptureWalk::note_privileges(CaptureDir& dir, const std::string& name,
                                  const InodeRecord& record) {
  if (record.type != FileType::kFile) return;
  const auto note = [&](std::string_view what) {
    context_->observer->note(
        store_->place().root,
        fmt::format("captured with {}: {}", what, catalog::escape_name(dir.source->path_of(name))));
  };
  if ((record.mode & catalog::kSetIds) != 0) note(fmt::format("mode {:04o}", record.mode));
  if ((record.mode & catalog::kAnyExecute) == 0) return;
  const auto mirror = dir.mirror->open();
  if (!mirror || !has_file_capabilities_at(**mirror, name.c_str())) return;
  counts_.capabilities.fetch_add(1, std::memory_order_relaxed);
  note("file capabilities");
}

/// Reading a symlink moves its atime on most mounts; it is put back, which moves the ctime we
/// record.
void CaptureWalk::fill_symlink(CaptureDir& dir, const std::string& name, InodeRecord& record) {
  const auto mirror = dir.mirror->open();
  if (!mirror)
    return errors_->set(catalog::failed("openat", dir.mirror->path(), mirror.error()).error());
  const auto before = stat_at(**mirror, name);
  auto target = readlink_at(**mirror, name.c_str());
  const auto after = stat_at(**mirror, name);
  if (!before || !target || !after) {
    const std::error_code cause = !before   ? before.error()
                                  : !target ? target.error()
                                            : after.error();
    return errors_->set(catalog::failed("readlinkat", dir.mirror->path_of(name), cause).error());
  }
  if (after->atime != before->atime)
    (void)set_times_at(**mirror, name.c_str(), before->atime, std::nullopt);
  record.link_target = std::move(*target);
}

/// Takes an entry that something else has replaced out of the mirror and the catalog.
bool CaptureWalk::drop(CaptureDir& dir, const Entry& entry, Batch& batch) {
  if (!feed_->begin_changes() || !drop_from_mirror(dir, entry.name)) return false;
  erase_entry(*reader(), dir.id, entry, batch, *errors_);
  return !errors_->failed();
}

bool CaptureWalk::drop_from_mirror(CaptureDir& dir, const std::string& name) {
  const auto mirror = dir.mirror->open();
  if (!mirror) {
    errors_->set(catalog::failed("openat", dir.mirror->path(), mirror.error()).error());
    return false;
  }
  dir.touched.store(true, std::memory_order_relaxed);
  const auto there = stat_at(**mirror, name);
  if (!there && there.error().value() == ENOENT) return true;
  return errors_->check(dropped_->take(**mirror, name, dir.mirror->path_of(name)));
}

/// The mirror directory of @p dir, and all above it, exist, and so do their rows. Not recursive: a
/// selected file may lie below any number of directories that are not selected themselves.
bool CaptureWalk::ensure(CaptureDir& dir) {
  std::vector<CaptureDir*> missing;
  for (CaptureDir* at = &dir; at != nullptr; at = at->parent.get()) {
    const std::lock_guard lock(at->mutex);
    if (at->made) break;
    missing.push_back(at);
  }
  while (!missing.empty()) {
    if (!make(*missing.back())) return false;
    missing.pop_back();
  }
  return true;
}

bool CaptureWalk::make(CaptureDir& dir) {
  const std::lock_guard lock(dir.mutex);
  if (dir.made) return true;
  if (!feed_->begin_changes() || !make_mirror(dir)) return false;
  Batch batch;
  if (dir.parent) {
    dir.id = DirId{next_dir_.fetch_add(1, std::memory_order_relaxed)};
    Entry entry;
    entry.kind = Entry::Kind::kDirectory;
    entry.name = dir.mirror->name();
    entry.directory = dir.id;
    batch.put(Table::kEntries, catalog::entry_key(dir.parent->id, entry.name),
              catalog::encode(entry));
    dir.parent->touched.store(true, std::memory_order_relaxed);
  } else {
    dir.id = catalog::kRootDir;
  }
  put_directory(dir, batch);
  feed_->push(batch);
  dir.touched.store(true, std::memory_order_relaxed);
  dir.made = true;
  if (options_.refresh) {
    const std::lock_guard results(results_mutex_);
    new_inodes_.push_back(catalog::raw(dir.record.inode));
  }
  return true;
}

bool CaptureWalk::make_mirror(CaptureDir& dir) {
  if (!dir.parent) return true;
  const auto parent = dir.mirror->parent()->open();
  if (!parent) {
    errors_->set(catalog::failed("openat", dir.mirror->parent()->path(), parent.error()).error());
    return false;
  }
  const std::string& name = dir.mirror->name();
  auto made = mkdir_at(**parent, name.c_str(), 0700);
  if (!made && made.error().value() == EEXIST) {
    const auto there = stat_at(**parent, name);
    if (there && there->is_directory()) return true;
    if (!errors_->check(dropped_->take(**parent, name, dir.mirror->path()))) return false;
    made = mkdir_at(**parent, name.c_str(), 0700);
  }
  if (made) {
    dir.touched.store(true, std::memory_order_relaxed);
    return true;
  }
  errors_->set(catalog::failed("mkdirat", dir.mirror->path(), made.error()).error());
  return false;
}

/// All below is done: the mirror directory gets its owner, mode, xattrs and times.
void CaptureWalk::close(CaptureDir& dir) {
  if (errors_->failed() || !dir.made) return;
  if (dir.gap && !dir.frozen && feed_->begin_changes()) {
    if (catalog::raw(dir.record.inode) == 0) {
      // It could not even be opened: what the catalog knows of it stays.
      const auto row = reader()->find_directory(dir.id);
      if (!row) return errors_->set(row.error());
      if (*row) dir.record = (*row)->record;
      dir.record.complete = false;
    }
    Batch batch;
    put_directory(dir, batch);
    feed_->push(batch);
  }
  if (!dir.touched.load(std::memory_order_relaxed)) return;
  const auto mirror = dir.mirror->open();
  if (!mirror)
    return errors_->set(catalog::failed("openat", dir.mirror->path(), mirror.error()).error());
  if (const auto applied = apply_directory_record((*mirror)->get(), dir.record, privileged_, false);
      !applied) {
    if (is_failure_of_store(applied.error(), privileged_))
      return errors_->set(catalog::failed("fchown", dir.mirror->path(), applied.error()).error());
    problem(ProblemKind::kWarning, dir.mirror->path(), "fsetxattr", applied.error(),
            "the mirror directory does not carry all metadata; the catalog has it");
  }
  // The top could not be opened again, and what vanished is looked for below it.
  if (dir.parent) dir.mirror->close();
}

}  // namespace holdfast::core
