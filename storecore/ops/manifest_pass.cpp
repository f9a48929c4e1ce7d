#include "storecore/ops/manifest_pass.hpp"

#include <atomic>
#include <expected>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/catalog_walk.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/manifest_file.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::Result;
using catalog::Status;

namespace {

Status add_directory(const catalog::Reader& reader, DirId id, std::string_view path,
                     ManifestFiles& manifests) {
  const auto row = reader.find_directory(id);
  if (!row) return std::unexpected(row.error());
  if (*row) return manifests.add(path, (*row)->record);
  if (id == catalog::kRootDir) return {};
  return catalog::fail(catalog::Fault::kCatalogBad, path, "a directory has no record");
}

}  // namespace

Status write_manifest_lines(const catalog::Env& env, ManifestFiles& manifests, Progress& progress) {
  const auto txn = catalog::ReadTxn::begin(env);
  if (!txn) return std::unexpected(txn.error());
  const catalog::Reader reader(*txn);
  if (auto added = add_directory(reader, catalog::kRootDir, {}, manifests); !added) return added;
  DirPaths paths(reader);
  return reader.for_each_entry_after({}, [&](DirId parent, const Entry& entry) -> Result<bool> {
    progress.files.fetch_add(1, std::memory_order_relaxed);
    const auto path = paths.path_of(parent, entry.name);
    if (!path) return std::unexpected(path.error());
    const auto added = entry.kind == Entry::Kind::kDirectory
                           ? add_directory(reader, entry.directory, *path, manifests)
                           : manifests.add(*path, entry.inode, entry.kind == Entry::Kind::kGrouped);
    if (!added) return std::unexpected(added.error());
    return true;
  });
}

}  // namespace holdfast::core
