#include "storecore/ops/restore_build.hpp"

#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/conflict.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_plan.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirectoryRecord;
using Place = RestoreDir::Place;

namespace {

constexpr std::uint32_t kOwnerAll = 0700;
constexpr unsigned kMostNamesBeside = 10'000;

std::uint64_t entries_of(const RestoreDir& dir) { return dir.record.subtree.entries + 1; }

std::string staging_of(const RestoreRun& run, const RestoreDir& dir) {
  return staging_name(run.store, fmt::format("{}", catalog::raw(dir.id)));
}

/// What is read from a directory and what was recorded: access time included, since both runs open
/// without moving it.
bool has_record(const DirectoryRecord& now, const DirectoryRecord& wanted) {
  return now.mode == wanted.mode && now.uid == wanted.uid && now.gid == wanted.gid &&
         now.atime == wanted.atime && now.mtime == wanted.mtime && now.flags == wanted.flags &&
         now.project_id == wanted.project_id && now.xattrs == wanted.xattrs;
}

}  // namespace

void clear_blocking_flags(int fd) {
  const auto now = read_flags(fd);
  if (now)
    (void)write_flags(fd, now->flags & ~static_cast<std::uint32_t>(FS_IMMUTABLE_FL | FS_APPEND_FL));
}

RestoreBuilder::Standing RestoreBuilder::standing(RestoreDir& dir) {
  const std::lock_guard lock(dir.mutex);
  return {.place = dir.place, .dest = dir.dest};
}

void RestoreBuilder::locate(RestoreDir& dir, RestorePass pass, const catalog::Reader& reader) {
  if (!dir.parent) return;
  const Standing above = standing(*dir.parent);
  if (above.place == Place::kAbsent || above.place == Place::kBlocked) {
    dir.place = above.place;
    return;
  }
  const auto parent = above.dest->open();
  if (!parent) {
    dir.place = Place::kBlocked;
    return run_->leave(dir.captured_path(), "openat", parent.error(), {}, entries_of(dir));
  }
  const auto stat = stat_at(**parent, dir.name);
  if (!stat && stat.error().value() == ENOENT) return;
  if (!stat) {
    dir.place = Place::kBlocked;
    return run_->leave(dir.captured_path(), "statx", stat.error(), {}, entries_of(dir));
  }
  if (stat->is_directory())
    return take_existing(dir, pass, **parent, *stat, above.place == Place::kFresh);
  if (pass == RestorePass::kCheck || pass == RestorePass::kClear) return;
  settle_occupied(dir, pass, **parent, *stat, reader);
}

/// Later passes look again, and say nothing twice.
void RestoreBuilder::block(RestoreDir& dir, RestorePass pass, std::string_view reason) {
  dir.place = Place::kBlocked;
  if (pass == RestorePass::kLook || pass == RestorePass::kRestore)
    run_->undecided(dir.captured_path(), reason, entries_of(dir));
}

