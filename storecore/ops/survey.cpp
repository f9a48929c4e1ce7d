#include "storecore/ops/survey.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

namespace {

constexpr std::size_t kLargest = 10;
/// Single files that are not selected are cut back to the largest few at this number.
constexpr std::size_t kLooseFiles = 4096;
constexpr std::uint64_t kBlock = 512;

/// An unselected tree while its size adds up.
struct Tree {
  std::string path;
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<bool> is_store{false};
};

struct Level {
  std::shared_ptr<DirNode> node;
  Selection::State selection;
  std::shared_ptr<Tree> tree;  ///< set inside unselected trees
  std::size_t path_bytes = 0;  ///< of this directory's path below ROOT
};

class SurveyWalk {
 public:
  SurveyWalk(Stat root, std::optional<Stat> store, const Selection& selection, SurveyScope scope,
             Progress& progress, const RunContext& context, std::string root_name)
      : root_(root),
        store_(store),
        selection_(&selection),
        scope_(scope),
        progress_(&progress),
        context_(&context),
        root_name_(std::move(root_name)),
        pool_(context.jobs) {}
  [[nodiscard]] catalog::Result<SurveyResult> run(Fd root);

 private:
  void visit(const Level& level);
  void unseen(std::string path, std::string_view operation, std::error_code cause);
  void entry(const Level& level, const Fd& dir, const Dirent& dirent);
  void directory(const Level& level, std::string name);
  void file(const Level& level, const Stat& stat, const std::string& name);
  void count_name(const Level& level, const std::string& name);
  void keep_largest();

