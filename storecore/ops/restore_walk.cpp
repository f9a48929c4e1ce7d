#include "storecore/ops/restore_walk.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/name.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/hash/mirror_dirs.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_plan.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::failed;
using catalog::Fault;
using catalog::FileType;
using catalog::Result;
using catalog::Status;
using Place = RestoreDir::Place;

namespace {

/// So many child directories are queued before a directory steps back and lets them go first.
constexpr std::size_t kMaxQueuedChildren = 512;

/// Makes a directory on the way to a --map's NEW, which nobody captured: as anybody would.
catalog::SysResult<Fd> make_way(DirFd parent, const std::string& name) {
  if (auto made = mkdir_at(parent, name.c_str(), 0755); !made && made.error().value() != EEXIST)
    return std::unexpected(made.error());
  auto fd = open_dir_at(parent, name.c_str());
  if (!fd) return fd;
  // The process's umask is a strict one.
  if (auto mode = chmod_fd(fd->get(), 0755); !mode) return std::unexpected(mode.error());
  return fd;
}

}  // namespace

RestoreWalk::RestoreWalk(RestoreRun& run)
    : run_(&run),
      builder_(run),
      placer_(run, builder_),
      checker_(run, builder_),
      pool_(run.context.jobs) {}

RestoreWalk::~RestoreWalk() = default;

catalog::Reader& RestoreWalk::reader() { return snapshots_[Pool::worker()]->reader; }

Status RestoreWalk::open_snapshots() {
  snapshots_.clear();
  for (unsigned i = 0; i < pool_.jobs(); ++i) {
    auto txn = catalog::ReadTxn::begin(run_->env);
    if (!txn) return std::unexpected(txn.error());
    snapshots_.push_back(std::make_unique<Snapshot>(std::move(*txn)));
  }
  return {};
}

Status RestoreWalk::run(RestorePass pass) {
  pass_ = pass;
  if (auto opened = open_snapshots(); !opened) return opened;
  run_main();
  for (const MapJob& job : run_->plan.jobs()) {
    if (run_->goes_on()) run_job(job);
  }
  snapshots_.clear();
  return run_->errors.status();
}

void RestoreWalk::run_main() {
  auto root = std::make_shared<RestoreDir>();
  root->mirror = run_->mirror;
  root->id = catalog::kRootDir;
  root->plan = run_->plan.root();
  root->verdict = run_->plan.root_verdict();
  root->place = Place::kExisting;
  root->dest = run_->dest;
  root->existing_mtime = run_->dest_stat.mtime;
  pool_.push([this, root] { begin(root); });
  pool_.run();
}

Status RestoreWalk::check_moved() {
  pass_ = RestorePass::kCheck;
  if (auto opened = open_snapshots(); !opened) return opened;
  for (RestoreRun::Moved& moved : run_->moved()) {
    auto top = std::make_shared<RestoreDir>();
    top->mirror = std::move(moved.mirror);
    top->id = moved.id;
    top->place = Place::kExisting;
    top->dest = std::move(moved.dest);
    top->in_moved = true;
    pool_.push([this, top] { begin(top); });
  }
  pool_.run();
  snapshots_.clear();
  return run_->errors.status();
}

void RestoreWalk::run_job(const MapJob& job) {
  pool_.push([this, &job] {
    auto gate = std::make_shared<RestoreDir>();
    gate->id = job.parent;
    gate->plan = job.position;
    gate->verdict = PlanVerdict::kEnter;
    gate->record.selected = false;
    gate->in_map = true;
    MirrorDirs mirrors(run_->mirror);
    auto mirror = mirrors.find(reader(), job.parent);
    if (!mirror) return run_->errors.set(mirror.error());
    gate->mirror = std::move(*mirror);
    gate->has_mirror = gate->mirror->open().has_value();
    work_on_job(gate, job);
  });
  pool_.run();
}

void RestoreWalk::work_on_job(const Dir& gate, const MapJob& job) {
  if (!open_gate(*gate, job)) return;
  if (job.entry.kind != Entry::Kind::kDirectory) {
    deal_with(*gate, job.entry, job.to.back());
    return end(gate);
  }
  auto child =
      make_child(gate, job.entry, job.to.empty() ? std::string() : job.to.back(), job.verdict);
  if (job.to.empty()) {
    child->place = gate->place;
    child->dest = gate->dest;
    child->verdict = PlanVerdict::kEnter;  // the destination's top keeps its own metadata
  }
  gate->pending.fetch_add(1, std::memory_order_relaxed);
  pool_.push([this, child] { begin(child); });
  end(gate);
}