void RestoreBuilder::take_existing(RestoreDir& dir, RestorePass pass, const Fd& parent,
                                   const Stat& stat, bool fresh) {
  if (stat.same_inode(run_->store.store_stat())) return block(dir, pass, "the store stands there");
  const bool border = stat.is_mount_root() || !stat.same_volume(run_->dest_stat);
  if (border && !run_->copies())
    return block(
        dir, pass,
        "another volume is mounted here: links and renames do not reach it (--mode copy does)");
  dir.existing_mtime = stat.mtime;
  if (pass == RestorePass::kRestore) {
    const std::string staging = staging_of(*run_, dir);
    if (!fresh && stat_at(parent, staging) &&
        !run_->errors.check(dissolve_staging(*run_, parent, staging, dir))) {
      dir.place = Place::kBlocked;
      return;
    }
    if (fresh || !keeps_own_record(dir)) make_writable(dir, parent, dir.name);
  }
  auto fd = open_dir_at(parent, dir.name.c_str());
  const auto opened =
      fd ? stat_fd(fd->get()) : catalog::SysResult<Stat>(std::unexpected(fd.error()));
  if (!opened || !opened->same_inode(stat) || !opened->same_volume(stat)) {
    dir.place = Place::kBlocked;
    const auto cause =
        opened ? std::make_error_code(std::errc::no_such_file_or_directory) : opened.error();
    return run_->leave(dir.captured_path(), "openat", cause,
                       "the directory in its place cannot be opened", entries_of(dir));
  }
  dir.unfinished = !fresh && run_->privileged && carries_mark(*fd).value_or(false);
  // Whoever owns the directory around it can have put it there, to have it given to him.
  const auto around = stat_fd(parent.get());
  dir.foreign = !fresh && !dir.unfinished && run_->privileged && around && around->uid != 0 &&
                around->uid == dir.record.uid && stat.uid != dir.record.uid;
  if (dir.foreign && dir.wanted() && pass == RestorePass::kRestore)
    run_->undecided(
        dir.captured_path(),
        "a directory of another owner stands in its place: its owner and mode were kept");
  // Nothing could be put into it; the record gives the captured flags back at the end.
  const bool ours = pass == RestorePass::kRestore && (fresh || !keeps_own_record(dir));
  if (ours && (stat.is_immutable() || stat.is_append_only())) clear_blocking_flags(fd->get());
  dir.dest = DirNode::child(standing(*dir.parent).dest, dir.name, std::move(*fd));
  dir.place = fresh ? Place::kFresh : Place::kExisting;
}

/// An ordinary user needs u+rwx to fill a directory; the record takes it away again at the end.
void RestoreBuilder::make_writable(const RestoreDir& dir, const Fd& parent,
                                   const std::string& name) {
  if (run_->privileged || dir.verdict == PlanVerdict::kEnter) return;
  const auto fd = open_path_at(parent, name.c_str());
  const auto stat = fd ? stat_fd(fd->get()) : catalog::SysResult<Stat>(std::unexpected(fd.error()));
  if (!stat || !stat->is_directory() || stat->uid != geteuid() ||
      (stat->mode & kOwnerAll) == kOwnerAll)
    return;
  // fchmod takes no O_PATH descriptor, and the directory may not be readable: procfs leads to
  // exactly this inode.
  (void)chmod(fmt::format("/proc/self/fd/{}", fd->get()).c_str(),
              static_cast<mode_t>(stat->mode | kOwnerAll));
}

void RestoreBuilder::settle_occupied(RestoreDir& dir, RestorePass pass, const Fd& parent,
                                     const Stat& existing, const catalog::Reader& reader) {
  const Claim claim{
      .type = catalog::FileType::kDirectory, .mtime = dir.record.mtime, .wanted = dir.wanted()};
  const ConflictVerdict verdict = judge_conflict(claim, existing, run_->policy_at(dir.plan));
  switch (verdict.answer) {
    case ConflictAnswer::kUndecided: {
      const std::string hint =
          existing.is_symlink() ? map_hint(parent, dir.name, dir) : std::string();
      return block(dir, pass,
                   fmt::format("{}{}{}", verdict.reason, hint.empty() ? "" : ": ", hint));
    }
    case ConflictAnswer::kKeep:
      dir.place = Place::kBlocked;
      run_->tally.kept.fetch_add(entries_of(dir), std::memory_order_relaxed);
      return run_->decided(dir.captured_path(), "what the new system has there was kept");
    case ConflictAnswer::kBeside:
      return stand_beside(dir, pass, parent, reader);
    case ConflictAnswer::kDisplace:
      break;
  }
  const std::string where = dir.where();
  if (const auto why = run_->why_it_stays(existing, where, dir.in_map, reader); !why.empty())
    return block(dir, pass, why);
  if (pass == RestorePass::kLook)
    return run_->decided(dir.captured_path(), "what is there would be displaced");
  if (!run_->errors.check(run_->displace(parent, dir.name, where))) {
    dir.place = Place::kBlocked;
    return;
  }
  run_->decided(dir.captured_path(), "displaced what the new system had there");
}

