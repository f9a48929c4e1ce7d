#pragma once

#include <cstdint>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "catalog/writer.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// Content that is known already: the entry was captured before under another name (a renamed
/// tree), and nobody has touched the inode since.
struct KnownContent {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  catalog::Timestamp mtime;
  catalog::Timestamp ctime;
  catalog::Digest hash;
};

struct HashPassResult {
  std::uint64_t hashed_files = 0;  ///< inodes that were read
  std::uint64_t hashed_bytes = 0;
  std::uint64_t unstable = 0;
  std::uint64_t unreadable = 0;  ///< held, but the disk does not give the content: a gap
};

/// Settles every row that is pending: hashes files, looks at everything else, fills the rows in.
///
/// Runs in windows (see WindowReader): readers hash one while this thread writes the last one's
/// results and reads the next. Rows that have their hash are not touched, so an interrupted pass
/// goes on where it was. The caller made a barrier before: a write through a mapping shows in the
/// times only then. Not committed at the end.
/// @param known sorted by inode
/// Errors: kDamage when the mirror lacks a name or has another inode under it; kFailed; the
/// writer's.
[[nodiscard]] catalog::Result<HashPassResult> hash_pending(const Store& store,
                                                           catalog::Writer& writer,
                                                           const std::vector<KnownContent>& known,
                                                           Progress& progress,
                                                           const RunContext& context);

/// How many files are read at once: the context's io_depth, else what suits small cold files on
/// flash.
[[nodiscard]] unsigned reader_threads(const RunContext& context) noexcept;

}  // namespace holdfast::core
