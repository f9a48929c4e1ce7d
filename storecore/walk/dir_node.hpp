#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

class DirNode;

/// How many directories may be held open at once; shared by all nodes of a run. Any thread.
///
/// A budget, not a limit: a node that needs a descriptor gets one, and the nodes that were opened
/// longest ago let go of theirs; they open again on the way down from an ancestor. The oldest, not
/// the one just used: below a chain of N directories, each would otherwise be reached from the top
/// again, N * N / 2 calls; this way it is that divided by the budget.
class FdBudget {
 public:
  explicit FdBudget(std::size_t descriptors) noexcept : budget_(descriptors) {}
  /// Half of the process's soft limit, at most 8192.
  [[nodiscard]] static std::size_t default_size() noexcept;
  void opened() noexcept { open_.fetch_add(1, std::memory_order_relaxed); }
  void closed() noexcept { open_.fetch_sub(1, std::memory_order_relaxed); }
  /// @p node has a descriptor now. Others may lose theirs: the caller holds no node's mutex.
  void note(const std::shared_ptr<DirNode>& node);

 private:
  [[nodiscard]] bool is_exceeded() const noexcept {
    return open_.load(std::memory_order_relaxed) > budget_;
  }
  [[nodiscard]] std::shared_ptr<DirNode> take_oldest();

  static constexpr std::size_t kTidyAbove = 1024;
  struct Opened {
    std::weak_ptr<DirNode> node;
    std::uint64_t turn = 0;
    /// The node, if it is as it was opened then.
    [[nodiscard]] std::shared_ptr<DirNode> current() const;
  };

  const std::size_t budget_;
  std::atomic<std::size_t> open_{0};
  std::mutex mutex_;
  std::deque<Opened> oldest_first_;
  std::uint64_t turn_ = 0;
  std::size_t tidy_above_ = kTidyAbove;
};

/// An open directory that several tasks may use at once; closed with its last user.
using SharedFd = std::shared_ptr<const Fd>;

/// One directory of a tree that is being walked, reachable through its parents without path
/// strings.
///
/// Rejected: full paths (re-walked by the kernel at every call, longer than PATH_MAX, and a swapped
/// component leads elsewhere); one descriptor per level for good (a deep tree with side branches
/// runs out of them); going up with ".." (leads elsewhere after a rename). A node opens its
/// directory by one component below its parent, with O_NOFOLLOW, and remembers device and inode;
/// opening again accepts nothing else. Thread-safe.
class DirNode : public std::enable_shared_from_this<DirNode> {
 public:
  /// The top of a walk: @p fd stays open as long as the node.
  [[nodiscard]] static std::shared_ptr<DirNode> root(Fd fd, std::shared_ptr<FdBudget> budget);
  [[nodiscard]] static std::shared_ptr<DirNode> child(std::shared_ptr<DirNode> parent,
                                                      std::string name);
  /// As child(), with a descriptor that was just opened.
  [[nodiscard]] static std::shared_ptr<DirNode> child(std::shared_ptr<DirNode> parent,
                                                      std::string name, Fd fd);
  DirNode(const DirNode&) = delete;
  DirNode& operator=(const DirNode&) = delete;
  ~DirNode() = default;

  /// The directory, opened if it is not. ENOENT, ENOTDIR (or a symlink now), ESTALE (another
  /// directory has the name), EACCES, EMFILE.
  [[nodiscard]] catalog::SysResult<SharedFd> open();
  /// Forgets the descriptor; its present users keep it. For the budget, and before the directory
  /// is removed or renamed. The root keeps its own.
  void close() noexcept;

  [[nodiscard]] const std::shared_ptr<DirNode>& parent() const noexcept { return parent_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
  /// Names from the root down, joined by '/': for messages and records, never for system calls.
  [[nodiscard]] std::string path() const;
  /// path() and one more component.
  [[nodiscard]] std::string path_of(std::string_view name) const;

 private:
  friend class FdBudget;
  DirNode(std::shared_ptr<DirNode> parent, std::string name, std::shared_ptr<FdBudget> budget);
  [[nodiscard]] SharedFd share(Fd fd);
  [[nodiscard]] catalog::SysResult<SharedFd> open_below(const Fd& parent);
  [[nodiscard]] SharedFd current();

  const std::shared_ptr<DirNode> parent_;
  const std::string name_;
  const std::shared_ptr<FdBudget> budget_;
  const std::size_t depth_;
  std::atomic<std::uint64_t> turn_{0};  ///< when the budget saw it opened; 0: closed since
  std::mutex mutex_;
  SharedFd fd_;
  bool known_ = false;  ///< device_ and inode_ are of a directory that was opened before
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

/// Where an entry is, spelled out only when somebody asks: every entry could need it for a message,
/// and nearly none does. Borrows both.
class EntryPath {
 public:
  EntryPath(const DirNode& directory, std::string_view name) noexcept
      : directory_(&directory), name_(name) {}
  /// Relative to the root of the walk.
  [[nodiscard]] std::string text() const { return directory_->path_of(name_); }

 private:
  const DirNode* directory_;
  std::string_view name_;
};

}  // namespace holdfast::core
