#include "storecore/ops/restore_check.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <string>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "storecore/hash/hash_file.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_place.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Entry;
using catalog::FileType;
using catalog::HashState;
using catalog::Held;
using catalog::InodeRecord;
using catalog::ProblemKind;
using Place = RestoreDir::Place;

ContentVerdict judge_content(const Store& store, const InodeRecord& record, const Stat& held) {
  constexpr ContentVerdict written{ProblemKind::kModified, "written to since capture"};
  if (held.size != record.size || held.mtime != record.mtime) return written;
  const auto& ours = store.record().own_changes;
  const bool by_us =
      held.ctime == record.ctime || std::ranges::any_of(ours, [&](const OwnChange& change) {
        return change.from <= held.ctime && held.ctime <= change.to;
      });
  if (record.held == Held::kLink && !by_us) return written;
  return {ProblemKind::kCorrupt, "its content changed, and nobody wrote to it"};
}

bool RestoreChecker::is_first_name(const Entry& entry) {
  if (entry.kind != Entry::Kind::kGrouped) return true;
  const std::lock_guard lock(mutex_);
  return hashed_groups_.insert(catalog::raw(entry.inode.held_inode)).second;
}

void RestoreChecker::check(RestoreDir& dir, const Entry& entry, std::string name) {
  if (const auto instead = run_->exception(dir.id, entry.name)) {
    if (instead->empty()) return run_->step();  // listed already
    name = *instead;
  }
  run_->step();
  // What cannot be looked at is not gone: the run ends, and the next one looks again.
  const auto dest = dir.dest->open();
  if (!dest && !is_gone(dest.error()))
    return run_->errors.set(
        catalog::failed("openat", dir.captured_path_of(entry.name), dest.error()).error());
  if (!dest)
    return run_->missing(dir.captured_path_of(entry.name),
                         "its directory cannot be opened any more");
  const auto stat = stat_at(**dest, name);
  if (!stat && !is_gone(stat.error()))
    return run_->errors.set(
        catalog::failed("statx", dir.captured_path_of(entry.name), stat.error()).error());
  if (dir.in_moved) {
    if (!stat || stat->inode != catalog::raw(entry.inode.held_inode)) {
      run_->tally.restored.fetch_sub(1, std::memory_order_relaxed);
      return run_->missing(dir.captured_path_of(entry.name),
                           "the store had no such name, or another file under it", 1);
    }
    list_privileged_file(*run_, **dest, name, entry.inode, dir.captured_path_of(entry.name));
  }
  const bool hashed =
      entry.inode.type == FileType::kFile && entry.inode.hash_state == HashState::kHashed;
  if (run_->options.verify == VerifyMode::kFull && hashed && stat && is_first_name(entry))
    check_content(dir, entry, **dest, name);
}

void RestoreChecker::check_content(RestoreDir& dir, const Entry& entry, const Fd& dest,
                                   const std::string& name) {
  thread_local FileHasher hasher;
  const auto found = hasher.hash(dest, name.c_str());
  if (!found) {
    if (found.error().value() == ENOENT) return;
    return run_->problem(ProblemKind::kCorrupt, dir.captured_path_of(entry.name), "read",
                         found.error(), "its content cannot be read");
  }
  run_->progress->bytes.fetch_add(found->bytes_read, std::memory_order_relaxed);
  if (found->digest == entry.inode.hash && found->stat.size == entry.inode.size) return;
  Stat held = found->stat;
  if (run_->copies()) {
    // The copy's times say nothing: what it was made from does.
    if (const auto mirror = dir.mirror->open()) {
      if (const auto stat = stat_at(**mirror, entry.name)) held = *stat;
    }
  }
  const ContentVerdict verdict = judge_content(run_->store, entry.inode, held);
  run_->problem(verdict.kind, dir.captured_path_of(entry.name), {}, {}, verdict.reason);
}

void RestoreChecker::check_directory(RestoreDir& dir) {
  if (!dir.in_moved || !dir.dest) return;
  const auto fd = dir.dest->open();
  if (fd) builder_->apply(dir, **fd, true);
}

void RestoreChecker::clear(RestoreDir& dir, const Entry& entry, std::string name) {
  if (const auto instead = run_->exception(dir.id, entry.name)) {
    if (instead->empty()) return;
    name = *instead;
  }
  const auto mirror = dir.mirror->open();
  const auto dest = dir.dest->open();
  if (!mirror || !dest) return;
  const auto held = stat_at(**mirror, entry.name);
  const auto there = stat_at(**dest, name);
  if (!held || !there || !held->same_inode(*there)) return;
  failpoint("restore-clear");
  const std::string where = run_->flag_path(dir.where(name), dir.captured_path_of(entry.name));
  const auto removed = run_->flags.with_cleared(
      **mirror, entry.name, where, [&] { return unlink_at(**mirror, entry.name.c_str()); });
  if (!removed)
    run_->problem(ProblemKind::kWarning, dir.captured_path_of(entry.name), "unlinkat",
                  removed.error(),
                  "restored, but its second name could not be taken out of the store");
}

void RestoreChecker::clear_directory(RestoreDir& dir) {
  const auto& above = dir.mirror->parent();
  if (!above) return;
  const auto parent = above->open();
  dir.mirror->close();
  if (!parent) return;
  const auto gone = rmdir_at(**parent, dir.mirror->name().c_str());
  const int error = gone ? 0 : gone.error().value();
  // Not empty: something in it was left.
  if (error != 0 && error != ENOTEMPTY && error != EEXIST && error != ENOENT)
    run_->problem(ProblemKind::kWarning, dir.captured_path(), "unlinkat", gone.error(),
                  "restored, but its empty directory could not be taken out of the store");
}

}  // namespace holdfast::core
