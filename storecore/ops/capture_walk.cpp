#include "storecore/ops/capture_walk.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/link/holder.hpp"
#include "storecore/ops/capture_dir.hpp"
#include "storecore/ops/catalog_feed.hpp"
#include "storecore/ops/volumes.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::Batch;
using catalog::DirId;
using catalog::Entry;
using catalog::Problem;
using catalog::ProblemKind;
using catalog::Status;

namespace {

/// So many child directories are queued before a directory steps back and lets them go first.
constexpr std::size_t kMaxQueuedChildren = 512;

bool same_directory(const catalog::DirectoryRecord& a, const catalog::DirectoryRecord& b) {
  return a.selected == b.selected && a.complete == b.complete && a.inode == b.inode &&
         a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.atime == b.atime &&
         a.mtime == b.mtime && a.flags == b.flags && a.project_id == b.project_id &&
         a.xattrs == b.xattrs;
}

}  // namespace

CaptureWalk::CaptureWalk(Store& store, catalog::Env& env, const Selection& selection,
                         CatalogFeed& feed, Attic& dropped, FlagJournal& flags, FirstError& errors,
                         Progress& progress, const RunContext& context)
    : store_(&store),
      env_(&env),
      selection_(&selection),
      feed_(&feed),
      dropped_(&dropped),
      errors_(&errors),
      progress_(&progress),
      context_(&context),
      holder_(store.dir(), flags, dropped),
      pool_(context.jobs),
      privileged_(geteuid() == 0) {}

CaptureWalk::~CaptureWalk() = default;

Status CaptureWalk::run(Fd source, CaptureWalkOptions options) {
  options_ = std::move(options);
  const auto stat = stat_fd(source.get());
  if (!stat) return catalog::failed("statx", store_->place().root, stat.error());
  source_stat_ = *stat;
  auto budget = std::make_shared<FdBudget>(FdBudget::default_size());
  auto tree = store_->tree(budget);
  if (!tree) return std::unexpected(tree.error());

  auto root = std::make_shared<CaptureDir>();
  root->source = DirNode::root(std::move(source), budget);
  root->mirror = std::move(*tree);
  root->selection = selection_->root();
  root->selected = selection_->root_verdict() == Selection::Verdict::kSelected;
  root->on_way = options_.only.has_value();
  if (options_.refresh) {
    for (unsigned i = 0; i < context_->jobs; ++i) {
      auto txn = catalog::ReadTxn::begin(*env_);
      if (!txn) return std::unexpected(txn.error());
      snapshots_.push_back(std::make_unique<Snapshot>(std::move(*txn)));
    }
    const auto next = snapshots_.front()->reader.meta(catalog::meta::kNextDir);
    if (!next) return std::unexpected(next.error());
    std::uint64_t first = *next ? std::stoull(**next) : 2;
    // After a crash ids above the noted one may have been used.
    const auto status = snapshots_.front()->reader.for_each_directory(
        DirId{first}, [&](const catalog::Directory& row) -> catalog::Result<bool> {
          first = catalog::raw(row.id) + 1;
          return true;
        });
    if (!status) return status;
    next_dir_ = first;
    const auto row = snapshots_.front()->reader.find_directory(catalog::kRootDir);
    if (!row) return std::unexpected(row.error());
    if (*row) {
      root->known = true;
      root->made = true;
      root->id = catalog::kRootDir;
    }
  }
  pool_.push([this, root] { begin(root); });
  pool_.run();
  snapshots_.clear();
  return errors_->status();
}

catalog::Reader* CaptureWalk::reader() {
  return snapshots_.empty() ? nullptr : &snapshots_[Pool::worker()]->reader;
}

std::optional<Entry> CaptureWalk::find_before(CaptureDir& dir, const std::string& name) {
  if (!dir.known) return std::nullopt;
  auto found = reader()->find_entry(dir.id, name);
  if (!found) {
    errors_->set(std::move(found.error()));
    return std::nullopt;
  }
  return std::move(*found);
}

void CaptureWalk::problem(ProblemKind kind, std::string path, std::string_view operation,
                          std::error_code cause, std::string_view reason) {
  const Problem problem{.kind = kind,
                        .path = std::move(path),
                        .operation = std::string(operation),
                        .error_number = cause.value(),
                        .reason = std::string(reason)};
  feed_->problem(problem);
  context_->observer->problem(store_->place().root, problem);
}

/// A listed name that cannot be looked at. Only ENOENT says that it is gone; with any other answer
/// it is there, wanted and not held.
void CaptureWalk::not_seen(CaptureDir& dir, const std::string& name, std::error_code cause) {
  std::string path = dir.source->path_of(name);
  if (cause.value() == ENOENT)
    return problem(ProblemKind::kSkipped, std::move(path), "statx", cause,
                   "vanished while walking");
  if (is_store_error(cause) && cause.value() != EIO)
    return errors_->set(catalog::failed("statx", path, cause).error());
  problem(ProblemKind::kMissed, std::move(path), "statx", cause, {});
}

