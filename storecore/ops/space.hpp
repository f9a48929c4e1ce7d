#pragma once

#include <cstdint>

#include "catalog/error.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/survey.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/select/selection.hpp"

/// What a new store will take of its volume, known before it is begun.
///
/// A link costs no data and no inode, but its name, its catalog rows and its lines in two manifests
/// do. Free space is compared with the worst case first, which needs no look at the tree: every
/// inode in use a directory of its own. Only when that does not fit is the tree surveyed, so a
/// volume with room to spare pays nothing for the question.
namespace holdfast::core {

struct SpaceNeed {
  std::uint64_t bytes = 0;
  std::uint64_t inodes = 0;
};

/// For a capture of what @p seen counted, with the capture's own overhead. An upper estimate: by
/// the sizes in docs/format.md, pages half full.
[[nodiscard]] SpaceNeed space_for_store(const SurveyResult& seen,
                                        std::uint64_t block_bytes) noexcept;

/// True when even the worst case fits on the volume. Filesystems that do not count inodes (btrfs)
/// are judged by the bytes in use.
[[nodiscard]] bool has_room_at_worst(const Space& space) noexcept;

/// kNoSpace, with both numbers, when a new store for @p selection does not fit below @p root; the
/// need goes into the report. Changes nothing.
[[nodiscard]] catalog::Status check_room_for_store(Session& session, const std::string& root,
                                                   const Selection& selection);

/// The same for a survey that has been made.
[[nodiscard]] catalog::Status check_room_for_store(Session& session, const std::string& root,
                                                   const Space& space, const SurveyResult& seen);

}  // namespace holdfast::core
