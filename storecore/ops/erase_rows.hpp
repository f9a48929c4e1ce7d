#pragma once

#include "catalog/batch.hpp"
#include "catalog/reader.hpp"
#include "storecore/run/first_error.hpp"

namespace holdfast::core {

/// Adds to @p batch the erasure of @p entry in @p parent, and of all below it when it is a
/// directory. Rows of link groups stay until seal, which counts their names.
void erase_entry(const catalog::Reader& reader, catalog::DirId parent, const catalog::Entry& entry,
                 catalog::Batch& batch, FirstError& errors);

}  // namespace holdfast::core
