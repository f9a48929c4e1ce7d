#include "storecore/hash/window.hpp"

#include <algorithm>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "catalog/ids.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::Result;

WindowReader::WindowReader(std::shared_ptr<DirNode> tree, std::function<bool(const Entry&)> want)
    : dirs_(std::move(tree)), want_(std::move(want)) {}

Result<std::vector<WindowItem>> WindowReader::next(const catalog::Reader& reader) {
  std::vector<WindowItem> window;
  if (ended_) return window;
  dirs_.trim(4 * kDirs);
  bool full = false;
  DirId last_parent{};
  std::shared_ptr<DirNode> dir;
  std::size_t dirs = 0;
  const auto status =
      reader.for_each_entry_after(position_, [&](DirId parent, const Entry& entry) -> Result<bool> {
        if (window.size() >= kItems || (dirs >= kDirs && parent != last_parent)) {
          full = true;
          return false;
        }
        position_ = catalog::entry_key(parent, entry.name);
        if (entry.kind == Entry::Kind::kDirectory || !want_(entry)) return true;
        if (!dir || parent != last_parent) {
          auto found = dirs_.find(reader, parent);
          if (!found) return std::unexpected(found.error());
          dir = std::move(*found);
          last_parent = parent;
          ++dirs;
        }
        window.push_back({.key = position_,
                          .name = entry.name,
                          .dir = dir,
                          .grouped = entry.kind == Entry::Kind::kGrouped,
                          .record = entry.inode});
        return true;
      });
  if (!status) return std::unexpected(status.error());
  ended_ = !full;
  std::ranges::sort(window, {}, [](const WindowItem& item) { return item.record.held_inode; });
  return window;
}

}  // namespace holdfast::core
