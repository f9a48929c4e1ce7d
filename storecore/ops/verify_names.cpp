#include "storecore/ops/verify_names.hpp"

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::FileType;
using catalog::InodeRecord;
using catalog::ProblemKind;
using catalog::Result;
using catalog::SysResult;
using catalog::SysStatus;
using Answer = HeldName::Answer;

namespace {

/// So many child directories are queued before a directory steps back and lets them go first.
constexpr std::size_t kMaxQueuedChildren = 512;

/// What differs of an inode that only has its stat to be compared; "" when nothing does. Not the
/// times of FIFOs and devices: being used moves them.
std::string_view changed(const InodeRecord& record, const Stat& stat) {
  const bool has_size = record.type == FileType::kFile || record.type == FileType::kSymlink;
  if (has_size && stat.size != record.size) return "size changed since capture";
  if (record.type == FileType::kFile && stat.mtime != record.mtime)
    return "written to since capture";
  if (stat.rdev != record.rdev) return "device number changed since capture";
  return changed_metadata(record, stat);
}

}  // namespace

void NameSum::add(std::string_view name) {
  ++names;
  sum += catalog::checksum64(name);
}

/// One catalogued directory. Belongs to the task that has it.
struct NamesPass::Dir {
  DirId id{};
  std::shared_ptr<DirNode> mirror;
  std::optional<ProblemKind>
      lost;  ///< it is nowhere, and that is listed for it or for one above it
  bool in_mirror = true;
  bool damaged = false;  ///< listed already: not to be counted as ok
  std::string position;  ///< key of the last entry that was looked at
  NameSum catalogued;
};

NamesPass::NamesPass(VerifyRun& run) : run_(&run), pool_(run.context.jobs) {}

NamesPass::~NamesPass() = default;

catalog::Reader& NamesPass::reader() { return snapshots_[Pool::worker()]->reader; }

void NamesPass::work() {
  for (unsigned i = 0; i < pool_.jobs(); ++i) {
    auto txn = catalog::ReadTxn::begin(run_->env);
    if (!txn) return run_->errors.set(std::move(txn.error()));
    snapshots_.push_back(std::make_unique<Snapshot>(std::move(*txn)));
  }
  auto root = std::make_shared<Dir>();
  root->id = catalog::kRootDir;
  root->mirror = run_->tree;
  pool_.push([this, root] { begin(root); });
  pool_.run();
  snapshots_.clear();
}

/// The mirror's directory cannot be opened. True: it is nowhere else either. What is below is
/// looked at all the same, since restore may have moved it elsewhere, and counted, but only the
/// topmost directory is listed.
bool NamesPass::lose(Dir& dir, std::error_code cause) {
  if (is_shortage(cause)) {
    run_->errors.set(catalog::failed("openat", dir.mirror->path(), cause).error());
    return true;
  }
  const ProblemKind kind = lost_kind(cause);
  const bool moved = run_->moved != nullptr && run_->moved->has_directory(dir.mirror->path());
  if (moved && kind == ProblemKind::kMissing) return false;
  const bool nested = dir.lost.has_value();
  dir.damaged = true;
  if (!moved) dir.lost = dir.lost.value_or(kind);
  if (nested) {
    run_->count(*dir.lost);
  } else {
    run_->found(kind, dir.mirror->path(), "openat", cause,
                kind == ProblemKind::kMissing ? "the directory is gone, with all below it"
                                              : "the directory cannot be opened");
  }
  return !moved;
}

void NamesPass::begin(const DirPtr& dir) {
  if (!run_->goes_on()) return;
  if (const auto opened = dir->mirror->open(); !opened) {
    dir->in_mirror = false;
    if (!lose(*dir, opened.error())) dir->lost.reset();
  }
  dir->position = catalog::dir_key(dir->id);  // below the key of every entry in it
  scan(dir);
}

void NamesPass::scan(const DirPtr& dir) {
  std::vector<DirPtr> children;
  bool ended = true;
  const auto status = reader().for_each_entry_after(
      dir->position, [&](DirId parent, const Entry& row) -> Result<bool> {
        if (parent != dir->id) return false;
        if (children.size() == kMaxQueuedChildren || !run_->goes_on()) {
          ended = false;
          return false;
        }
        dir->position = catalog::entry_key(parent, row.name);
        dir->catalogued.add(row.name);
        entry(dir, row, children);
        return true;
      });
  if (!run_->errors.check(status) || run_->errors.failed()) return;
  if (ended) {
    end(*dir);
  } else {
    pool_.push([this, dir] { scan(dir); });
  }
  for (DirPtr& child : children) pool_.push([this, child = std::move(child)] { begin(child); });
}

