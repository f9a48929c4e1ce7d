#pragma once

#include "catalog/error.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// Makes the directories of store and mirror immutable, so that an image applied with `rsync
/// --delete`, or a clean-up by hand, cannot remove the last name of a file. From the end of wipe
/// until restore begins. log/, aside/ and what holds no last names stay writable.
///
/// The record says so durably before the first flag is set, and a run that was cut short is undone
/// by unprotect_store(). Where the filesystem or the user cannot do it (tmpfs on old kernels,
/// ntfs-3g, no CAP_LINUX_IMMUTABLE) a warning says so.
[[nodiscard]] catalog::Status protect_store(Session& session, Store& store);
/// Takes the flags off again, and the record says so when that is durable. Nothing to do when it
/// says that none are set.
[[nodiscard]] catalog::Status unprotect_store(Session& session, Store& store);

}  // namespace holdfast::core
