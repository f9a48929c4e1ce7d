#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/restore_build.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_run.hpp"

namespace holdfast::core {

/// Another content than the recorded one: did somebody do it, or the disk?
struct ContentVerdict {
  catalog::ProblemKind kind = catalog::ProblemKind::kCorrupt;
  std::string_view reason;
};
/// @p held is the stat of the held inode. Times that moved say that somebody wrote, but for a ctime
/// that our own linking moved; of held copies only the content's own times count.
[[nodiscard]] ContentVerdict judge_content(const Store& store, const catalog::InodeRecord& record,
                                           const Stat& held);

/// What comes after the entries are in place: are they what they should be, and what is surplus in
/// the mirror?
class RestoreChecker {
 public:
  RestoreChecker(RestoreRun& run, RestoreBuilder& builder) noexcept
      : run_(&run), builder_(&builder) {}

  /// Quick: the entries of subtrees that were renamed as a whole (all others were looked at when
  /// they were placed). Full: also the content of every regular file in its place.
  void check(RestoreDir& dir, const catalog::Entry& entry, std::string name);
  /// Metadata of a directory that was renamed with its parent: the mirror's copy of it may have
  /// lacked some.
  void check_directory(RestoreDir& dir);

  /// Mode move: the mirror's name goes when the same inode is in its place, for good: after the
  /// barrier.
  void clear(RestoreDir& dir, const catalog::Entry& entry, std::string name);
  /// Only empty ones go.
  void clear_directory(RestoreDir& dir);

 private:
  [[nodiscard]] bool is_first_name(const catalog::Entry& entry);
  void check_content(RestoreDir& dir, const catalog::Entry& entry, const Fd& dest,
                     const std::string& name);

  RestoreRun* run_;
  RestoreBuilder* builder_;
  std::mutex mutex_;
  std::unordered_set<std::uint64_t>
      hashed_groups_;  ///< held inodes of groups whose first name was read
};

}  // namespace holdfast::core
