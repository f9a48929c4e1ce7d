#include "storecore/ops/moved_places.hpp"

#include <fcntl.h>

#include <cstddef>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::InodeRecord;
using catalog::Result;

namespace {
constexpr std::size_t kKeptOpen = 256;
}

Result<std::unique_ptr<MovedPlaces>> MovedPlaces::load(const Store& store) {
  if (!store.record().moved_out) return std::unique_ptr<MovedPlaces>();
  const auto notes = read_restore_notes(store);
  if (!notes) return std::unexpected(notes.error());
  std::unique_ptr<MovedPlaces> places(new MovedPlaces());
  places->device_ = store.store_stat().device;
  auto root = open_at(store.root(), ".", O_RDONLY | O_DIRECTORY);
  if (!root) return catalog::failed("openat", store.place().root, root.error());
  places->bases_.push_back(std::make_shared<const Fd>(std::move(*root)));
  std::map<std::string, std::size_t> bases{{"", 0}};
  for (const MovedOut& moved : notes->moved) {
    if (!bases.contains(moved.to)) {
      auto base = open_dir_path(moved.to);
      if (!base) continue;
      bases.emplace(moved.to, places->bases_.size());
      places->bases_.push_back(std::make_shared<const Fd>(std::move(*base)));
    }
    places->add(bases.at(moved.to), moved.from, moved.into);
  }
  if (notes->moved.empty()) places->add(0, {}, {});
  return places;
}

void MovedPlaces::add(std::size_t base, const std::string& from, const std::string& into) {
  targets_[from].push_back({.base = base, .into = into});
}

bool MovedPlaces::each_place(
    std::string_view path,
    const std::function<bool(std::size_t base, const std::string& there)>& try_one) {
  std::string_view front = path;
  while (true) {
    if (const auto targets = targets_.find(front); targets != targets_.end()) {
      std::string_view rest = path.substr(front.size());
      if (rest.starts_with('/')) rest.remove_prefix(1);
      for (const Target& target : targets->second) {
        const bool whole = rest.empty() || target.into.empty();
        const std::string there =
            whole ? target.into + std::string(rest) : catalog::join_path(target.into, rest);
        if (try_one(target.base, there)) return true;
      }
    }
    if (front.empty()) return false;
    const std::size_t slash = front.rfind('/');
    front = front.substr(0, slash == std::string_view::npos ? 0 : slash);
  }
}

SharedFd MovedPlaces::open(std::size_t base, const std::string& directory) {
  if (directory.empty()) return bases_[base];
  const std::string key = std::to_string(base) + "/" + directory;
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = open_.find(key); known != open_.end()) return known->second;
  }
  const auto components = catalog::split_path(directory);
  if (!components) return {};
  auto opened = open_dir_below(*bases_[base], *components);
  const SharedFd fd = opened ? std::make_shared<const Fd>(std::move(*opened)) : SharedFd();
  const std::lock_guard lock(mutex_);
  if (open_.size() >= kKeptOpen) open_.clear();
  open_.emplace(key, fd);
  return fd;
}

std::optional<MovedPlaces::Found> MovedPlaces::find(const std::string& path,
                                                    const InodeRecord& record) {
  std::optional<Found> found;
  each_place(path, [&](std::size_t base, const std::string& there) {
    const std::size_t slash = there.rfind('/');
    const bool top = slash == std::string::npos;
    std::string name = there.substr(top ? 0 : slash + 1);
    const SharedFd dir = open(base, top ? std::string() : there.substr(0, slash));
    if (!dir || !catalog::is_component(name)) return false;
    const auto stat = stat_at(*dir, name);
    if (!stat || file_type(*stat) != record.type || stat->device != device_ ||
        stat->inode != catalog::raw(record.held_inode))
      return false;
    found = Found{.dir = dir, .name = std::move(name), .stat = *stat};
    return true;
  });
  return found;
}

bool MovedPlaces::has_directory(const std::string& path) {
  return each_place(path, [&](std::size_t base, const std::string& there) {
    return open(base, there) != nullptr;
  });
}

}  // namespace holdfast::core