void RestoreBuilder::stand_beside(RestoreDir& dir, RestorePass pass, const Fd& parent,
                                  const catalog::Reader& reader) {
  // A directory of that name is taken for one of an earlier run: what is in it is merged, as in any
  // directory.
  auto name =
      free_name_beside(*dir.parent, dir.name, parent, true, reader,
                       [](const Stat& stat, const std::string&) { return stat.is_directory(); });
  if (!name) return block(dir, pass, "no free name beside what stands there");
  run_->decided(dir.captured_path(),
                fmt::format("restored beside it, as {}", catalog::escape_name(*name)));
  run_->note_exception(dir.parent->id, dir.mirror->name(), *name);
  dir.name = std::move(*name);
  if (pass == RestorePass::kRestore) run_->note_beside(dir.captured_path(), dir.where());
  const auto stat = stat_at(parent, dir.name);
  if (stat && stat->is_directory()) take_existing(dir, pass, parent, *stat, false);
}

std::optional<std::string> RestoreBuilder::free_name_beside(
    const RestoreDir& dir, const std::string& name, DirFd dest, bool is_directory,
    const catalog::Reader& reader,
    const std::function<bool(const Stat&, const std::string&)>& fits) {
  for (unsigned number = 1; number <= kMostNamesBeside; ++number) {
    std::string candidate = beside_name(name, number, is_directory);
    // A captured entry of that name has its own claim on it.
    const auto claimed = reader.find_entry(dir.id, candidate);
    if (!claimed) {
      run_->errors.set(claimed.error());
      return std::nullopt;
    }
    if (*claimed) continue;
    const auto stat = stat_at(dest, candidate);
    if (!stat && stat.error().value() != ENOENT) return std::nullopt;
    if (!stat || fits(*stat, candidate)) return candidate;
  }
  return std::nullopt;
}

/// Not recursive: a wanted file may lie below any number of directories that are not wanted
/// themselves.
bool RestoreBuilder::ensure(RestoreDir& dir) {
  std::vector<RestoreDir*> absent;
  for (RestoreDir* at = &dir; at != nullptr; at = at->parent.get()) {
    const Standing now = standing(*at);
    if (now.place == Place::kBlocked) return false;
    if (now.place != Place::kAbsent) break;
    absent.push_back(at);
  }
  while (!absent.empty()) {
    if (!make(*absent.back())) return false;
    absent.pop_back();
  }
  return true;
}

bool RestoreBuilder::make(RestoreDir& dir) {
  const std::lock_guard lock(dir.mutex);
  if (dir.place == Place::kExisting || dir.place == Place::kFresh) return true;
  if (dir.place == Place::kBlocked || !dir.parent) return false;
  const Standing above = standing(*dir.parent);
  const auto parent = above.dest->open();
  if (!parent) {
    dir.place = Place::kBlocked;
    run_->leave(dir.captured_path(), "openat", parent.error(), {}, entries_of(dir));
    return false;
  }
  const bool made =
      above.place == Place::kFresh ? make_inside(dir, **parent) : make_staged(dir, **parent);
  if (made) {
    dir.place = Place::kFresh;
    run_->tally.changed.fetch_add(1, std::memory_order_relaxed);
  } else {
    dir.place = Place::kBlocked;
  }
  return made;
}

/// The mark stays until the directory has its name. Ordinary users, who can harm only themselves,
/// and filesystems without attributes go by the owner.
SysStatus RestoreBuilder::mark(const Fd& fd) const {
  if (!run_->privileged) return {};
  const std::string& id = run_->store.record().capture_id;
  if (fsetxattr(fd.get(), layout::kStagingXattr, id.data(), id.size(), 0) == 0) return {};
  return errno == ENOTSUP ? SysStatus{} : std::unexpected(catalog::last_error());
}

