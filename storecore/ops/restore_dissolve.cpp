// What an interrupted run leaves under a staging name is gone on with by the next one. Only when a
// directory with the wanted name has come meanwhile (the image was applied again) can it not be:
// the two have to be merged, and the mirror is where a merge starts from. So each staged name goes
// back to the mirror, or is surplus there.
#include <cerrno>
#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/ops/restore_build.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Status;
using catalog::SysStatus;

namespace {

struct Pair {
  std::shared_ptr<DirNode> staged;
  std::shared_ptr<DirNode> mirror;
};

/// Unlinks a staged name whose inode the mirror has, renames one that it lacks, leaves what is
/// neither.
Status give_back(RestoreRun& run, const Fd& staged, const Fd& mirror, const std::string& name,
                 const std::string& path) {
  const auto there = stat_at(mirror, name);
  const auto here = stat_at(staged, name);
  if (!here) return {};
  if (there && !there->same_inode(*here)) return {};
  if (!there && there.error().value() != ENOENT) return failed("statx", path, there.error());
  const bool surplus = there.has_value();
  const auto change = [&]() -> SysStatus {
    return surplus ? unlink_at(staged, name.c_str())
                   : rename_no_replace(staged, name.c_str(), mirror, name.c_str());
  };
  if (auto changed = run.flags.with_cleared(staged, name, path, change); !changed)
    return failed(surplus ? "unlinkat" : "renameat2", path, changed.error());
  return {};
}

Status dissolve(RestoreRun& run, const Pair& pair, std::vector<Pair>& todo) {
  const auto staged = pair.staged->open();
  const auto mirror = pair.mirror->open();
  if (!staged) return failed("openat", pair.staged->path(), staged.error());
  if (!mirror) return failed("openat", pair.mirror->path(), mirror.error());
  clear_blocking_flags(
      (*staged)->get());  // it may have been finished already; it goes, or is made anew
  const auto names = list_names(**staged);
  if (!names) return failed("getdents64", pair.staged->path(), names.error());
  for (const std::string& name : *names) {
    const auto here = stat_at(**staged, name);
    const auto there = stat_at(**mirror, name);
    if (here && there && here->is_directory() && there->is_directory()) {
      todo.push_back({DirNode::child(pair.staged, name), DirNode::child(pair.mirror, name)});
      continue;
    }
    if (auto given = give_back(run, **staged, **mirror, name, pair.mirror->path_of(name)); !given)
      return given;
  }
  return {};
}

}  // namespace

Status dissolve_staging(RestoreRun& run, const Fd& parent, const std::string& staging,
                        const RestoreDir& dir) {
  auto top = open_dir_at(parent, staging.c_str());
  if (top && dir.has_mirror && dir.mirror->open()) {
    const auto node = DirNode::root(std::move(*top), run.budget);
    std::vector<Pair> todo{{node, dir.mirror}};
    for (std::size_t next = 0; next < todo.size(); ++next) {
      const Pair pair = todo[next];
      if (auto dissolved = dissolve(run, pair, todo); !dissolved) return dissolved;
    }
    // From the last found to the first: children come after their parents.
    for (auto pair = todo.rbegin(); pair != todo.rend(); ++pair) {
      if (!pair->staged->parent()) break;
      const auto above = pair->staged->parent()->open();
      pair->staged->close();
      if (above) (void)rmdir_at(**above, pair->staged->name().c_str());
    }
  }
  if (rmdir_at(parent, staging.c_str())) return {};
  // Copies of an earlier run, mostly: nothing of them is needed, but nothing is deleted that was
  // not looked at.
  return run.dropped.take(parent, staging, dir.captured_path() + ".staging");
}

}  // namespace holdfast::core
