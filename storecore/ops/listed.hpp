#pragma once

#include <functional>
#include <string>

#include "catalog/error.hpp"
#include "catalog/reader.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// What ls and find show of one catalogued entry.
[[nodiscard]] catalog::Result<ListedEntry> listed_entry(const catalog::Reader& reader,
                                                        const std::string& root,
                                                        const std::string& path,
                                                        const catalog::Entry& entry);

/// Opens one volume's store and catalog and hands a reader to @p body.
///
/// Sealed catalogs are checked once a boot; of an unsealed one it sees whatever was committed last,
/// without checksum. The store's shared lock keeps writers away. kNoStore when no capture came so
/// far as to make a catalog.
[[nodiscard]] VolumeReport with_catalog(
    Session& session, const StorePlace& place,
    const std::function<catalog::Status(const Store&, const catalog::Reader&)>& body);

/// The context of a run that takes one volume after the other in the calling thread: there,
/// visitors are promised to run.
[[nodiscard]] RunContext in_calling_thread(const RunContext& context);

}  // namespace holdfast::core
