#pragma once

#include <sys/types.h>

#include <expected>
#include <system_error>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

/// Opens a file of the store's own: state, lock, journals, catalog, selection.
///
/// kCatalogBad when something else has its name: a symlink, directory, FIFO or device. Nothing of
/// ours puts one there, and open_at() does not wait for the other end of a FIFO. A missing file has
/// ENOENT as its cause.
[[nodiscard]] catalog::Result<Fd> open_store_file(DirFd dir, const char* name, int flags,
                                                  mode_t mode = 0);

/// The error for a file or folder of the store that cannot be opened: kCatalogBad when it is of
/// another type than ours.
[[nodiscard]] std::unexpected<catalog::Error> not_opened(const char* name, std::error_code cause);

}  // namespace holdfast::core