/// What lies below is unknown: nothing of it counts as vanished, and the gap is missed.
void CaptureWalk::gap(CaptureDir& dir, std::string_view operation, std::error_code cause,
                      std::string_view reason) {
  dir.gap = true;
  dir.record.complete = false;
  problem(ProblemKind::kMissed, dir.source->path(), operation, cause, reason);
}

bool CaptureWalk::is_border(CaptureDir& dir, const Fd& source, const Stat& stat) {
  if (stat.same_volume(source_stat_) && !(stat.is_mount_root() && dir.parent)) return false;
  const bool subvolume =
      stat.mount_id == source_stat_.mount_id && stat.device != source_stat_.device;
  const std::string path = dir.source->path();
  problem(ProblemKind::kSkipped, path, {}, {}, describe_border(source.get(), stat, subvolume));
  const std::lock_guard lock(results_mutex_);
  borders_.push_back(
      {.path = path, .subvolume = subvolume, .read_only = is_read_only_subvolume(source.get())});
  return true;
}

/// True for a path among those that are looked at, and for one that leads to such a path.
bool CaptureWalk::is_on_way(const std::string& path) const {
  if (options_.only->contains(path)) return true;
  const auto next = options_.only->lower_bound(path + "/");
  return next != options_.only->end() && next->starts_with(path + "/");
}

/// False: there is nothing to list here.
bool CaptureWalk::enter(CaptureDir& dir, const SharedFd& source) {
  const auto stat = stat_fd(source->get());
  if (!stat) {
    gap(dir, "statx", stat.error());
    return false;
  }
  // The store in its place; mounted a second time, it is a border.
  if (stat->same_inode(store_->store_stat()) && !stat->is_mount_root()) return false;
  if (dir.parent && is_border(dir, *source, *stat)) return false;
  const char* mark = privileged_ ? layout::kMarkXattr : layout::kMarkXattrUser;
  if (fgetxattr(source->get(), mark, nullptr, 0) > 0) {
    errors_->set(catalog::refused("other-store", dir.source->path(),
                                  "another holdfast store lies below ROOT",
                                  "name its ROOT instead, or discard it first")
                     .error());
    return false;
  }
  if (stat->is_encrypted()) {
    gap(dir, {}, {}, "encrypted by fscrypt: a link would leave the encryption behind");
    return false;
  }
  auto record = read_directory_record(source->get());
  if (!record) {
    gap(dir, "getxattr", record.error());
    return false;
  }
  dir.record = std::move(*record);
  dir.record.selected = dir.selected;
  return true;
}

void CaptureWalk::begin(const Dir& dir) {
  if (context_->stopped())
    errors_->set({.fault = catalog::Fault::kFailed,
                  .operation = {},
                  .place = {},
                  .cause = {},
                  .reason = "interrupted",
                  .reason_code = {},
                  .hint = "run the command again to go on"});
  if (errors_->failed()) return end(dir);
  const auto source = dir->source->open();
  if (!source) {
    const int error = source.error().value();
    if (error == ENOENT) {
      problem(ProblemKind::kSkipped, dir->source->path(), "openat", source.error(),
              "vanished while walking");
    } else if (error == ENOTDIR || error == ESTALE || error == ELOOP) {
      // Something stands there that nobody has looked at: not the same as nothing.
      gap(*dir, "openat", source.error(), "became something else while walking");
    } else if (is_store_error(source.error()) && error != EIO) {
      errors_->set(catalog::failed("openat", dir->source->path(), source.error()).error());
    } else {
      gap(*dir, "openat", source.error());
    }
    return end(dir);
  }
  if (!enter(*dir, *source)) return end(dir);
  if (dir->known) {
    const auto row = reader()->find_directory(dir->id);
    if (!row || !*row) {
      if (!row) errors_->set(row.error());
      // A crash left the name without its directory: made anew, with an id of its own.
      dir->known = false;
      dir->made = false;
    } else {
      dir->frozen = options_.frozen.contains(dir->source->path());
      const catalog::DirectoryRecord& before = (*row)->record;
      dir->record.subtree = before.subtree;
      if (dir->frozen) {
        dir->record = before;
      } else if (!same_directory(before, dir->record) && feed_->begin_changes()) {
        Batch batch;
        put_directory(*dir, batch);
        feed_->push(batch);
        dir->touched = true;
      }
      if (options_.resume) {
        if (!make_mirror(*dir)) return end(dir);
        // After a crash the row can be durable where the mirror's owner, mode and times are not.
        dir->touched = true;
      }
    }
  }
  if (!dir->known && (dir->selected || !dir->parent) && !ensure(*dir)) return end(dir);
  list(dir, *source);
}

