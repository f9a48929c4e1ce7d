#include "storecore/ops/move_aside.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Result;
using catalog::Status;
using catalog::SysStatus;

namespace {

Result<Fd> make_dir(DirFd parent, const std::string& name) {
  const auto made = mkdir_at(parent, name.c_str(), 0700);
  if (!made && made.error().value() != EEXIST) return failed("mkdirat", name, made.error());
  auto fd = open_dir_at(parent, name.c_str());
  if (!fd) return failed("openat", name, fd.error());
  return std::move(*fd);
}

/// A rename that takes off flags on the entry and on its parent where they forbid it.
SysStatus rename_clearing(FlagJournal& flags, const Store& store, DirFd from, std::string_view path,
                          DirFd to) {
  const std::string name = last_component(path);
  const auto rename = [&] { return rename_no_replace(from, name.c_str(), to, name.c_str()); };
  auto renamed = rename();
  if (!renamed && renamed.error().value() == EACCES)
    return flags.with_writable(from, name, path, rename);
  if (renamed || renamed.error().value() != EPERM) return renamed;
  renamed = flags.with_cleared(from, name, path, rename);
  if (renamed || renamed.error().value() != EPERM) return renamed;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return renamed;  // ROOT's own flags were refused before
  const std::string parent(path.substr(0, slash));
  const auto above = open_parent(store.root(), parent);
  if (!above) return renamed;
  return flags.with_cleared(*above, last_component(parent), parent,
                            [&] { return flags.with_cleared(from, name, path, rename); });
}

void list_left(Session& session, const std::string& path, std::error_code cause,
               std::string_view reason = {}) {
  session.problem({.kind = catalog::ProblemKind::kLeft,
                   .path = path,
                   .operation = "renameat2",
                   .error_number = cause.value(),
                   .reason = std::string(reason)});
}

}  // namespace

Result<bool> is_inode(DirFd top, const WipePlan::Item& item) {
  const auto stat = find_below(top, item.path);
  if (!stat) return std::unexpected(stat.error());
  return *stat && (*stat)->inode == item.inode;
}

Result<std::set<std::string, std::less<>>> move_aside(Session& session, const Store& store,
                                                      FlagJournal& flags, const WipePlan& plan,
                                                      std::uint32_t number) {
  std::set<std::string, std::less<>> left;
  const auto area = store.subdir(layout::kAside);
  if (!area) return std::unexpected(area.error());
  const auto top = make_dir(*area, std::to_string(number));
  if (!top) return std::unexpected(top.error());
  // Parents come before their children in the plan: a split directory's place in aside/N is there
  // before it is needed.
  for (const WipePlan::Split& split : plan.splits) {
    if (split.path.empty()) continue;
    const auto parent = open_parent(*top, split.path);
    if (!parent) return failed("openat", split.path, parent.error());
    if (const auto made = make_dir(*parent, last_component(split.path)); !made)
      return std::unexpected(made.error());
  }
  std::uint64_t moved = 0;
  for (const WipePlan::Item& item : plan.moves) {
    if (session.context().stopped())
      return catalog::fail(catalog::Fault::kFailed, store.place().root, "interrupted",
                           "run the command again to go on");
    const auto there = is_inode(store.root(), item);
    if (!there) return std::unexpected(there.error());
    if (!*there) continue;  // moved already, or gone, or the name is an image's now
    const auto from = open_parent(store.root(), item.path);
    const auto to = open_parent(*top, item.path);
    if (!from || !to) return failed("openat", item.path, from ? to.error() : from.error());
    failpoint("move-aside");
    const auto renamed = rename_clearing(flags, store, *from, item.path, *to);
    if (renamed) {
      const std::string name = last_component(item.path);
      const auto stat = stat_at(*to, name);
      if (stat && stat->inode == item.inode) {
        ++moved;
        continue;
      }
      // Somebody exchanged it at this very moment: what the plan does not name goes back.
      const auto back = rename_no_replace(*to, name.c_str(), *from, name.c_str());
      list_left(session, item.path, back ? std::error_code() : back.error(),
                back ? "it was replaced while it was moved"
                     : "it was replaced while it was moved, and could not be put back: it is in "
                       "aside/");
      left.insert(item.path);
    } else if (renamed.error().value() != ENOENT) {
      if (renamed.error().value() == EIO || renamed.error().value() == EROFS ||
          renamed.error().value() == ENOSPC)
        return failed("renameat2", item.path, renamed.error());
      list_left(session, item.path, renamed.error());
      left.insert(item.path);
    }
  }
  session.report().counts.add(Count::kMovedAside, moved);
  return left;
}

namespace {

/// Walks ROOT and its split directories for what is not old, not kept and not ours.
class ImageWalk {
 public:
  ImageWalk(const Store& store, const WipePlan& plan) : store_(&store), plan_(&plan) {
    for (const WipePlan::Item& item : plan.moves) old_.emplace(item.path, item.inode);
    for (const WipePlan::Item& item : plan.stays) old_.emplace(item.path, item.inode);
    for (const WipePlan::Split& split : plan.splits) splits_.emplace(split.path, split.inode);
  }

