#include "storecore/ops/space.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/survey.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/run/context.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {

using catalog::Fault;
using catalog::Status;

namespace {

/// Two state slots, ballast, README, an empty catalog, logs and journals.
constexpr std::uint64_t kFixedBytes = std::uint64_t{5} << 20;
/// Directories and files of an empty store.
constexpr std::uint64_t kFixedInodes = 32;
/// Rows of entries, content and the group or directory tables without the name, which is in them
/// twice; measured 199 a file with 18-byte names, pages about 70 % full.
constexpr std::uint64_t kCatalogBytes = 280;
/// A line of manifest.jsonl and one of manifest.xxh128 without the path, which is in both.
constexpr std::uint64_t kManifestBytes = 400;
/// A directory entry without the name: ext4 8, xfs 12, btrfs 2 items of 55; blocks half full.
constexpr std::uint64_t kDirentBytes = 112;
/// LMDB keeps the pages of the last commit while it writes the next.
constexpr std::uint64_t kMostCommitBytes = std::uint64_t{16} << 20;
/// By how much a filesystem's own metadata (inode, tree nodes) grows for a directory.
constexpr std::uint64_t kDirectoryBytes = 1024;
/// What one inode in use can ask for at worst, taken for a directory with a long path of its own.
constexpr std::uint64_t kWorstInodeBytes = 8192;

}  // namespace

SpaceNeed space_for_store(const SurveyResult& seen, std::uint64_t block_bytes) noexcept {
  const std::uint64_t entries = seen.files + seen.symlinks + seen.specials + seen.directories;
  const std::uint64_t catalog = entries * kCatalogBytes + 2 * seen.name_bytes;
  const std::uint64_t manifests = entries * kManifestBytes + 2 * seen.path_bytes;
  const std::uint64_t names = entries * kDirentBytes + 2 * seen.name_bytes;
  const std::uint64_t directories =
      seen.directories * (std::max<std::uint64_t>(block_bytes, 4096) + kDirectoryBytes);
  // The content index is sorted in a file that goes again: hash, parent, name.
  const std::uint64_t spool = seen.files * 32 + seen.name_bytes;
  return {.bytes = kFixedBytes + catalog + std::min(catalog, kMostCommitBytes) + manifests + names +
                   directories + spool,
          .inodes = kFixedInodes + seen.directories};
}

bool has_room_at_worst(const Space& space) noexcept {
  const std::uint64_t used_bytes =
      space.total_bytes - std::min(space.total_bytes, space.free_bytes);
  if (space.total_inodes == 0)  // a file takes at least some 512 bytes of btrfs's metadata
    return space.free_bytes / 4 > used_bytes + kFixedBytes;
  const std::uint64_t used = space.total_inodes - std::min(space.total_inodes, space.free_inodes);
  return space.free_inodes > used + kFixedInodes &&
         space.free_bytes > 2 * kFixedBytes + used * kWorstInodeBytes;
}

Status check_room_for_store(Session& session, const std::string& root, const Space& space,
                            const SurveyResult& seen) {
  const SpaceNeed need = space_for_store(seen, space.block_bytes);
  session.report().needed_bytes = need.bytes;
  session.report().free_bytes = space.free_bytes;
  constexpr std::string_view hint = "make room on this volume, or capture less of it (--exclude)";
  if (need.bytes > space.free_bytes)
    return catalog::fail(
        Fault::kNoSpace, root,
        fmt::format("the store needs up to {} bytes, {} are free", need.bytes, space.free_bytes),
        hint);
  if (need.inodes > space.free_inodes)
    return catalog::fail(
        Fault::kNoSpace, root,
        fmt::format("the store needs up to {} inodes, {} are free", need.inodes, space.free_inodes),
        hint);
  return {};
}

Status check_room_for_store(Session& session, const std::string& root, const Selection& selection) {
  const auto dir = open_dir_path(root);
  if (!dir) return catalog::failed("open", root, dir.error());
  const auto space = space_of(dir->get());
  if (!space) return catalog::failed("statvfs", root, space.error());
  if (has_room_at_worst(*space)) return {};
  return session.phase("survey", [&](Progress& progress) -> Status {
    // What it could not look at is the walk's to report.
    const auto seen =
        survey(*dir, DirFd(), selection, SurveyScope::kAll, progress, session.context(), root);
    if (!seen) return std::unexpected(seen.error());
    return check_room_for_store(session, root, *space, *seen);
  });
}

}  // namespace holdfast::core
