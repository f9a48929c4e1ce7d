#pragma once

#include <functional>
#include <memory>

#include "catalog/error.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// Visits every directory and every name of a tree of the store, in parallel, each directory before
/// what is in it. For trees that nobody else changes: whatever cannot be looked at ends the walk
/// with an error, because a name that was passed over would count as one that is not there.
class TreeWalk {
 public:
  /// The directory itself, opened. Any worker.
  using OnDirectory = std::function<catalog::Status(const Fd& dir, DirNode& node)>;
  /// A name that is no directory. Any worker.
  using OnName = std::function<catalog::Status(const Fd& dir, DirNode& node, const Dirent& entry)>;

  /// @p context is borrowed. Either visitor may be empty.
  TreeWalk(const RunContext& context, OnDirectory on_directory, OnName on_name);
  /// Ends early, without an error, when the run is asked to stop.
  [[nodiscard]] catalog::Status run(std::shared_ptr<DirNode> top);

 private:
  void visit(const std::shared_ptr<DirNode>& node);
  [[nodiscard]] catalog::Result<bool> is_directory(const Fd& dir, const DirNode& node,
                                                   const Dirent& entry) const;

  const RunContext* context_;
  OnDirectory on_directory_;
  OnName on_name_;
  Pool pool_;
  FirstError errors_;
};

}  // namespace holdfast::core