/// A directory that was made and cannot be opened any more: unmarked, the next run would take it
/// for somebody else's. What it stands in is still being built and nobody else's to change, so the
/// name leads to what was made.
void RestoreBuilder::mark_unopened(const RestoreDir& dir) const {
  if (!run_->privileged) return;
  const auto parent = standing(*dir.parent).dest->open();
  if (!parent) return;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", (*parent)->get(), dir.name);
  const std::string& id = run_->store.record().capture_id;
  if (lsetxattr(path.c_str(), layout::kStagingXattr, id.data(), id.size(), 0) != 0)
    (void)rmdir_at(**parent, dir.name.c_str());  // if it is empty, the next run makes it anew
}

std::optional<bool> RestoreBuilder::carries_mark(const Fd& fd) const {
  const std::string& wanted = run_->store.record().capture_id;
  std::string id(wanted.size(), '\0');
  const ssize_t length = fgetxattr(fd.get(), layout::kStagingXattr, id.data(), id.size());
  if (length >= 0) return id == wanted;
  return errno == ENOTSUP ? std::nullopt : std::optional(false);
}

bool RestoreBuilder::is_marked(const Fd& fd) const {
  const std::optional<bool> marked = carries_mark(fd);
  if (marked.value_or(false)) return true;
  if (run_->privileged && marked) return false;
  const auto stat = stat_fd(fd.get());
  return stat && stat->uid == geteuid();
}

/// Made and opened, and seen to be what was made: in a user's directory another one may have taken
/// the name in between. ESTALE then.
SysResult<Fd> RestoreBuilder::make_new_staging(const Fd& parent, const std::string& staging) const {
  if (auto made = mkdir_at(parent, staging.c_str(), 0700); !made)
    return std::unexpected(made.error());
  auto fd = open_dir_at(parent, staging.c_str());
  if (!fd) return fd;
  const auto stat = stat_fd(fd->get());
  if (!stat) return std::unexpected(stat.error());
  DirReader listing;
  const auto filled = listing.fill(fd->get());
  Dirent first;
  const bool empty = filled && (!*filled || !listing.next(first));
  if (stat->uid != geteuid() || (stat->mode & 0777U) != 0700U || !empty ||
      !stat->same_volume(run_->dest_stat))
    return catalog::sys_error(ESTALE);
  if (auto marked = mark(*fd); !marked) {
    (void)rmdir_at(parent, staging.c_str());
    return std::unexpected(marked.error());
  }
  return fd;
}

bool RestoreBuilder::make_staged(RestoreDir& dir, const Fd& parent) {
  const std::string staging = staging_of(*run_, dir);
  // An interrupted run's, if it is there. What is not marked is put out of the way: a user may have
  // moved a directory here to have it given to him.
  if (stat_at(parent, staging)) make_writable(dir, parent, staging);
  auto fd = open_dir_at(parent, staging.c_str());
  if (!fd || !is_marked(*fd)) {
    if (stat_at(parent, staging) && !rmdir_at(parent, staging.c_str()) &&
        !run_->errors.check(run_->displace(parent, staging, dir.where() + ".staging")))
      return false;
    fd = make_new_staging(parent, staging);
  }
  failpoint("restore-staged");
  if (!fd) {
    run_->leave(dir.captured_path(), "mkdirat", fd.error(), {}, entries_of(dir));
    return false;
  }
  // Inherited from where it stands: it would refuse files of other projects (EXDEV).
  if (const auto now = read_flags(fd->get()); now && now->project_inherit)
    (void)write_flags(fd->get(), now->flags & ~static_cast<std::uint32_t>(FS_PROJINHERIT_FL));
  dir.staging = staging;
  // A top of its own: its descriptor stays open, so that the renaming at the end loses nobody
  // below.
  dir.dest = DirNode::root(std::move(*fd), run_->budget);
  return true;
}

bool RestoreBuilder::make_inside(RestoreDir& dir, const Fd& parent) {
  auto made = mkdir_at(parent, dir.name.c_str(), 0700);
  if (!made && made.error().value() == EEXIST) {
    const auto stat = stat_at(parent, dir.name);
    if (stat && stat->is_directory()) {
      made = {};
      make_writable(dir, parent, dir.name);
    }
  }
  if (!made) {
    run_->leave(dir.captured_path(), "mkdirat", made.error(), {}, entries_of(dir));
    return false;
  }
  dir.dest = DirNode::child(standing(*dir.parent).dest, dir.name);
  return true;
}

