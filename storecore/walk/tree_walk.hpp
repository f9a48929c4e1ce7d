#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "catalog/error.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// Visits every directory and every name of a tree of the store, in parallel, each directory before
/// what is in it. Unless it is told otherwise, whatever cannot be looked at ends the walk with an
/// error, because a name that was passed over would count as one that is not there.
class TreeWalk {
 public:
  /// The directory itself, opened. Any worker.
  using OnDirectory = std::function<catalog::Status(const Fd& dir, DirNode& node)>;
  /// A name that is no directory. Any worker.
  using OnName = std::function<catalog::Status(const Fd& dir, DirNode& node, const Dirent& entry)>;

  /// What cannot be looked at: an error, as in the mirror, where nobody else is at work; or
  /// nothing, as in aside/, where processes from before the wipe still may be, and where counting
  /// is all.
  enum class Unseen : std::uint8_t { kError, kNothing };

  /// @p context is borrowed. Either visitor may be empty.
  TreeWalk(const RunContext& context, OnDirectory on_directory, OnName on_name,
           Unseen unseen = Unseen::kError);
  /// Ends early, as a failure, when the run is asked to stop.
  [[nodiscard]] catalog::Status run(std::shared_ptr<DirNode> top);
  /// What could not be looked at, with Unseen::kNothing. After run().
  [[nodiscard]] std::uint64_t unseen() const noexcept { return unseen_count_.load(); }

 private:
  void visit(const std::shared_ptr<DirNode>& node);
  void cannot(std::string_view operation, const std::string& path, std::error_code cause);
  [[nodiscard]] catalog::SysResult<bool> is_directory(const Fd& dir, const Dirent& entry) const;

  const RunContext* context_;
  OnDirectory on_directory_;
  OnName on_name_;
  const Unseen unseen_;
  std::atomic<std::uint64_t> unseen_count_{0};
  Pool pool_;
  FirstError errors_;
};

}  // namespace holdfast::core
