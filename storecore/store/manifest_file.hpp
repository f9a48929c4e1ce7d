#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

/// Writes both manifests beside the catalog: under staging names, renamed when finished. One
/// thread.
class ManifestFiles {
 public:
  /// @p store is borrowed.
  [[nodiscard]] static catalog::Result<ManifestFiles> begin(DirFd store,
                                                            std::string_view capture_id);
  [[nodiscard]] catalog::Status add(std::string_view path, const catalog::InodeRecord& record,
                                    bool grouped);
  [[nodiscard]] catalog::Status add(std::string_view path, const catalog::DirectoryRecord& record);
  /// Trailer, fsync of both, rename. The names are durable with the store's next barrier.
  [[nodiscard]] catalog::Status finish();

 private:
  struct File {
    Fd fd;
    std::string name;
    std::string pending;
    catalog::Hasher hasher;
    std::uint64_t lines = 0;
  };
  ManifestFiles() = default;
  [[nodiscard]] static catalog::Status open(DirFd store, File& file, const char* name);
  [[nodiscard]] static catalog::Status added(File& file);
  [[nodiscard]] static catalog::Status flush(File& file);
  [[nodiscard]] catalog::Status publish(File& file) const;
  DirFd store_;
  File entries_;
  File hashes_;
};

}  // namespace holdfast::core