bool RestoreBuilder::move_whole(RestoreDir& dir) {
  const DirectoryRecord& record = dir.record;
  // An ordinary user's mirror has other modes than were captured.
  if (!run_->privileged || !dir.parent || !dir.has_mirror || !dir.wanted() ||
      !run_->plan.takes_whole(dir.plan) || record.subtree.needs_rebuild ||
      record.subtree.has_unselected || dir.place != Place::kAbsent)
    return false;
  if (!ensure(*dir.parent)) return false;
  const Standing above = standing(*dir.parent);
  const auto parent = above.dest->open();
  const auto from = dir.mirror->parent()->open();
  if (!parent || !from) return false;
  if (above.place != Place::kFresh && stat_at(**parent, staging_of(*run_, dir))) return false;
  dir.mirror->close();
  failpoint("restore-move-whole");
  if (!rename_no_replace(**from, dir.mirror->name().c_str(), **parent, dir.name.c_str()))
    return false;
  run_->tally.restored.fetch_add(entries_of(dir), std::memory_order_relaxed);
  run_->tally.changed.fetch_add(entries_of(dir), std::memory_order_relaxed);
  run_->step(entries_of(dir));
  run_->progress->bytes.fetch_add(record.subtree.bytes, std::memory_order_relaxed);
  run_->note_moved(
      {.id = dir.id, .mirror = dir.mirror, .dest = DirNode::child(above.dest, dir.name)});
  return true;
}

/// Existing directories whose own metadata is not ours to change.
bool RestoreBuilder::keeps_own_record(const RestoreDir& dir) const {
  if (!dir.wanted() || dir.foreign) return true;
  if (dir.unfinished) return false;
  switch (run_->policy_at(dir.plan)) {
    case ConflictPolicy::kExisting:
      return true;
    case ConflictPolicy::kNewer:
      return dir.existing_mtime > dir.record.mtime;
    default:
      return false;
  }
}

void RestoreBuilder::finish(RestoreDir& dir) {
  if (run_->errors.failed() || !dir.dest) return;
  if (dir.place == Place::kExisting && keeps_own_record(dir)) return;
  const auto fd = dir.dest->open();
  if (!fd) {
    if (dir.place == Place::kFresh && dir.staging.empty()) mark_unopened(dir);
    return run_->leave(dir.captured_path(), "openat", fd.error(), {}, 1);
  }
  const bool staged = !dir.staging.empty();
  // An immutable directory cannot be renamed: its flags come last.
  apply(dir, **fd, !staged);
  if (staged) put_in_place(dir, **fd);
}

namespace {

/// What is still being built keeps the mark that it has.
void keep_mark(const DirectoryRecord& now, DirectoryRecord& wanted) {
  const auto mark = std::ranges::find(now.xattrs, layout::kStagingXattr, &catalog::Xattr::name);
  if (mark == now.xattrs.end()) return;
  wanted.xattrs.push_back(*mark);
  std::ranges::sort(wanted.xattrs, {}, &catalog::Xattr::name);
}

}  // namespace

