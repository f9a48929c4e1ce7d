#include "storecore/walk/tree_walk.hpp"

#include <dirent.h>

#include <atomic>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/error.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Status;
using catalog::SysResult;

TreeWalk::TreeWalk(const RunContext& context, OnDirectory on_directory, OnName on_name,
                   Unseen unseen)
    : context_(&context),
      on_directory_(std::move(on_directory)),
      on_name_(std::move(on_name)),
      unseen_(unseen),
      pool_(context.jobs) {}

Status TreeWalk::run(std::shared_ptr<DirNode> top) {
  pool_.push([this, top = std::move(top)] { visit(top); });
  pool_.run();
  if (context_->stopped())
    return catalog::fail(catalog::Fault::kFailed, {}, "interrupted", "run the command again");
  return errors_.status();
}

void TreeWalk::cannot(std::string_view operation, const std::string& path, std::error_code cause) {
  if (unseen_ == Unseen::kNothing) {
    unseen_count_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  errors_.set(failed(operation, path, cause).error());
}

SysResult<bool> TreeWalk::is_directory(const Fd& dir, const Dirent& entry) const {
  if (entry.type != DT_UNKNOWN) return entry.type == DT_DIR;
  const auto stat = stat_at(dir, entry.name);
  if (!stat) return std::unexpected(stat.error());
  return stat->is_directory();
}

void TreeWalk::visit(const std::shared_ptr<DirNode>& node) {
  if (errors_.failed() || context_->stopped()) return;
  const auto dir = node->open();
  if (!dir) return cannot("openat", node->path(), dir.error());
  if (on_directory_ && !errors_.check(on_directory_(**dir, *node))) return;
  thread_local DirReader listing;
  while (!errors_.failed()) {
    const auto more = listing.fill((*dir)->get());
    if (!more) return cannot("getdents64", node->path(), more.error());
    if (!*more) return;
    Dirent entry;
    while (listing.next(entry)) {
      const auto below = is_directory(**dir, entry);
      if (!below) {
        cannot("statx", node->path_of(entry.view()), below.error());
      } else if (*below) {
        auto child = DirNode::child(node, std::string(entry.view()));
        pool_.push([this, child = std::move(child)] { visit(child); });
      } else if (on_name_ && !errors_.check(on_name_(**dir, *node, entry))) {
        return;
      }
    }
  }
}

}  // namespace holdfast::core
