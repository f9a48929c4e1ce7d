#include "storecore/people/inside_root.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <expected>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

// Design
//
// The kernel's own walk, in user space: a stack of directories that are held open, and a stack of
// components that are still to come. A symlink puts its target onto the second; an absolute one
// empties the first. ROOT lies below the first stack and is never taken off it, so that there is no
// sequence of components, and no rename by others, that leads above it. The kernel follows no link
// for us, hence none of its magic ones either: /proc/self/root is the text "/" here, that is, ROOT.
namespace holdfast::core {
namespace {

using catalog::Fault;
using catalog::sys_error;

constexpr unsigned kMaxLinks = 40;         // as the kernel's MAXSYMLINKS
constexpr std::size_t kMaxPath = 4096;     // as PATH_MAX, its NUL included
constexpr std::size_t kMaxHeldDirs = 256;  // descriptors at a time; the soft limit may be 1024

class InsideWalk {
 public:
  explicit InsideWalk(DirFd root) noexcept : root_(root) {}

  [[nodiscard]] SysResult<InsideRoot> follow(std::string_view path) {
    if (path.size() >= kMaxPath) return sys_error(ENAMETOOLONG);
    if (path.find('\0') != std::string_view::npos) return sys_error(EINVAL);
    const auto root_stat = stat_fd(root_.fd);
    if (!root_stat) return std::unexpected(root_stat.error());
    root_stat_ = *root_stat;
    push(path);
    while (!pending_.empty()) {
      const std::string component = std::move(pending_.back());
      pending_.pop_back();
      const SysStatus moved = step(component);
      if (!moved) return std::unexpected(moved.error());
    }
    return result();
  }

 private:
  struct Level {
    Fd fd;
    std::string name;
    Stat stat;
  };

  /// Puts the components of @p path before those that are to come. A slash at the end asks for a
  /// directory, as a dot behind it does.
  void push(std::string_view path) {
    std::vector<std::string> components;
    if (path.ends_with('/')) components.emplace_back(".");
    while (!path.empty()) {
      const std::size_t slash = path.rfind('/');
      const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
      if (begin < path.size()) components.emplace_back(path.substr(begin));
      path = path.substr(0, slash == std::string_view::npos ? 0 : slash);
    }
    std::ranges::move(components, std::back_inserter(pending_));
  }

  [[nodiscard]] DirFd here() const noexcept {
    return levels_.empty() ? root_ : DirFd(levels_.back().fd);
  }
  [[nodiscard]] const Stat& stat_here() const noexcept {
    return levels_.empty() ? root_stat_ : levels_.back().stat;
  }

  [[nodiscard]] SysStatus step(const std::string& component) {
    if (!missing_.empty()) return step_beyond(component);
    if (!stat_here().is_directory()) return sys_error(ENOTDIR);
    if (component == ".") return {};
    if (component == "..") {
      if (!levels_.empty()) levels_.pop_back();
      return {};
    }
    if (!catalog::is_component(component)) return sys_error(ENAMETOOLONG);
    auto fd = open_path_at(here(), component.c_str());
    if (!fd && fd.error().value() == ENOENT) return step_beyond(component);
    if (!fd) return std::unexpected(fd.error());
    const auto stat = stat_fd(fd->get());
    if (!stat) return std::unexpected(stat.error());
    if (stat->is_symlink()) return follow_link(*fd);
    if (levels_.size() == kMaxHeldDirs) return sys_error(ENAMETOOLONG);
    levels_.push_back({.fd = std::move(*fd), .name = component, .stat = *stat});
    return {};
  }

  /// Where nothing is, names are kept as they come. What `..` leads to cannot be known there.
  [[nodiscard]] SysStatus step_beyond(const std::string& component) {
    if (component == ".") return {};
    if (component == "..") return sys_error(ENOENT);
    if (!catalog::is_component(component)) return sys_error(ENAMETOOLONG);
    missing_ = catalog::join_path(missing_, component);
    return {};
  }

  [[nodiscard]] SysStatus follow_link(const Fd& link) {
    followed_ = true;
    if (++links_ > kMaxLinks) return sys_error(ELOOP);
    const auto target = readlink_at(link, "");  // of the very link that was opened
    if (!target) return std::unexpected(target.error());
    if (target->starts_with('/')) levels_.clear();
    push(*target);
    return {};
  }

  [[nodiscard]] InsideRoot result() {
    InsideRoot found;
    for (const Level& level : levels_) found.path = catalog::join_path(found.path, level.name);
    found.exists = missing_.empty();
    found.followed = followed_;
    if (!found.exists) {
      found.path = catalog::join_path(found.path, missing_);
      return found;
    }
    found.stat = stat_here();
    if (levels_.size() > 1) found.parent = std::move(levels_[levels_.size() - 2].fd);
    return found;
  }

  DirFd root_;
  Stat root_stat_;
  std::vector<Level> levels_;         ///< below ROOT, each held open
  std::vector<std::string> pending_;  ///< the next one is the last
  std::string missing_;               ///< what follows levels_ and is not there
  unsigned links_ = 0;
  bool followed_ = false;
};

std::unexpected<catalog::Error> unreadable(std::string_view path, std::string_view reason) {
  return catalog::fail(Fault::kFailed, path, reason);
}

}  // namespace

SysResult<InsideRoot> resolve_inside(DirFd root, std::string_view path) {
  return InsideWalk(root).follow(path);
}

catalog::Result<std::optional<SmallFile>> read_inside(DirFd root, std::string_view path) {
  auto place = resolve_inside(root, path);
  if (!place && place.error().value() == ENOTDIR) return std::nullopt;
  if (!place) return catalog::failed("openat", path, place.error());
  if (!place->exists) {
    if (!place->followed) return std::nullopt;
    return unreadable(path, "is a link to " + catalog::escape_name(place->path) +
                                ", which is not there inside ROOT");
  }
  // The type is looked at before anything is opened: to open a device can do things.
  if (!place->stat.is_regular()) return unreadable(path, "is no regular file");
  if (place->stat.size > kMaxInsideBytes) return unreadable(path, "is larger than 16 MiB");
  const DirFd parent = place->parent ? DirFd(place->parent) : root;
  const std::string name = place->path.substr(place->path.rfind('/') + 1);
  const auto file = open_file_at(parent, name.c_str());
  if (!file) return catalog::failed("openat", path, file.error());
  const auto stat = stat_fd(file->get());
  if (!stat) return catalog::failed("statx", path, stat.error());
  if (!stat->same_inode(place->stat)) return unreadable(path, "was replaced while it was opened");
  auto bytes = read_all(file->get(), kMaxInsideBytes);
  if (!bytes) return catalog::failed("read", path, bytes.error());
  return SmallFile{.bytes = std::move(*bytes), .place = std::move(*place)};
}

}  // namespace holdfast::core