  Stat root_;
  std::optional<Stat> store_;
  const Selection* selection_;
  SurveyScope scope_;
  Progress* progress_;
  const RunContext* context_;
  std::string root_name_;
  Pool pool_;
  std::mutex mutex_;
  SurveyResult result_;
  std::vector<std::shared_ptr<Tree>> trees_;
};

void SurveyWalk::keep_largest() {
  std::ranges::sort(result_.largest_unselected, [](const SizedPath& a, const SizedPath& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.path < b.path;
  });
  if (result_.largest_unselected.size() > kLargest) result_.largest_unselected.resize(kLargest);
}

void SurveyWalk::file(const Level& level, const Stat& stat, const std::string& name) {
  progress_->files.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t allocated = stat.blocks * kBlock;
  if (level.tree) {
    level.tree->bytes.fetch_add(allocated, std::memory_order_relaxed);
    return;
  }
  const bool wanted =
      level.selection.takes_all() ||
      selection_->judge(level.selection, name, false) == Selection::Verdict::kSelected;
  const std::lock_guard lock(mutex_);
  if (!wanted) {
    result_.unselected_blocks += allocated;
    result_.largest_unselected.push_back({.path = level.node->path_of(name), .bytes = allocated});
    if (result_.largest_unselected.size() >= kLooseFiles) keep_largest();
    return;
  }
  if (stat.is_regular()) {
    ++result_.files;
    result_.bytes += stat.size;
    result_.selected_blocks += allocated;
  } else if (stat.is_symlink()) {
    ++result_.symlinks;
  } else if (!stat.is_socket()) {
    ++result_.specials;
  }
  count_name(level, name);
}

void SurveyWalk::count_name(const Level& level, const std::string& name) {
  result_.name_bytes += name.size();
  result_.path_bytes += level.path_bytes + 1 + name.size();
}

void SurveyWalk::directory(const Level& level, std::string name) {
  Level below{.node = nullptr,
              .selection = level.selection,
              .tree = level.tree,
              .path_bytes = level.path_bytes + 1 + name.size()};
  if (!level.tree && !level.selection.takes_all()) {
    const auto verdict = selection_->judge(level.selection, name, true);
    if (verdict == Selection::Verdict::kUnselected) {
      below.tree = std::make_shared<Tree>();
      below.tree->path = level.node->path_of(name);
      const std::lock_guard lock(mutex_);
      trees_.push_back(below.tree);
    } else {
      below.selection = selection_->enter(level.selection, name);
    }
  }
  if (!below.tree) {
    if (scope_ == SurveyScope::kUnselected && below.selection.takes_all()) return;
    const std::lock_guard lock(mutex_);
    ++result_.directories;
    count_name(level, name);
  }
  below.node = DirNode::child(level.node, std::move(name));
  pool_.push([this, below = std::move(below)] { visit(below); });
}

void SurveyWalk::entry(const Level& level, const Fd& dir, const Dirent& dirent) {
  std::string name(dirent.view());
  if (dirent.type == DT_DIR) return directory(level, std::move(name));
  if (scope_ != SurveyScope::kAll && dirent.type != DT_UNKNOWN && !level.tree &&
      level.selection.takes_all())
    return;
  const auto stat = stat_at(dir, name);
  if (!stat) {
    if (stat.error().value() != ENOENT) unseen(level.node->path_of(name), "statx", stat.error());
    return;
  }
  if (stat->is_directory()) return directory(level, std::move(name));
  file(level, *stat, name);
}

void SurveyWalk::unseen(std::string path, std::string_view operation, std::error_code cause) {
  const std::lock_guard lock(mutex_);
  result_.unseen.push_back({.kind = catalog::ProblemKind::kMissed,
                            .path = std::move(path),
                            .operation = std::string(operation),
                            .error_number = cause.value(),
                            .reason = {}});
}

void SurveyWalk::visit(const Level& level) {
  if (context_->stopped()) return;
  const auto dir = level.node->open();
  const auto stat =
      dir ? stat_fd((*dir)->get()) : catalog::SysResult<Stat>(std::unexpected(dir.error()));
  if (!stat) {
    if (stat.error().value() != ENOENT) unseen(level.node->path(), "openat", stat.error());
    return;
  }
  if (store_ && stat->same_inode(*store_)) {
    if (level.tree) level.tree->is_store = true;
    return;
  }
  if (level.node->parent() && (!stat->same_volume(root_) || stat->is_mount_root())) {
    const std::lock_guard lock(mutex_);
    result_.borders.push_back(level.node->path());
    return;
  }
  thread_local DirReader listing;
  while (true) {
    const auto more = listing.fill((*dir)->get());
    if (!more) {
      unseen(level.node->path(), "getdents64", more.error());
      break;
    }
    if (!*more) break;
    Dirent dirent;
    while (listing.next(dirent)) entry(level, **dir, dirent);
  }
}

catalog::Result<SurveyResult> SurveyWalk::run(Fd root) {
  auto budget = std::make_shared<FdBudget>(FdBudget::default_size());
  Level top{.node = DirNode::root(std::move(root), budget),
            .selection = selection_->root(),
            .tree = nullptr};
  pool_.push([this, top] { visit(top); });
  pool_.run();
  if (context_->stopped())
    return catalog::fail(catalog::Fault::kFailed, root_name_, "interrupted",
                         "run the command again");
  for (const auto& tree : trees_) {
    if (tree->is_store) continue;
    result_.unselected_blocks += tree->bytes;
    result_.largest_unselected.push_back({.path = tree->path, .bytes = tree->bytes});
  }
  keep_largest();
  return std::move(result_);
}

}  // namespace

catalog::Result<SurveyResult> survey(DirFd root, DirFd store_dir, const Selection& selection,
                                     SurveyScope scope, Progress& progress,
                                     const RunContext& context, const std::string& root_name) {
  auto fd = open_at(root, ".", O_RDONLY | O_DIRECTORY);
  if (!fd) return catalog::failed("openat", root_name, fd.error());
  const auto stat = stat_fd(fd->get());
  if (!stat) return catalog::failed("statx", root_name, stat.error());
  std::optional<Stat> store;
  if (store_dir.fd >= 0) {
    if (const auto known = stat_fd(store_dir.fd)) store = *known;
  }
  return SurveyWalk(*stat, store, selection, scope, progress, context, root_name)
      .run(std::move(*fd));
}

}  // namespace holdfast::core