  /// Calls @p found(dir, name, path) for each such name.
  template <class Found>
  [[nodiscard]] Status each(Found&& found) {
    for (const auto& [path, inode] : splits_) {
      const auto components = catalog::split_path(path);
      if (!components) continue;
      const auto dir = open_dir_below(store_->root(), *components);
      if (!dir && is_absent(dir.error())) continue;  // nothing in it
      if (!dir) return failed("openat", path, dir.error());
      const auto names = list_names(*dir);
      if (!names) return failed("getdents64", path, names.error());
      for (const std::string& name : *names) {
        const std::string full = catalog::join_path(path, name);
        const auto stat = stat_at(*dir, name);
        if (!stat && stat.error().value() == ENOENT) continue;
        if (!stat) return failed("statx", full, stat.error());
        if (is_ours(full, *stat)) continue;
        if (auto status = found(*dir, name, full); !status) return status;
      }
    }
    return {};
  }

 private:
  [[nodiscard]] bool is_ours(const std::string& path, const Stat& stat) const {
    if (stat.same_inode(store_->store_stat())) return true;
    const bool border = !stat.same_volume(store_->root_stat()) || stat.is_mount_root();
    const auto old = old_.find(path);
    if (old != old_.end() && (old->second == stat.inode || border)) return true;
    const auto split = splits_.find(path);
    return split != splits_.end() && split->second == stat.inode;
  }

  const Store* store_;
  const WipePlan* plan_;
  std::map<std::string, std::uint64_t> old_;
  std::map<std::string, std::uint64_t> splits_;
};

}  // namespace

Result<MovedImage> move_image_away(Session& session, const Store& store, FlagJournal& flags,
                                   const WipePlan& plan) {
  MovedImage result;
  const auto area = store.subdir(layout::kFailed, true);
  if (!area) return std::unexpected(area.error());
  std::optional<Fd> top;
  const auto open_top = [&]() -> Status {
    for (unsigned number = 1;; ++number) {
      const std::string name = std::to_string(number);
      const auto made = mkdir_at(*area, name.c_str(), 0700);
      if (!made && made.error().value() == EEXIST) continue;
      if (!made) return failed("mkdirat", name, made.error());
      auto fd = open_dir_at(*area, name.c_str());
      if (!fd) return failed("openat", name, fd.error());
      top = std::move(*fd);
      return {};
    }
  };
  ImageWalk walk(store, plan);
  const auto status =
      walk.each([&](const Fd& dir, const std::string& name, const std::string& path) -> Status {
        if (session.context().stopped())
          return catalog::fail(catalog::Fault::kFailed, store.place().root, "interrupted",
                               "run the command again to go on");
        if (path == layout::kMarker) {
          (void)unlink_at(dir, name.c_str());  // ours, says only what the state says
          return {};
        }
        if (!top) {
          if (auto opened = open_top(); !opened) return opened;
        }
        // Its parents below failed/M: only split directories lead here, and there are few.
        Fd to;
        auto at = open_dir_at(*top, ".");
        if (!at) return failed("openat", path, at.error());
        to = std::move(*at);
        const auto components = catalog::split_path(path);
        for (std::size_t i = 0; components && i + 1 < components->size(); ++i) {
          auto below = make_dir(to, (*components)[i]);
          if (!below) return std::unexpected(below.error());
          to = std::move(*below);
        }
        failpoint("move-image");
        const auto renamed = rename_clearing(flags, store, dir, path, to);
        if (renamed) {
          ++result.moved;
        } else if (renamed.error().value() == EIO || renamed.error().value() == EROFS ||
                   renamed.error().value() == ENOSPC) {
          return failed("renameat2", path, renamed.error());
        } else if (renamed.error().value() != ENOENT) {
          ++result.left;
          list_left(session, path, renamed.error());
        }
        return {};
      });
  if (!status) return std::unexpected(status.error());
  return result;
}

Status list_newcomers(Session& session, const Store& store, const WipePlan& plan) {
  ImageWalk walk(store, plan);
  return walk.each([&](const Fd&, const std::string&, const std::string& path) -> Status {
    if (path != layout::kMarker)
      list_left(session, path, {}, "it appeared while the old system was moved aside");
    return {};
  });
}

Result<bool> is_root_empty(const Store& store, const WipePlan& plan) {
  bool empty = true;
  ImageWalk walk(store, plan);
  const auto status =
      walk.each([&](const Fd&, const std::string&, const std::string& path) -> Status {
        empty = empty && path == layout::kMarker;
        return {};
      });
  if (!status) return std::unexpected(status.error());
  return empty;
}

Result<bool> has_leftovers(const Store& store, const WipePlan& plan) {
  for (const WipePlan::Item& item : plan.moves) {
    auto there = is_inode(store.root(), item);
    if (!there || *there) return there;
  }
  return false;
}

}  // namespace holdfast::core
