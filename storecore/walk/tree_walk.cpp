#include "storecore/walk/tree_walk.hpp"

#include <dirent.h>

#include <expected>
#include <memory>
#include <string>
#include <utility>

#include "catalog/error.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Result;
using catalog::Status;

TreeWalk::TreeWalk(const RunContext& context, OnDirectory on_directory, OnName on_name)
    : context_(&context),
      on_directory_(std::move(on_directory)),
      on_name_(std::move(on_name)),
      pool_(context.jobs) {}

Status TreeWalk::run(std::shared_ptr<DirNode> top) {
  pool_.push([this, top = std::move(top)] { visit(top); });
  pool_.run();
  return errors_.status();
}

Result<bool> TreeWalk::is_directory(const Fd& dir, const DirNode& node, const Dirent& entry) const {
  if (entry.type != DT_UNKNOWN) return entry.type == DT_DIR;
  const auto stat = stat_at(dir, entry.name);
  if (!stat) return failed("statx", node.path_of(entry.view()), stat.error());
  return stat->is_directory();
}

void TreeWalk::visit(const std::shared_ptr<DirNode>& node) {
  if (errors_.failed() || context_->stopped()) return;
  const auto dir = node->open();
  if (!dir) return errors_.set(failed("openat", node->path(), dir.error()).error());
  if (on_directory_ && !errors_.check(on_directory_(**dir, *node))) return;
  thread_local DirReader listing;
  while (true) {
    const auto more = listing.fill((*dir)->get());
    if (!more) return errors_.set(failed("getdents64", node->path(), more.error()).error());
    if (!*more) return;
    Dirent entry;
    while (listing.next(entry)) {
      const auto below = is_directory(**dir, *node, entry);
      if (!below) return errors_.set(below.error());
      if (*below) {
        auto child = DirNode::child(node, std::string(entry.view()));
        pool_.push([this, child = std::move(child)] { visit(child); });
      } else if (on_name_ && !errors_.check(on_name_(**dir, *node, entry))) {
        return;
      }
    }
  }
}

}  // namespace holdfast::core
