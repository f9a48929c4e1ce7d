#pragma once

#include <cstdint>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/writer.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// What the catalog holds, counted while it is read through.
struct CatalogTotals {
  std::uint64_t entries = 0;  ///< with directories, without ROOT
  std::uint64_t files = 0;
  std::uint64_t inodes = 0;  ///< of regular files
  std::uint64_t directories = 0;
  std::uint64_t symlinks = 0;
  std::uint64_t specials = 0;
  std::uint64_t setuid = 0;   ///< names of files with setuid or setgid
  std::uint64_t bytes = 0;    ///< apparent, each inode once
  std::uint64_t pending = 0;  ///< names without a settled hash
};

/// Reads the catalog through once and derives from it: both manifests, the content index, every
/// directory's subtree summary, the names of each link group (rows without a name are erased), and
/// the totals. Commits.
///
/// Memory: 40 bytes a directory, 8 bytes a name of a link group, and the index builder's run. Two
/// threads if @p jobs allows: the manifests beside the rest.
[[nodiscard]] catalog::Result<CatalogTotals> derive_from_catalog(const Store& store,
                                                                 catalog::Env& env,
                                                                 catalog::Writer& writer,
                                                                 Progress& progress, unsigned jobs);

/// The whole seal after everything is linked and hashed: derive, barrier, checksum, state `sealed`
/// (or @p as). Durable when it returns. The environment is closed by it: a checksum of an open file
/// could miss a last write.
[[nodiscard]] catalog::Status seal_store(Store& store, catalog::Env env, StoreState as,
                                         const CatalogTotals& totals);

/// Writes the totals into the record as the words of Count.
void note_totals(StoreRecord& record, const CatalogTotals& totals);

}  // namespace holdfast::core
