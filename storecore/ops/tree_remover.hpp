#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "catalog/error.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// Deletes a tree inside the store in parallel, one task per directory.
///
/// Each directory is taken (owner root, 0700) before it is read: whoever kept a descriptor to it
/// can create nothing in it any more. Borders of mount and st_dev are never crossed. Nothing is
/// chmod'ed or chown'ed but directories, since files share their inodes with what is held; inode
/// flags cleared for deletion are set again on what lives on. What resists stays, is listed as
/// left, and stops nothing. The caller made a barrier before.
class TreeRemover {
 public:
  /// Asked for every name in one directory that is no directory itself; false keeps it (and lists
  /// it as left).
  using MayUnlink = std::move_only_function<bool(const std::string& name, const Stat& stat)>;
  /// Asked once for each directory, in many threads.
  using Guard = std::function<MayUnlink(DirNode& dir)>;

  /// @p store and @p flags are borrowed. @p guard may be empty: everything goes.
  TreeRemover(Session& session, const Store& store, FlagJournal& flags, Guard guard);
  ~TreeRemover();
  TreeRemover(const TreeRemover&) = delete;
  TreeRemover& operator=(const TreeRemover&) = delete;

  /// Empties @p top and leaves it. @p prefix is what paths in messages begin with: empty, or a
  /// directory.
  [[nodiscard]] catalog::Status run(Fd top, Progress& progress, std::string prefix = {});
  [[nodiscard]] std::uint64_t deleted() const noexcept { return deleted_.load(); }
  [[nodiscard]] std::uint64_t left() const noexcept { return left_.load(); }

 private:
  struct Dir;
  void begin(const std::shared_ptr<Dir>& dir);
  void list(const std::shared_ptr<Dir>& dir, const SharedFd& fd);
  void remove(Dir& dir, const Fd& fd, const std::string& name, MayUnlink& may_unlink);
  void end(const std::shared_ptr<Dir>& dir);
  void leave(const std::string& path, std::string_view operation, std::error_code cause,
             std::string_view reason);

  Session* session_;
  const Store* store_;
  FlagJournal* flags_;
  Guard guard_;
  Progress* progress_ = nullptr;
  std::string prefix_;
  Pool pool_;
  std::atomic<std::uint64_t> deleted_{0};
  std::atomic<std::uint64_t> left_{0};
};

}  // namespace holdfast::core
