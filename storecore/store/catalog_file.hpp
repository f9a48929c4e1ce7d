#pragma once

#include <cstdint>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

struct CatalogSum {
  std::uint64_t bytes = 0;
  std::uint64_t xxh3 = 0;
};
/// Reads data.mdb through. Errors: kFailed, kCatalogBad (missing).
[[nodiscard]] catalog::Result<CatalogSum> sum_catalog(const Store& store);

enum class CatalogCheck : std::uint8_t {
  kAlways,       ///< before anything that changes ROOT, and in verify
  kOncePerBoot,  ///< ls and find: skipped when the stamp of the last check fits inode, size, ctime
                 ///< and boot
};
/// Opens a sealed catalog for reading, its checksum compared first. kRefused "not-sealed" while it
/// has none. kCatalogBad when the checksum differs.
[[nodiscard]] catalog::Result<catalog::Env> open_sealed_catalog(const Store& store,
                                                                CatalogCheck check);
/// For capture and seal.
[[nodiscard]] catalog::Result<catalog::Env> open_catalog_for_write(const Store& store);
/// As the last step of a seal: checksums the file, notes it in the record (not saved yet).
[[nodiscard]] catalog::Status note_catalog_sum(Store& store);

}  // namespace holdfast::core