void NamesPass::entry(const DirPtr& dir, const Entry& entry, std::vector<DirPtr>& children) {
  if (entry.kind != Entry::Kind::kDirectory) return held(*dir, entry);
  auto child = std::make_shared<Dir>();
  child->id = entry.directory;
  child->mirror = DirNode::child(dir->mirror, entry.name);
  child->lost = dir->lost;
  children.push_back(std::move(child));
}

void NamesPass::held(const Dir& dir, const Entry& entry) {
  if (run_->has_content(entry)) return;
  run_->step();
  const HeldName held = run_->find(*dir.mirror, !dir.in_mirror, entry.name, entry.inode);
  const auto path = [&] { return dir.mirror->path_of(entry.name); };
  switch (held.answer) {
    case Answer::kHere:
      return compare(dir, entry, held);
    case Answer::kOther:
      return run_->found(ProblemKind::kMissing, path(), {}, {}, "another file has its name");
    case Answer::kGone:
      return run_->found(ProblemKind::kMissing, path(), {}, {}, "gone from the store");
    case Answer::kNoDirectory:
      return run_->count(dir.lost.value_or(lost_kind(held.cause)));
    case Answer::kUnreadable:
      return run_->found(ProblemKind::kCorrupt, path(), "statx", held.cause, {});
  }
}

void NamesPass::compare(const Dir& dir, const Entry& entry, const HeldName& held) {
  const InodeRecord& record = entry.inode;
  if (const std::string_view what = changed(record, held.stat); !what.empty())
    return run_->found(ProblemKind::kModified, dir.mirror->path_of(entry.name), {}, {}, what);
  if (run_->full && record.type == FileType::kSymlink) {
    const auto target = readlink_at(*held.dir, held.name.c_str());
    if (!target)
      return run_->found(ProblemKind::kCorrupt, dir.mirror->path_of(entry.name), "readlinkat",
                         target.error(), {});
    if (*target != record.link_target)
      return run_->found(ProblemKind::kCorrupt, dir.mirror->path_of(entry.name), {}, {},
                         "the symlink leads elsewhere than it did");
  }
  run_->found_ok();
}

/// Every catalogued entry was seen: what is in the mirror beside them?
void NamesPass::end(Dir& dir) {
  const bool is_root = dir.id == catalog::kRootDir;
  if (!is_root) run_->step();
  if (dir.in_mirror) {
    const auto fd = dir.mirror->open();
    auto listed = fd ? list(**fd) : SysResult<NameSum>(std::unexpected(fd.error()));
    if (listed && *listed != dir.catalogued) {
      if (const auto extras = list_extras(dir, **fd); !extras)
        listed = std::unexpected(extras.error());
    }
    if (!listed && !dir.damaged) {
      dir.damaged = true;
      run_->found(ProblemKind::kCorrupt, dir.mirror->path(), "getdents64", listed.error(),
                  "the directory cannot be listed");
    }
  }
  if (!dir.damaged && !is_root) run_->found_ok();
}

SysResult<NameSum> NamesPass::list(const Fd& fd) const {
  NameSum listed;
  DirReader entries;
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return std::unexpected(catalog::last_error());
  while (true) {
    const auto filled = entries.fill(fd.get());
    if (!filled) return std::unexpected(filled.error());
    if (!*filled) return listed;
    for (Dirent found; entries.next(found);) listed.add(found.view());
  }
}

SysStatus NamesPass::list_extras(const Dir& dir, const Fd& fd) {
  DirReader entries;
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return std::unexpected(catalog::last_error());
  while (run_->goes_on()) {
    const auto filled = entries.fill(fd.get());
    if (!filled) return std::unexpected(filled.error());
    if (!*filled) break;
    for (Dirent found; entries.next(found);) {
      const auto known = reader().find_entry(dir.id, found.view());
      if (!known) {
        run_->errors.set(known.error());
        return {};
      }
      if (!*known)
        run_->found(ProblemKind::kExtra, dir.mirror->path_of(found.view()), {}, {},
                    "in the store, but not catalogued");
    }
  }
  return {};
}

}  // namespace holdfast::core
