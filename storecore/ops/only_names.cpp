#include "storecore/ops/only_names.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/link/copy_file.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"
#include "storecore/walk/tree_walk.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Status;

namespace {

/// More inodes in doubt than this are not looked at one by one: the answer is no already.
constexpr std::size_t kMaxDoubts = 200'000;
constexpr std::size_t kExamples = 5;

struct Doubt {
  std::uint32_t links = 0;
  std::uint32_t inside = 0;
  std::uint64_t names = 0;  ///< in the mirror
  std::string path;
};

class Search {
 public:
  Search(Session& session, const Store& store, Progress& progress)
      : session_(&session), store_(&store), progress_(&progress) {}
  [[nodiscard]] catalog::Result<OnlyNames> run();

 private:
  using Visit =
      std::function<void(const Fd& dir, DirNode& node, const std::string& name, const Stat& stat)>;
  /// Every name below @p top that is no directory; a name that cannot be looked at ends it, since
  /// it would count as one outside of the store.
  [[nodiscard]] Status each_file(Fd top, const Visit& visit) const;
  void look(const Fd& dir, DirNode& node, const std::string& name, const Stat& held);
  [[nodiscard]] bool is_in_root(const Fd& mirror, DirNode& node, const std::string& name,
                                const Stat& held);
  [[nodiscard]] bool is_copy(const Fd& mirror, const Fd& root, const std::string& name) const;
  [[nodiscard]] Status count_inside();

  Session* session_;
  const Store* store_;
  Progress* progress_;
  std::mutex mutex_;
  OnlyNames result_;
  std::map<std::uint64_t, Doubt> doubts_;
};

/// Type, size and mtime agree. That is proof enough after a complete restore, which made the copy;
/// before, it may be somebody else's file.
bool Search::is_copy(const Fd& mirror, const Fd& root, const std::string& name) const {
  if (store_->record().restored_all) return true;
  constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  const auto here = open_at(mirror, name.c_str(), flags);
  const auto there = open_at(root, name.c_str(), flags);
  if (!here || !there) return false;
  const auto same = same_content(here->get(), there->get());
  return same && *same;
}

bool Search::is_in_root(const Fd& mirror, DirNode& node, const std::string& name,
                        const Stat& held) {
  thread_local std::string last_path;
  thread_local std::optional<Fd> last;
  thread_local std::uint64_t last_root = 0;
  const std::string path = node.path();
  if (last_path != path || last_root != store_->store_stat().inode || !last) {
    last.reset();
    std::vector<std::string> components;
    for (const DirNode* at = &node; at->parent(); at = at->parent().get())
      components.push_back(at->name());
    std::ranges::reverse(components);
    auto dir = open_dir_below(store_->root(), components);
    if (!dir) return false;
    last = std::move(*dir);
    last_path = path;
    last_root = store_->store_stat().inode;
  }
  const auto there = stat_at(*last, name);
  if (!there) return false;
  if (there->same_inode(held)) return true;
  const bool alike =
      there->type_bits == held.type_bits && there->size == held.size && there->mtime == held.mtime;
  return alike && (!held.is_regular() || is_copy(mirror, *last, name));
}

Status Search::each_file(Fd top, const Visit& visit) const {
  const auto with_stat = [&visit](const Fd& dir, DirNode& node, const Dirent& entry) -> Status {
    const std::string name(entry.view());
    const auto stat = stat_at(dir, name);
    if (!stat) return failed("statx", node.path_of(name), stat.error());
    visit(dir, node, name, *stat);
    return {};
  };
  auto budget = std::make_shared<FdBudget>(FdBudget::default_size());
  return TreeWalk(session_->context(), {}, with_stat)
      .run(DirNode::root(std::move(top), std::move(budget)));
}

void Search::look(const Fd& dir, DirNode& node, const std::string& name, const Stat& held) {
  progress_->files.fetch_add(1, std::memory_order_relaxed);
  const bool safe = is_in_root(dir, node, name, held);
  const std::lock_guard lock(mutex_);
  ++result_.files;
  if (safe) return;
  if (doubts_.size() >= kMaxDoubts && !doubts_.contains(held.inode)) {
    ++result_.only_here;
    result_.at_least = true;
    return;
  }
  Doubt& doubt = doubts_[held.inode];
  doubt.links = held.links;
  ++doubt.names;
  if (doubt.path.empty()) doubt.path = node.path_of(name);
}

Status Search::count_inside() {
  for (const char* area :
       {layout::kTree, layout::kAside, layout::kDropped, layout::kDisplaced, layout::kFailed}) {
    auto top = store_->subdir(area);
    if (!top && top.error().cause.value() == ENOENT) continue;
    if (!top) return std::unexpected(top.error());
    if (auto status = each_file(std::move(*top),
                                [this](const Fd&, DirNode&, const std::string&, const Stat& stat) {
                                  const std::lock_guard lock(mutex_);
                                  if (const auto doubt = doubts_.find(stat.inode);
                                      doubt != doubts_.end())
                                    ++doubt->second.inside;
                                });
        !status)
      return status;
  }
  return {};
}

catalog::Result<OnlyNames> Search::run() {
  auto tree = store_->subdir(layout::kTree);
  if (!tree) return std::unexpected(tree.error());
  if (auto status =
          each_file(std::move(*tree), [this](const Fd& dir, DirNode& node, const std::string& name,
                                             const Stat& held) { look(dir, node, name, held); });
      !status)
    return std::unexpected(status.error());
  if (!doubts_.empty() && !result_.at_least) {
    if (auto status = count_inside(); !status) return std::unexpected(status.error());
  }
  for (const auto& [inode, doubt] : doubts_) {
    if (!result_.at_least && doubt.links > doubt.inside) continue;  // a name outside the store
    result_.only_here += doubt.names;
    if (result_.examples.size() < kExamples) result_.examples.push_back(doubt.path);
  }
  if (session_->context().stopped())
    return catalog::fail(catalog::Fault::kFailed, store_->place().root, "interrupted",
                         "run the command again");
  return std::move(result_);
}

}  // namespace

catalog::Result<OnlyNames> find_only_names(Session& session, const Store& store,
                                           Progress& progress) {
  return Search(session, store, progress).run();
}

}  // namespace holdfast::core
