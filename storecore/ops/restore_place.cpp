#include "storecore/ops/restore_place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <expected>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/link/copy_file.hpp"
#include "storecore/ops/conflict.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/restore_build.hpp"
#include "storecore/ops/restore_check.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/failpoint.hpp"

namespace holdfast::core {

using catalog::Entry;
using catalog::failed;
using catalog::FileType;
using catalog::HashState;
using catalog::InodeRecord;
using catalog::Reader;
using catalog::SysStatus;
using Place = RestoreDir::Place;

namespace {

bool is_recorded(const Stat& stat, const InodeRecord& record) {
  return stat.inode == catalog::raw(record.held_inode) && file_type(stat) == record.type;
}

/// Several catalogued names: they must stay one inode.
bool is_group(const Entry& entry) {
  return entry.kind == Entry::Kind::kGrouped && entry.inode.names > 1;
}

std::string_view reason_of(std::error_code cause, RestoreMode mode) {
  switch (cause.value()) {
    case EMLINK:
    case ERANGE:
      return "has as many names as the filesystem allows (--mode move, reflink or copy gives it "
             "back)";
    case EXDEV:
      return "the place is of another volume or project (--mode copy gives it back)";
    case EOPNOTSUPP:
      return mode == RestoreMode::kReflink
                 ? "it cannot share its extents (--mode copy gives it back)"
                 : "the destination cannot carry all its metadata";
    default:
      return {};
  }
}

}  // namespace

void list_privileged_file(RestoreRun& run, DirFd dir, const std::string& name,
                          const InodeRecord& record, const std::string& path) {
  if (record.type != FileType::kFile) return;
  const auto note = [&](std::string_view what) {
    run.context.observer->note(run.store.place().root, fmt::format("restored with {}: {}", what,
                                                                   catalog::escape_name(path)));
  };
  if ((record.mode & catalog::kSetIds) != 0) {
    run.tally.setuid.fetch_add(1, std::memory_order_relaxed);
    note(fmt::format("mode {:04o}", record.mode));
  }
  if ((record.mode & catalog::kAnyExecute) != 0 && has_file_capabilities_at(dir, name.c_str())) {
    run.tally.capabilities.fetch_add(1, std::memory_order_relaxed);
    note("file capabilities");
  }
}

/// False: the mirror has no such name, or not with the recorded inode. What cannot be looked at is
/// not gone: the run ends.
bool RestorePlacer::find_held(Item& item) {
  if (!item.dir.has_mirror) return false;
  auto mirror = item.dir.mirror->open();
  if (!mirror) {
    if (!is_gone(mirror.error()))
      run_->errors.set(failed("openat", item.dir.captured_path(), mirror.error()).error());
    return false;
  }
  item.mirror = std::move(*mirror);
  const auto held = stat_at(*item.mirror, item.entry.name);
  if (!held && held.error().value() != ENOENT)
    run_->errors.set(
        failed("statx", item.dir.captured_path_of(item.entry.name), held.error()).error());
  if (!held || !is_recorded(*held, item.entry.inode)) return false;
  item.held = *held;
  return true;
}

/// Moved out by this run before it was interrupted, moved out long ago, or lost.
void RestorePlacer::without_mirror(Item& item) {
  if (run_->errors.failed()) return;
  std::optional<Stat> there;
  const auto standing = RestoreBuilder::standing(item.dir);
  if (standing.dest) {
    if (const auto dest = standing.dest->open()) {
      item.dest = *dest;
      if (const auto stat = stat_at(*item.dest, item.name)) there = *stat;
    }
  }
  if (there && is_recorded(*there, item.entry.inode) &&
      there->device == run_->store.store_stat().device)
    return placed(item, false);
  std::string path = item.dir.captured_path_of(item.entry.name);
  if (there && run_->store.record().moved_out)
    return keep_existing(
        item, "mode move took it out of the store before; what stands there now was kept");
  run_->missing(std::move(path),
                run_->store.record().moved_out
                    ? "mode move took it out of the store, and it is not in its place"
                    : "gone from the store, or another file has its name there");
}

void RestorePlacer::place(RestoreDir& dir, const Entry& entry, const std::string& name,
                          const Reader& reader) {
  Item item{.dir = dir, .entry = entry, .reader = reader, .name = name};
  if (!find_held(item)) return without_mirror(item);
  if (!builder_->ensure(dir)) {
    // Whoever found the directory blocked has counted what is below it, unless it was gone by now.
    return;
  }
  const auto dest = RestoreBuilder::standing(dir).dest->open();
  if (!dest) return run_->leave(dir.captured_path_of(entry.name), "openat", dest.error(), {});
  item.dest = *dest;
  const auto given = give(item);
  failpoint("restore-given");
  if (given) return placed(item, true);
  if (given.error().value() == EEXIST) return settle(item);
  not_given(item, given.error());
}

void RestorePlacer::look(RestoreDir& dir, const Entry& entry, const std::string& name,
                         const Reader& reader) {
  Item item{.dir = dir, .entry = entry, .reader = reader, .name = name};
  if (!find_held(item)) return without_mirror(item);
  const auto standing = RestoreBuilder::standing(dir);
  if (standing.place == Place::kAbsent || !standing.dest) return placed(item, false);
  const auto dest = standing.dest->open();
  if (!dest) return run_->leave(dir.captured_path_of(entry.name), "openat", dest.error(), {});
  item.dest = *dest;
  const auto existing = stat_at(*item.dest, item.name);
  if (!existing || is_in_place(item, *existing)) return placed(item, false);
  const ConflictVerdict verdict = judge(item, *existing);
  if (verdict.answer == ConflictAnswer::kUndecided)
    return run_->undecided(dir.captured_path_of(entry.name), verdict.reason);
  if (verdict.answer == ConflictAnswer::kKeep)
    return keep_existing(item, "what the new system has there would be kept");
  if (verdict.answer == ConflictAnswer::kDisplace) {
    const auto why = run_->why_it_stays(*existing, dir.where(item.name), dir.in_map, reader);
    if (!why.empty()) return run_->undecided(dir.captured_path_of(entry.name), why);
  }
  run_->decided(dir.captured_path_of(entry.name), verdict.answer == ConflictAnswer::kBeside
                                                      ? "would be restored beside what is there"
                                                      : "what is there would be displaced");
  placed(item, false);
}

SysStatus RestorePlacer::give(Item& item) {
  if (run_->copies()) return is_group(item.entry) ? copy_of_group(item) : copy(item);
  const bool flagged = item.held.is_immutable() || item.held.is_append_only();
  // Under flags no name can be renamed: linked here, and the mirror's name goes with the other
  // second names at the end.
  if (run_->options.mode == RestoreMode::kLink || flagged) return link(item);
  return rename_no_replace(*item.mirror, item.entry.name.c_str(), *item.dest, item.name.c_str());
}

SysStatus RestorePlacer::link(Item& item) {
  const auto change = [&] {
    return link_at(*item.mirror, item.entry.name.c_str(), *item.dest, item.name.c_str());
  };
  if (!item.held.is_immutable() && !item.held.is_append_only()) return change();
  return run_->flags.with_cleared(*item.mirror, item.entry.name,
                                  item.dir.captured_path_of(item.entry.name), change);
}

/// One copy for all names, or the group splits. The lock is held while it is made: only grouped
/// entries wait.
SysStatus RestorePlacer::copy_of_group(Item& item) {
  const std::lock_guard lock(run_->groups_mutex);
  const std::uint64_t number = catalog::raw(item.entry.inode.held_inode);
  const auto found = run_->groups.find(number);
  if (found == run_->groups.end()) {
    auto made = copy(item);
    if (made) remember_group(item);
    return made;
  }
  const auto first = found->second.dir->open();
  if (!first) return std::unexpected(first.error());
  return link_at(**first, found->second.name.c_str(), *item.dest, item.name.c_str());
}

/// Under the lock.
void RestorePlacer::remember_group(const Item& item) {
  const auto stat = stat_at(*item.dest, item.name);
  if (!stat) return;
  run_->groups.try_emplace(catalog::raw(item.entry.inode.held_inode),
                           RestoreRun::Group{.dir = RestoreBuilder::standing(item.dir).dest,
                                             .name = item.name,
                                             .stat = *stat,
                                             .names_left = item.entry.inode.names});
}

void RestorePlacer::count_group_name(const Item& item) {
  const std::lock_guard lock(run_->groups_mutex);
  const auto found = run_->groups.find(catalog::raw(item.entry.inode.held_inode));
  if (found != run_->groups.end() && --found->second.names_left == 0) run_->groups.erase(found);
}

SysStatus RestorePlacer::copy(Item& item) {
  // Looked at first, so that no file is copied for nothing.
  if (stat_at(*item.dest, item.name)) return catalog::sys_error(EEXIST);
  return copy_once(item);
}

SysStatus RestorePlacer::copy_once(Item& item) {
  const std::string staged =
      staging_name(run_->store, fmt::format("{}-entry", catalog::raw(item.dir.id)));
  const bool regular = item.held.is_regular();
  const auto how = run_->options.mode == RestoreMode::kReflink ? CopyHow::kReflink : CopyHow::kCopy;
  const char* name = item.entry.name.c_str();
  const auto make = [&] {
    return regular ? copy_file(*item.mirror, name, *item.dest, staged.c_str(), how)
                   : copy_node(*item.mirror, name, *item.dest, staged.c_str());
  };
  auto done = make();
  if (!done && done.error().value() == EEXIST) {
    if (auto removed = remove_staged(item, staged); !removed) return removed;
    done = make();
  }
  if (!done) return std::unexpected(done.error());
  if (regular && how == CopyHow::kCopy) check_copy(item, done->hash);
  failpoint("restore-copied");
  const auto rename = [&] {
    return rename_no_replace(*item.dest, staged.c_str(), *item.dest, item.name.c_str());
  };
  const bool flagged = done->made.is_immutable() || done->made.is_append_only() ||
                       item.held.is_immutable() || item.held.is_append_only();
  const std::string where =
      run_->flag_path(item.dir.where(item.name), item.dir.captured_path_of(item.entry.name));
  auto renamed = flagged ? run_->flags.with_cleared(*item.dest, staged, where, rename) : rename();
  if (!renamed) (void)remove_staged(item, staged);
  return renamed;
}

/// Names of this form are ours alone and hold nothing that the mirror has not.
SysStatus RestorePlacer::remove_staged(Item& item, const std::string& staged) {
  const auto stat = stat_at(*item.dest, staged);
  if (!stat || stat->is_directory()) return catalog::sys_error(EEXIST);
  return run_->flags.with_cleared(*item.dest, staged, item.dir.captured_path_of(item.entry.name),
                                  [&] { return unlink_at(*item.dest, staged.c_str()); });
}

void RestorePlacer::check_copy(Item& item, const catalog::Digest& hash) {
  const InodeRecord& record = item.entry.inode;
  if (run_->options.verify == VerifyMode::kNone || record.hash_state != HashState::kHashed ||
      record.hash == hash)
    return;
  const ContentVerdict verdict = judge_content(run_->store, record, item.held);
  run_->problem(verdict.kind, item.dir.captured_path_of(item.entry.name), {}, {}, verdict.reason);
}

/// Already where it belongs: by an interrupted run, because nobody removed it, or because the image
/// brought the same.
bool RestorePlacer::is_in_place(Item& item, const Stat& existing) {
  const auto is_same = [&] {
    return existing.same_inode(item.held) ||
           is_same_entry(*item.mirror, item.entry.name.c_str(), item.held, *item.dest,
                         item.name.c_str(), existing);
  };
  if (!is_group(item.entry)) return is_same();
  if (!run_->copies())
    return existing.same_inode(item.held);  // another inode would split the group
  const std::lock_guard lock(run_->groups_mutex);
  const auto found = run_->groups.find(catalog::raw(item.entry.inode.held_inode));
  if (found != run_->groups.end()) return existing.same_inode(found->second.stat);
  if (!is_same()) return false;
  remember_group(item);
  return true;
}

ConflictVerdict RestorePlacer::judge(const Item& item, const Stat& existing) const {
  const Claim claim{.type = item.entry.inode.type, .mtime = item.held.mtime, .wanted = true};
  return judge_conflict(claim, existing, run_->policy_at(item.dir.plan));
}

void RestorePlacer::settle(Item& item) {
  const auto existing = stat_at(*item.dest, item.name);
  if (!existing) {
    if (existing.error().value() != ENOENT) return not_given(item, existing.error());
    const auto given = give(item);  // it went away just now
    return given ? placed(item, true) : not_given(item, given.error());
  }
  if (is_in_place(item, *existing)) return placed(item, false);
  const ConflictVerdict verdict = judge(item, *existing);
  switch (verdict.answer) {
    case ConflictAnswer::kUndecided:
      run_->note_exception(item.dir.id, item.entry.name, {});
      return run_->undecided(item.dir.captured_path_of(item.entry.name), verdict.reason);
    case ConflictAnswer::kKeep:
      return keep_existing(
          item, item.dir.plan.was_finished
                    ? "restored before; what stands there now was kept (--again gives it back)"
                    : "what the new system has there was kept");
    case ConflictAnswer::kBeside:
      return give_beside(item);
    case ConflictAnswer::kDisplace:
      return displace_and_give(item, *existing);
  }
}

void RestorePlacer::displace_and_give(Item& item, const Stat& existing) {
  const std::string where = item.dir.where(item.name);
  const std::string path = item.dir.captured_path_of(item.entry.name);
  if (const auto why = run_->why_it_stays(existing, where, item.dir.in_map, item.reader);
      !why.empty()) {
    run_->note_exception(item.dir.id, item.entry.name, {});
    return run_->undecided(path, why);
  }
  failpoint("restore-displace");
  if (!run_->errors.check(run_->displace(*item.dest, item.name, where))) return;
  failpoint("restore-displaced");
  run_->decided(path, "displaced what the new system had there");
  const auto given = give(item);
  if (given) return placed(item, true);
  not_given(item, given.error());
}

void RestorePlacer::give_beside(Item& item) {
  const std::string path = item.dir.captured_path_of(item.entry.name);
  const std::string own = item.name;
  bool there = false;
  auto name = builder_->free_name_beside(item.dir, own, *item.dest, false, item.reader,
                                         [&](const Stat& stat, const std::string& candidate) {
                                           item.name = candidate;
                                           there = is_in_place(item, stat);
                                           return there;
                                         });
  if (!name) return run_->leave(path, {}, {}, "no free name beside what stands there");
  item.name = std::move(*name);
  if (!there) {
    if (const auto given = give(item); !given) return not_given(item, given.error());
  }
  run_->decided(path, fmt::format("restored beside it, as {}", catalog::escape_name(item.name)));
  run_->note_exception(item.dir.id, item.entry.name, item.name);
  run_->note_beside(path, item.dir.where(item.name));
  placed(item, !there);
}

void RestorePlacer::keep_existing(Item& item, std::string_view reason) {
  run_->note_exception(item.dir.id, item.entry.name, {});
  run_->tally.kept.fetch_add(1, std::memory_order_relaxed);
  run_->step();
  run_->decided(item.dir.captured_path_of(item.entry.name), reason);
}

void RestorePlacer::placed(Item& item, bool by_us) {
  RestoreTally& tally = run_->tally;
  tally.restored.fetch_add(1, std::memory_order_relaxed);
  run_->step();
  const InodeRecord& record = item.entry.inode;
  if (record.type == FileType::kFile)
    run_->progress->bytes.fetch_add(record.size, std::memory_order_relaxed);
  if (run_->copies() && is_group(item.entry)) count_group_name(item);
  if (!by_us) return;
  tally.changed.fetch_add(1, std::memory_order_relaxed);
  auto& how = !run_->copies() ? tally.linked
              : run_->options.mode == RestoreMode::kReflink && record.type == FileType::kFile
                  ? tally.reflinked
                  : tally.copied;
  if (run_->options.mode != RestoreMode::kMove) how.fetch_add(1, std::memory_order_relaxed);
  list_privileged_file(*run_, *item.dest, item.name, record,
                       item.dir.captured_path_of(item.entry.name));
}

void RestorePlacer::not_given(Item& item, std::error_code cause) {
  run_->note_exception(item.dir.id, item.entry.name, {});
  const bool copied = run_->copies();
  const std::string_view call = copied                                     ? "copy"
                                : run_->options.mode == RestoreMode::kMove ? "renameat2"
                                                                           : "linkat";
  run_->leave(item.dir.captured_path_of(item.entry.name), call, cause,
              reason_of(cause, run_->options.mode));
}

}  // namespace holdfast::core
