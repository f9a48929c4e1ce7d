#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"

namespace holdfast::core {

/// Calls @p visit for every entry below directory @p top, parents before children, byte order
/// within a directory, with its path (@p top_path and the names from there on). False from the
/// visitor ends the walk.
///
/// Memory is one key a level: a directory's walk ends where a subdirectory stands and goes on from
/// that key when the subdirectory is done. One seek a directory, and no listing is kept. One
/// thread.
[[nodiscard]] catalog::Status walk_catalog(
    const catalog::Reader& reader, catalog::DirId top, std::string_view top_path,
    const std::function<catalog::Result<bool>(const std::string& path,
                                              const catalog::Entry& entry)>& visit);

/// Paths of entries, asked in runs of one directory. One thread.
class DirPaths {
 public:
  explicit DirPaths(const catalog::Reader& reader) : reader_(&reader) {}
  /// Valid until the next call. kCatalogBad for a directory that is not catalogued.
  [[nodiscard]] catalog::Result<std::string_view> path_of(catalog::DirId parent,
                                                          std::string_view name);

 private:
  [[nodiscard]] catalog::Status go_to(catalog::DirId directory);

  const catalog::Reader* reader_;
  catalog::DirId directory_ = catalog::kNoDir;
  std::size_t directory_size_ = 0;  ///< of what path_ holds of the directory, its '/' included
  std::string path_;
};

}  // namespace holdfast::core