/// Opens the directory that receives a mapped entry, making what is missing on the way. False:
/// there is no way.
bool RestoreWalk::open_gate(RestoreDir& gate, const MapJob& job) {
  gate.place = Place::kExisting;
  gate.dest = run_->dest;
  const auto top = gate.dest->open();
  const auto stat =
      top ? stat_fd((*top)->get()) : catalog::SysResult<Stat>(std::unexpected(top.error()));
  if (!stat) {
    run_->errors.set(failed("statx", run_->dest_path, stat.error()).error());
    return false;
  }
  gate.times = *stat;
  for (std::size_t i = 0; i + 1 < job.to.size(); ++i) {
    if (!pass_gate(gate, job, job.to[i]))
      return gate.place == Place::kAbsent && pass_ == RestorePass::kLook;
  }
  return true;
}

/// One component further. False: it is not there (kAbsent, and not to be made in this pass), or
/// cannot be passed.
bool RestoreWalk::pass_gate(RestoreDir& gate, const MapJob& job, const std::string& name) {
  const auto parent = gate.dest->open();
  auto fd = parent ? open_dir_at(**parent, name.c_str())
                   : catalog::SysResult<Fd>(std::unexpected(parent.error()));
  bool made = false;
  if (parent && !fd && fd.error().value() == ENOENT) {
    if (pass_ != RestorePass::kRestore) {
      gate.place = Place::kAbsent;
      gate.dest.reset();
      return false;
    }
    fd = make_way(**parent, name);
    made = true;
    if (gate.times) (void)set_times_fd((*parent)->get(), gate.times->atime, gate.times->mtime);
  }
  const auto stat = fd ? stat_fd(fd->get()) : catalog::SysResult<Stat>(std::unexpected(fd.error()));
  std::string_view why;
  if (!stat) {
    why = "the way to the place of --map cannot be opened, or something on it is no directory";
  } else if (stat->same_inode(run_->store.store_stat())) {
    why = "the place of --map lies in the store";
  } else if (!stat->same_volume(run_->dest_stat) && !run_->copies()) {
    why = "the place of --map is on another volume";
  }
  if (!why.empty()) {
    gate.place = Place::kBlocked;
    if (pass_ == RestorePass::kLook || pass_ == RestorePass::kRestore)
      run_->undecided(gate.captured_path_of(job.entry.name), why);
    return false;
  }
  gate.times = made ? std::nullopt : std::optional<Stat>(*stat);
  gate.dest = DirNode::child(gate.dest, name, std::move(*fd));
  gate.name = catalog::join_path(gate.name, name);
  return true;
}

void RestoreWalk::begin(const Dir& dir) {
  if (!run_->goes_on()) return end(dir);
  auto row = reader().find_directory(dir->id);
  if (!row || !*row) {
    run_->errors.set(
        row ? catalog::fail(Fault::kCatalogBad, dir->captured_path(), "a directory has no record")
                  .error()
            : row.error());
    return end(dir);
  }
  dir->record = std::move((*row)->record);
  if (!enter(*dir)) return end(dir);
  dir->position = catalog::dir_key(dir->id);  // below the key of every entry in it
  list(dir);
}

/// False: nothing in it needs to be looked at.
bool RestoreWalk::enter(RestoreDir& dir) {
  if (dir.has_mirror) {
    const auto mirror = dir.mirror->open();
    if (!mirror) {
      if (!is_gone(mirror.error())) {
        run_->errors.set(failed("openat", dir.captured_path(), mirror.error()).error());
        return false;
      }
      dir.has_mirror = false;
    }
  }
  if (pass_ == RestorePass::kClear && !dir.has_mirror) return false;
  const bool located = dir.dest != nullptr;
  if (!located) builder_.locate(dir, pass_, reader());
  switch (dir.place) {
    case Place::kBlocked:
      return false;
    case Place::kExisting:
    case Place::kFresh:
      return true;
    case Place::kAbsent:
      break;
  }
  if (pass_ == RestorePass::kLook) return true;
  if (pass_ == RestorePass::kClear) return false;
  if (pass_ == RestorePass::kCheck) {
    if (dir.in_moved)
      run_->missing(dir.captured_path(), "the store had no such directory",
                    dir.record.subtree.entries + 1);
    return false;
  }
  if (run_->options.mode == RestoreMode::kMove && builder_.move_whole(dir)) {
    dir.place = Place::kBlocked;  // there is nothing left to do below
    return false;
  }
  return !dir.wanted() || builder_.ensure(dir);
}

void RestoreWalk::list(const Dir& dir) {
  std::vector<Dir> children;
  bool ended = true;
  const auto status = reader().for_each_entry_after(
      dir->position, [&](DirId parent, const Entry& row) -> Result<bool> {
        if (parent != dir->id) return false;
        if (children.size() == kMaxQueuedChildren || !run_->goes_on()) {
          ended = false;
          return false;
        }
        dir->position = catalog::entry_key(parent, row.name);
        entry(dir, row, children);
        return true;
      });
  if (!run_->errors.check(status)) ended = true;
  if (run_->errors.failed()) return end(dir);
  dir->pending.fetch_add(children.size(), std::memory_order_relaxed);
  if (!ended) pool_.push([this, dir] { list(dir); });
  for (Dir& child : children) pool_.push([this, child = std::move(child)] { begin(child); });
  if (!ended) return;
  deal_with_later_ones(*dir);
  end(dir);
}

