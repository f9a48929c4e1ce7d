#pragma once

#include <cstdint>

#include "catalog/error.hpp"
#include "catalog/writer.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// Gives a row to every name in the mirror that has none: after a crash, links can be durable where
/// rows are not, and the source may be gone by now, so the mirror's name may be the only one. One
/// thread, after the walk of a resumed run.
/// @param next_dir the next free directory id; moved on
[[nodiscard]] catalog::Status adopt_strays(Session& session, const Store& store,
                                           catalog::Writer& writer, std::uint64_t& next_dir);

}  // namespace holdfast::core