void RestoreBuilder::apply(RestoreDir& dir, const Fd& fd, bool flags_too) {
  DirectoryRecord record = dir.record;
  const auto now = read_directory_record(fd.get());
  if (!flags_too) {
    record.flags = 0;
    // Below a directory that hands down its project, no other one can be renamed.
    record.project_id = now ? now->project_id : 0;
    if (now) keep_mark(*now, record);
  }
  if (now && has_record(*now, record)) return;
  run_->tally.changed.fetch_add(1, std::memory_order_relaxed);
  if (now && now->flags != 0) clear_blocking_flags(fd.get());
  auto applied = apply_directory_record(fd.get(), record, run_->privileged, true);
  if (!run_->privileged) {
    // In the mirror an owner keeps u+rwx; here the captured mode counts.
    if (auto mode = chmod_fd(fd.get(), record.mode); !mode && applied) applied = mode;
  } else if (applied && record.flags == 0 && now && now->flags != 0 && flags_too) {
    applied = write_flags(fd.get(), 0);
  }
  if (applied && now && now->project_id != 0 && record.project_id == 0)
    applied = write_project(fd.get(), 0);
  if (applied) return;
  const int error = applied.error().value();
  if (error == ENOTSUP || error == ENOTTY)
    return run_->problem(catalog::ProblemKind::kWarning, dir.captured_path(), "fsetxattr",
                         applied.error(),
                         "the destination cannot carry all metadata of the directory");
  // What another run may achieve keeps the restore from being complete; what is never allowed is
  // listed.
  const std::uint64_t left = is_failure_of_store(applied.error(), run_->privileged) ? 1 : 0;
  // So that the next run knows it for its own, whoever owns it and what is around it by then.
  dir.unfinished = left != 0;
  if (dir.unfinished) (void)mark(fd);
  run_->leave(dir.captured_path(), "fsetxattr", applied.error(),
              "its metadata could not be given back", left);
}

void RestoreBuilder::put_in_place(RestoreDir& dir, const Fd& fd) {
  const auto parent = standing(*dir.parent).dest->open();
  if (!parent)
    return run_->leave(dir.captured_path(), "openat", parent.error(), {}, entries_of(dir));
  failpoint("restore-put-in-place");
  const auto built = stat_fd(fd.get());
  const auto there = stat_at(**parent, dir.staging);
  if (!built || !there || !there->same_inode(*built))
    return run_->leave(dir.captured_path(), "renameat2",
                       std::make_error_code(std::errc::no_such_file_or_directory),
                       "what was built was taken away from its place", entries_of(dir));
  const auto renamed = rename_no_replace(**parent, dir.staging.c_str(), **parent, dir.name.c_str());
  if (!renamed) {
    return run_->leave(
        dir.captured_path(), "renameat2", renamed.error(),
        fmt::format("it stands finished as {} beside its place: run the command again",
                    dir.staging),
        entries_of(dir));
  }
  if (run_->privileged && !dir.unfinished && fremovexattr(fd.get(), layout::kStagingXattr) != 0 &&
      errno != ENODATA && errno != ENOTSUP)
    run_->leave(dir.captured_path(), "fremovexattr", catalog::last_error(),
                "it still carries the mark of what is being restored", 1);
  if (const auto now = read_flags(fd.get()); now && now->project_id != dir.record.project_id) {
    if (const auto set = write_project(fd.get(), dir.record.project_id); !set)
      run_->problem(catalog::ProblemKind::kWarning, dir.captured_path(), "ioctl(FS_IOC_FSSETXATTR)",
                    set.error(), "the directory's project id could not be set");
  }
  if (dir.record.flags != 0) {
    const auto set = write_flags(fd.get(), dir.record.flags);
    if (!set && is_failure_of_store(set.error(), run_->privileged))
      return run_->leave(dir.captured_path(), "ioctl(FS_IOC_SETFLAGS)", set.error(),
                         "the directory's flags could not be set", 1);
    if (!set)
      run_->problem(catalog::ProblemKind::kWarning, dir.captured_path(), "ioctl(FS_IOC_SETFLAGS)",
                    set.error(), "the directory's flags could not be set");
  }
}

std::string map_hint(DirFd dir, const std::string& name, const RestoreDir& claim) {
  const auto target = readlink_at(dir, name.c_str());
  if (!target || target->empty()) return {};
  std::string path = *target;
  if (path.front() != '/') {
    const std::string where = claim.where();
    const std::size_t slash = where.rfind('/');
    path = catalog::join_path(slash == std::string::npos ? std::string() : where.substr(0, slash),
                              path);
  }
  const auto components = catalog::split_path(path);
  if (!components || components->empty()) return {};
  std::string joined;
  for (const std::string& component : *components) joined = catalog::join_path(joined, component);
  return fmt::format("--map {}={} restores it there", catalog::escape_name(claim.captured_path()),
                     catalog::escape_name(joined));
}

}  // namespace holdfast::core
