#include "storecore/ops/verify_names.hpp"

#include <unistd.h>

#include <optional>
#include <utility>

#include "catalog/digest.hpp"
#include "catalog/name.hpp"
#include "catalog/schema.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"

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
  HeldDir held;
  std::shared_ptr<DirNode> named;  ///< for its path, whether it is there or not
  std::string position;            ///< key of the last entry that was looked at
  NameSum catalogued;
  bool damaged = false;  ///< listed already: not to be counted as ok
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
  root->held = run_->top;
  root->named = root->held.mirror;
  pool_.push([this, root] { begin(root); });
  pool_.run();
  snapshots_.clear();
}

/// The directory and all below it count as lost, in one line.
void NamesPass::lose(const Dir& dir, ProblemKind kind, std::error_code cause) {
  const auto row = reader().find_directory(dir.id);
  if (!row) return run_->errors.set(row.error());
  const std::uint64_t below = *row ? (*row)->record.subtree.entries : 0;
  const std::uint64_t itself = dir.id == catalog::kRootDir ? 0 : 1;
  run_->step(below + itself);
  run_->found(kind, dir.named->path(), "openat", cause,
              kind == ProblemKind::kMissing
                  ? "the directory is gone, with all below it"
                  : "the directory cannot be opened, nor what is below it",
              below + itself);
}

void NamesPass::begin(const DirPtr& dir) {
  if (!run_->goes_on()) return;
  std::error_code cause;
  bool unreadable = false;
  if (dir->held.mirror) {
    const auto opened = dir->held.mirror->open();
    if (!opened) {
      cause = opened.error();
      unreadable = !is_gone(cause);
      dir->held.mirror.reset();
    }
  }
  if (dir->held.restored && !dir->held.restored->open()) dir->held.restored.reset();
  if (!dir->held.mirror && !dir->held.restored)
    return lose(*dir, unreadable ? ProblemKind::kCorrupt : ProblemKind::kMissing, cause);
  if (unreadable) {
    run_->found(ProblemKind::kCorrupt, dir->named->path(), "openat", cause,
                "the directory cannot be opened");
    dir->damaged = true;
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
  if (dir->held.mirror) dir->held.mirror->relax();
  if (dir->held.restored) dir->held.restored->relax();
}

void NamesPass::entry(const DirPtr& dir, const Entry& entry, std::vector<DirPtr>& children) {
  if (entry.kind != Entry::Kind::kDirectory) return held(*dir, entry);
  auto child = std::make_shared<Dir>();
  child->id = entry.directory;
  child->named = DirNode::child(dir->held.mirror ? dir->held.mirror : dir->named, entry.name);
  if (dir->held.mirror) child->held.mirror = child->named;
  if (dir->held.restored) child->held.restored = DirNode::child(dir->held.restored, entry.name);
  children.push_back(std::move(child));
}

void NamesPass::held(const Dir& dir, const Entry& entry) {
  if (run_->has_content(entry)) return;
  run_->step();
  const HeldName held = run_->find(dir.held, entry.name, entry.inode);
  const auto path = [&] { return dir.named->path_of(entry.name); };
  switch (held.answer) {
    case Answer::kHere:
      return compare(dir, entry, held);
    case Answer::kOther:
      return run_->found(ProblemKind::kMissing, path(), {}, {}, "another file has its name");
    case Answer::kGone:
      return run_->found(ProblemKind::kMissing, path(), {}, {}, "gone from the store");
    case Answer::kNoDirectory:  // it was there when this directory's task began
    case Answer::kUnreadable:
      return run_->found(ProblemKind::kCorrupt, path(), "statx", held.cause, {});
  }
}

void NamesPass::compare(const Dir& dir, const Entry& entry, const HeldName& held) {
  const InodeRecord& record = entry.inode;
  if (const std::string_view what = changed(record, held.stat); !what.empty())
    return run_->found(ProblemKind::kModified, dir.named->path_of(entry.name), {}, {}, what);
  if (run_->full && record.type == FileType::kSymlink) {
    const auto target = readlink_at(*held.dir, entry.name.c_str());
    if (!target)
      return run_->found(ProblemKind::kCorrupt, dir.named->path_of(entry.name), "readlinkat",
                         target.error(), {});
    if (*target != record.link_target)
      return run_->found(ProblemKind::kCorrupt, dir.named->path_of(entry.name), {}, {},
                         "the symlink leads elsewhere than it did");
  }
  run_->found_ok();
}

/// Every catalogued entry was seen: what is in the mirror beside them?
void NamesPass::end(Dir& dir) {
  const bool is_root = dir.id == catalog::kRootDir;
  if (!is_root) run_->step();
  if (dir.held.mirror) {
    const auto fd = dir.held.mirror->open();
    auto listed = fd ? list(**fd) : SysResult<NameSum>(std::unexpected(fd.error()));
    if (listed && *listed != dir.catalogued) {
      if (const auto extras = list_extras(dir, **fd); !extras)
        listed = std::unexpected(extras.error());
    }
    if (!listed && !dir.damaged) {
      dir.damaged = true;
      run_->found(ProblemKind::kCorrupt, dir.named->path(), "getdents64", listed.error(),
                  "the directory cannot be listed", is_root ? 0 : 1);
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
        run_->found(ProblemKind::kExtra, dir.named->path_of(found.view()), {}, {},
                    "in the store, but not catalogued");
    }
  }
  return {};
}

}  // namespace holdfast::core