void RestoreWalk::entry(const Dir& dir, const Entry& entry, std::vector<Dir>& children) {
  if (!catalog::is_component(entry.name)) {
    return run_->errors.set(catalog::fail(Fault::kCatalogBad, dir->captured_path_of(entry.name),
                                          "a catalogued name is no single component")
                                .error());
  }
  const bool is_directory = entry.kind == Entry::Kind::kDirectory;
  const PlanVerdict verdict = run_->plan.judge(dir->plan, entry.name, is_directory);
  if (verdict == PlanVerdict::kSkip) return;
  if (is_directory) {
    // What went as a whole was checked as a whole.
    if (pass_ == RestorePass::kCheck && !dir->in_moved && run_->was_moved(entry.directory)) return;
    return children.push_back(make_child(dir, entry, entry.name, verdict));
  }
  const FileType type = entry.inode.type;
  if (type == FileType::kFile || pass_ != RestorePass::kRestore)
    return deal_with(*dir, entry, entry.name);
  (type == FileType::kSymlink ? dir->symlinks : dir->nodes).push_back(entry);
}

RestoreWalk::Dir RestoreWalk::make_child(const Dir& dir, const Entry& entry, std::string name,
                                         PlanVerdict verdict) {
  auto child = std::make_shared<RestoreDir>();
  child->parent = dir;
  child->mirror = DirNode::child(dir->mirror, entry.name);
  child->has_mirror = dir->has_mirror;
  child->name = std::move(name);
  if (pass_ == RestorePass::kCheck || pass_ == RestorePass::kClear) {
    if (auto instead = run_->exception(dir->id, entry.name); instead && !instead->empty())
      child->name = std::move(*instead);
  }
  child->plan = run_->plan.enter(dir->plan, entry.name);
  child->verdict = verdict;
  child->id = entry.directory;
  child->in_map = dir->in_map;
  child->in_moved = dir->in_moved;
  return child;
}

void RestoreWalk::deal_with(RestoreDir& dir, const Entry& entry, const std::string& name) {
  if (run_->errors.failed()) return;
  switch (pass_) {
    case RestorePass::kLook:
      return placer_.look(dir, entry, name, reader());
    case RestorePass::kRestore:
      return placer_.place(dir, entry, name, reader());
    case RestorePass::kCheck:
      return checker_.check(dir, entry, name);
    case RestorePass::kClear:
      return checker_.clear(dir, entry, name);
  }
}

void RestoreWalk::deal_with_later_ones(RestoreDir& dir) {
  for (const Entry& node : std::exchange(dir.nodes, {})) deal_with(dir, node, node.name);
  for (const Entry& symlink : std::exchange(dir.symlinks, {}))
    deal_with(dir, symlink, symlink.name);
}

/// Goes up as far as everything below is done. Finished directories let go of their parents on the
/// way, so that a deep tree is not torn down by one recursive destructor.
void RestoreWalk::end(const Dir& dir) {
  Dir at = dir;
  while (at && at->pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    close(*at);
    at->mirror.reset();
    {
      const std::lock_guard lock(at->mutex);
      at->dest.reset();
    }
    Dir parent = std::move(at->parent);
    at = std::move(parent);
  }
}

/// Directories are entries, too. Tops are not: a gate is nobody's entry, and ROOT is not counted.
void RestoreWalk::count(const RestoreDir& dir) {
  if (!dir.parent || dir.place == Place::kBlocked || (dir.place == Place::kAbsent && !dir.wanted()))
    return;
  run_->tally.restored.fetch_add(1, std::memory_order_relaxed);
  run_->step();
}

void RestoreWalk::put_times_back(const RestoreDir& gate) {
  const auto fd = gate.dest->open();
  if (fd) (void)set_times_fd((*fd)->get(), gate.times->atime, gate.times->mtime);
}

void RestoreWalk::close(RestoreDir& dir) {
  if (run_->errors.failed()) return;
  switch (pass_) {
    case RestorePass::kLook:
      return count(dir);
    case RestorePass::kRestore:
      builder_.finish(dir);
      if (dir.times && dir.dest) put_times_back(dir);
      return count(dir);
    case RestorePass::kCheck:
      return checker_.check_directory(dir);
    case RestorePass::kClear:
      return checker_.clear_directory(dir);
  }
}

}  // namespace holdfast::core
