#include "storecore/ops/tree_remover.hpp"

#include <dirent.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::Status;

/// A directory that is being emptied; it goes itself when it and all below are done.
struct TreeRemover::Dir {
  std::shared_ptr<Dir> parent;
  std::shared_ptr<DirNode> node;
  bool border = false;
  std::atomic<std::size_t> pending{1};
};

TreeRemover::TreeRemover(Session& session, const Store& store, FlagJournal& flags, Guard guard)
    : session_(&session),
      store_(&store),
      flags_(&flags),
      guard_(std::move(guard)),
      pool_(session.context().jobs) {}

TreeRemover::~TreeRemover() = default;

Status TreeRemover::run(Fd top, Progress& progress, std::string prefix) {
  progress_ = &progress;
  prefix_ = std::move(prefix);
  auto root = std::make_shared<Dir>();
  root->node = DirNode::root(std::move(top), std::make_shared<FdBudget>(FdBudget::default_size()));
  pool_.push([this, root] { begin(root); });
  pool_.run();
  if (session_->context().stopped())
    return catalog::fail(catalog::Fault::kFailed, store_->place().store, "interrupted",
                         "run the command again to go on");
  return {};
}

void TreeRemover::leave(const std::string& path, std::string_view operation, std::error_code cause,
                        std::string_view reason) {
  left_.fetch_add(1, std::memory_order_relaxed);
  session_->problem({.kind = catalog::ProblemKind::kLeft,
                     .path = path.empty() ? prefix_ : catalog::join_path(prefix_, path),
                     .operation = std::string(operation),
                     .error_number = cause.value(),
                     .reason = std::string(reason)});
}

void TreeRemover::begin(const std::shared_ptr<Dir>& dir) {
  if (session_->context().stopped()) return end(dir);
  const auto fd = dir->node->open();
  if (!fd) {
    if (fd.error().value() != ENOENT) leave(dir->node->path(), "openat", fd.error(), {});
    dir->border = true;
    return end(dir);
  }
  const auto stat = stat_fd((*fd)->get());
  if (!stat) {
    leave(dir->node->path(), "statx", stat.error(), {});
    dir->border = true;
    return end(dir);
  }
  if (!stat->same_volume(store_->store_stat()) || (stat->is_mount_root() && dir->parent)) {
    leave(dir->node->path(), {}, {}, "another volume is mounted here");
    dir->border = true;
    return end(dir);
  }
  if (stat->is_immutable() || stat->is_append_only()) (void)write_flags((*fd)->get(), 0);
  if (dir->parent) {
    if (geteuid() == 0 && stat->uid != 0) (void)chown_fd((*fd)->get(), 0, 0);
    if ((stat->mode & 07777U) != 0700U) (void)chmod_fd((*fd)->get(), 0700);
  }
  list(dir, *fd);
}

void TreeRemover::list(const std::shared_ptr<Dir>& dir, const SharedFd& fd) {
  thread_local DirReader listing;
  MayUnlink may_unlink;
  if (guard_) {
    may_unlink = guard_(*dir->node);
    if (!may_unlink) {
      leave(dir->node->path(), {}, {}, "nobody says what of it is held");
      return end(dir);
    }
  }
  // Names that stay would be listed for ever if the position were not kept: one pass, then rmdir
  // says whether it is empty.
  while (!session_->context().stopped()) {
    const auto more = listing.fill(fd->get());
    if (!more) {
      leave(dir->node->path(), "getdents64", more.error(), {});
      break;
    }
    if (!*more) break;
    std::vector<std::shared_ptr<Dir>> children;
    Dirent dirent;
    while (listing.next(dirent)) {
      std::string name(dirent.view());
      bool is_directory = dirent.type == DT_DIR;
      if (dirent.type == DT_UNKNOWN) {
        const auto stat = stat_at(*fd, name);
        is_directory = stat && stat->is_directory();  // otherwise remove() looks again
      }
      if (!is_directory) {
        remove(*dir, *fd, name, may_unlink);
        continue;
      }
      auto child = std::make_shared<Dir>();
      child->parent = dir;
      child->node = DirNode::child(dir->node, std::move(name));
      children.push_back(std::move(child));
    }
    dir->pending.fetch_add(children.size(), std::memory_order_relaxed);
    for (auto& child : children) pool_.push([this, child = std::move(child)] { begin(child); });
  }
  end(dir);
}

void TreeRemover::remove(Dir& dir, const Fd& fd, const std::string& name, MayUnlink& may_unlink) {
  if (may_unlink) {
    const auto stat = stat_at(fd, name);
    if (!stat && stat.error().value() == ENOENT) return;
    if (!stat) return leave(dir.node->path_of(name), "statx", stat.error(), {});
    if (!may_unlink(name, *stat))
      return leave(dir.node->path_of(name), {}, {},
                   "wanted, and not held by the store as it is here");
  }
  auto gone = unlink_at(fd, name.c_str());
  if (!gone && gone.error().value() == ENOENT) return;
  if (!gone && gone.error().value() == EPERM) {
    // The journal knows the inode by its path in the mirror, which lives on.
    gone = flags_->with_cleared(fd, name, dir.node->path_of(name),
                                [&] { return unlink_at(fd, name.c_str()); });
  }
  if (!gone) return leave(dir.node->path_of(name), "unlinkat", gone.error(), {});
  failpoint("file-deleted");
  deleted_.fetch_add(1, std::memory_order_relaxed);
  progress_->files.fetch_add(1, std::memory_order_relaxed);
}

void TreeRemover::end(const std::shared_ptr<Dir>& dir) {
  std::shared_ptr<Dir> at = dir;
  while (at && at->pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    if (at->parent && !at->border && !session_->context().stopped()) {
      const std::string name = at->node->name();
      at->node->close();
      failpoint("deleting-directory");
      const auto parent = at->parent->node->open();
      const auto gone = parent ? rmdir_at(**parent, name.c_str())
                               : catalog::SysStatus(std::unexpected(parent.error()));
      if (gone) {
        deleted_.fetch_add(1, std::memory_order_relaxed);
      } else if (gone.error().value() != ENOTEMPTY && gone.error().value() != ENOENT) {
        leave(at->parent->node->path_of(name), "unlinkat", gone.error(), {});
      }
    }
    std::shared_ptr<Dir> parent = std::move(at->parent);
    at->node.reset();
    at = std::move(parent);
  }
}

}  // namespace holdfast::core
