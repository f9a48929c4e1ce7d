#include "storecore/walk/dir_node.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

using catalog::SysResult;

namespace {
constexpr int kEvictedAtOnce = 4;
}  // namespace

std::size_t FdBudget::default_size() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 512;
  return std::clamp<std::size_t>(limit.rlim_cur / 2, 32, 8192);
}

void FdBudget::note(const std::shared_ptr<DirNode>& node) {
  {
    const std::lock_guard lock(mutex_);
    node->turn_.store(++turn_, std::memory_order_relaxed);
    oldest_first_.push_back({.node = node, .turn = turn_});
    // Nodes that are gone, or were closed or opened again since, leave their entries behind.
    if (oldest_first_.size() > tidy_above_) {
      std::erase_if(oldest_first_, [](const Opened& opened) { return !opened.current(); });
      tidy_above_ = 2 * oldest_first_.size() + kTidyAbove;
    }
  }
  // A few at a time: descriptors in use stay open however many nodes forget them.
  for (int i = 0; i < kEvictedAtOnce && is_exceeded(); ++i) {
    const std::shared_ptr<DirNode> oldest = take_oldest();
    if (!oldest) return;
    oldest->close();
  }
}

/// Not the last one: it was opened just now.
std::shared_ptr<DirNode> FdBudget::take_oldest() {
  const std::lock_guard lock(mutex_);
  while (oldest_first_.size() > 1) {
    std::shared_ptr<DirNode> node = oldest_first_.front().current();
    oldest_first_.pop_front();
    if (node) return node;
  }
  return nullptr;
}

std::shared_ptr<DirNode> FdBudget::Opened::current() const {
  auto held = node.lock();
  return held && held->turn_.load(std::memory_order_relaxed) == turn ? held : nullptr;
}

DirNode::DirNode(std::shared_ptr<DirNode> parent, std::string name,
                 std::shared_ptr<FdBudget> budget)
    : parent_(std::move(parent)),
      name_(std::move(name)),
      budget_(std::move(budget)),
      depth_(parent_ ? parent_->depth_ + 1 : 0) {}

std::shared_ptr<DirNode> DirNode::root(Fd fd, std::shared_ptr<FdBudget> budget) {
  std::shared_ptr<DirNode> node(new DirNode(nullptr, {}, std::move(budget)));
  node->fd_ = node->share(std::move(fd));
  return node;
}

std::shared_ptr<DirNode> DirNode::child(std::shared_ptr<DirNode> parent, std::string name) {
  std::shared_ptr<FdBudget> budget = parent->budget_;
  return std::shared_ptr<DirNode>(
      new DirNode(std::move(parent), std::move(name), std::move(budget)));
}

std::shared_ptr<DirNode> DirNode::child(std::shared_ptr<DirNode> parent, std::string name, Fd fd) {
  auto node = child(std::move(parent), std::move(name));
  if (const auto stat = stat_fd(fd.get())) {
    node->known_ = true;
    node->device_ = stat->device;
    node->inode_ = stat->inode;
  }
  node->fd_ = node->share(std::move(fd));
  node->budget_->note(node);
  return node;
}

SharedFd DirNode::share(Fd fd) {
  budget_->opened();
  return {new Fd(std::move(fd)), [budget = budget_](const Fd* owned) {
            delete owned;
            budget->closed();
          }};
}

SharedFd DirNode::current() {
  const std::lock_guard lock(mutex_);
  return fd_;
}

SysResult<SharedFd> DirNode::open() {
  if (SharedFd fd = current()) return fd;
  // Climb to the nearest ancestor that is open, then come down one component at a time: no
  // recursion, since trees may be deeper than any stack.
  std::vector<std::shared_ptr<DirNode>> closed{shared_from_this()};
  SharedFd at;
  for (std::shared_ptr<DirNode> node = parent_; node; node = node->parent_) {
    at = node->current();
    if (at) break;
    closed.push_back(node);
  }
  if (!at) return catalog::sys_error(EBADF);
  for (auto node = closed.rbegin(); node != closed.rend(); ++node) {
    auto below = (*node)->open_below(*at);
    if (!below) return below;
    at = std::move(*below);
    budget_->note(*node);
  }
  return at;
}

SysResult<SharedFd> DirNode::open_below(const Fd& parent) {
  const std::lock_guard lock(mutex_);
  if (fd_) return fd_;
  auto fd = open_dir_at(parent, name_.c_str());
  if (!fd) return std::unexpected(fd.error());
  const auto stat = stat_fd(fd->get());
  if (!stat) return std::unexpected(stat.error());
  if (known_ && (stat->device != device_ || stat->inode != inode_))
    return catalog::sys_error(ESTALE);
  known_ = true;
  device_ = stat->device;
  inode_ = stat->inode;
  fd_ = share(std::move(*fd));
  return fd_;
}

void DirNode::close() noexcept {
  if (!parent_) return;  // nothing leads back to it
  SharedFd gone;         // closed outside the lock
  turn_.store(0, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  gone.swap(fd_);
}

std::string DirNode::path() const {
  std::vector<const DirNode*> chain;
  std::size_t bytes = 0;
  for (const DirNode* node = this; node->parent_; node = node->parent_.get()) {
    chain.push_back(node);
    bytes += node->name_.size() + 1;
  }
  std::string path;
  path.reserve(bytes);
  for (auto node = chain.rbegin(); node != chain.rend(); ++node) {
    if (!path.empty()) path += '/';
    path += (*node)->name_;
  }
  return path;
}

std::string DirNode::path_of(std::string_view name) const {
  std::string path = this->path();
  if (!path.empty()) path += '/';
  path += name;
  return path;
}

}  // namespace holdfast::core
