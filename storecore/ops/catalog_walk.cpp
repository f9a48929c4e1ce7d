#include "storecore/ops/catalog_walk.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::Result;
using catalog::Status;

Status walk_catalog(
    const catalog::Reader& reader, DirId top, std::string_view top_path,
    const std::function<Result<bool>(const std::string& path, const Entry& entry)>& visit) {
  struct Level {
    DirId id{};
    std::size_t path_length = 0;
    std::string
        position;  ///< key of the last entry that was visited; the bare id is below all of them
  };
  std::string path(top_path);
  std::vector<Level> levels{
      {.id = top, .path_length = path.size(), .position = catalog::dir_key(top)}};
  bool go_on = true;
  while (go_on && !levels.empty()) {
    std::optional<DirId> down;
    Level& level = levels.back();
    const auto status = reader.for_each_entry_after(
        level.position, [&](DirId parent, const Entry& entry) -> Result<bool> {
          if (parent != level.id) return false;
          level.position = catalog::entry_key(parent, entry.name);
          path.resize(level.path_length);
          if (!path.empty()) path += '/';
          path += entry.name;
          const auto more = visit(path, entry);
          if (!more) return more;
          go_on = *more;
          if (entry.kind == Entry::Kind::kDirectory) down = entry.directory;
          return go_on && !down;
        });
    if (!status) return status;
    if (down) {
      levels.push_back(
          {.id = *down, .path_length = path.size(), .position = catalog::dir_key(*down)});
    } else {
      levels.pop_back();
    }
  }
  return {};
}

/// A child of the directory before it needs one look-up: in a chain of directories, going up from
/// each would be N * N / 2 of them.
Status DirPaths::go_to(DirId directory) {
  const auto row = reader_->find_directory(directory);
  if (!row) return std::unexpected(row.error());
  const bool below = *row && (*row)->parent == directory_ && directory != catalog::kRootDir;
  if (below) {
    path_.resize(directory_size_);
    path_ += (*row)->name;
  } else {
    auto path = reader_->path_of(directory);
    if (!path) return std::unexpected(path.error());
    path_ = std::move(*path);
  }
  if (!path_.empty()) path_ += '/';
  directory_ = directory;
  directory_size_ = path_.size();
  return {};
}

Result<std::string_view> DirPaths::path_of(DirId parent, std::string_view name) {
  if (parent != directory_) {
    if (auto gone = go_to(parent); !gone) return std::unexpected(gone.error());
  }
  path_.resize(directory_size_);
  path_ += name;
  return path_;
}

}  // namespace holdfast::core