void CaptureWalk::list(const Dir& dir, const SharedFd& source) {
  thread_local DirReader listing;
  while (!errors_->failed()) {
    const auto more = listing.fill(source->get());
    if (!more) {
      if (more.error().value() == ENOENT) {  // only an empty directory can be removed
        problem(ProblemKind::kSkipped, dir->source->path(), "getdents64", more.error(),
                "vanished while walking");
      } else {
        gap(*dir, "getdents64", more.error());
      }
      break;
    }
    if (!*more) {
      if (dir->known && !options_.only) look_for_vanished(*dir, *source);
      break;
    }
    Batch batch;
    std::vector<Dir> children;
    Dirent dirent;
    while (listing.next(dirent))
      entry(dir, *source, dirent.name, dirent.length, dirent.type, batch, children);
    feed_->push(batch);
    const bool step_back = children.size() >= kMaxQueuedChildren;
    // Counted before anything is pushed: an idle worker may take the rest of the listing at once,
    // and must not find itself the last at work here.
    dir->pending.fetch_add(children.size(), std::memory_order_relaxed);
    if (step_back) pool_.push([this, dir, source] { list(dir, source); });
    for (Dir& below : children) pool_.push([this, below = std::move(below)] { begin(below); });
    if (step_back) return;
  }
  end(dir);
}

void CaptureWalk::entry(const Dir& dir, const Fd& source, const char* name, std::size_t length,
                        std::uint8_t type, Batch& batch, std::vector<Dir>& children) {
  const std::string text(name, length);
  if (dir->on_way && !is_on_way(dir->source->path_of(text))) return;
  if (type == DT_UNKNOWN) {
    const auto stat = stat_at(source, name);
    if (!stat) return not_seen(*dir, text, stat.error());
    type = static_cast<std::uint8_t>(IFTODT(stat->type_bits));
  }
  if (type == DT_DIR) return child(dir, text, children);
  if (!dir->selection.takes_all() &&
      selection_->judge(dir->selection, text, false) != Selection::Verdict::kSelected)
    return;
  if (type == DT_SOCK)
    return problem(ProblemKind::kSkipped, dir->source->path_of(text), {}, {}, "a socket");
  file(*dir, source, text, batch);
}

void CaptureWalk::child(const Dir& dir, std::string name, std::vector<Dir>& children) {
  auto below = std::make_shared<CaptureDir>();
  below->selected = true;
  if (dir->selection.takes_all()) {
    below->selection = dir->selection;
  } else {
    const auto verdict = selection_->judge(dir->selection, name, true);
    if (verdict == Selection::Verdict::kUnselected) return;
    below->selection = selection_->enter(dir->selection, name);
    below->selected = verdict == Selection::Verdict::kSelected;
  }
  if (const auto before = find_before(*dir, name)) {
    if (before->kind == Entry::Kind::kDirectory) {
      ++dir->matched;
      below->known = true;
      below->made = true;
      below->id = before->directory;
    } else {
      ++dir->matched;
      Batch batch;
      if (!drop(*dir, *before, batch)) return;
      feed_->push(batch);
    }
  }
  below->on_way = dir->on_way && !options_.only->contains(dir->source->path_of(name));
  below->parent = dir;
  below->mirror = DirNode::child(dir->mirror, name);
  below->source = DirNode::child(dir->source, std::move(name));
  children.push_back(std::move(below));
}

void CaptureWalk::look_for_vanished(CaptureDir& dir, const Fd& source) {
  const auto count = reader()->count_entries(dir.id);
  if (!count) return errors_->set(count.error());
  if (*count == dir.matched) return;
  const auto status = reader()->for_each_entry(
      dir.id, [&](DirId parent, const Entry& entry) -> catalog::Result<bool> {
        const auto stat = stat_at(source, entry.name);
        if (!stat && stat.error().value() != ENOENT) return true;
        bool unselected = false;
        if (stat) {
          const bool is_directory = entry.kind == Entry::Kind::kDirectory;
          unselected = selection_->judge(dir.selection, entry.name, is_directory) ==
                       Selection::Verdict::kUnselected;
          if (!unselected) return true;
        } else if (options_.exists_elsewhere &&
                   options_.exists_elsewhere(dir.source->path_of(entry.name))) {
          return true;
        }
        const std::lock_guard lock(results_mutex_);
        vanished_.push_back(
            {.parent = parent, .entry = entry, .mirror = dir.mirror, .unselected = unselected});
        return true;
      });
  if (!status) errors_->set(status.error());
}

/// Goes up as far as everything below is done. Finished directories let go of their parents on the
/// way, so that a deep tree is not torn down by one recursive destructor.
void CaptureWalk::end(const Dir& dir) {
  Dir at = dir;
  while (at && at->pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    close(*at);
    at->source.reset();
    at->mirror.reset();
    Dir parent = std::move(at->parent);
    at = std::move(parent);
  }
}

}  // namespace holdfast::core
