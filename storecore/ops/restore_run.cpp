#include "storecore/ops/restore_run.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/schema.hpp"
#include "storecore/link/holder.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/restore_plan.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::ProblemKind;
using catalog::Status;

namespace {

constexpr std::size_t kCaptureIdPart = 8;

/// True when @p path is @p top or below it.
bool is_at_or_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) &&
         (path.size() == top.size() || top.empty() || path[top.size()] == '/');
}

/// Answers that say nothing about the entry: the disk is full, or this process is out of something.
/// A sector that cannot be read is about one file, and the others are worth the more.
bool ends_the_run(std::error_code error) noexcept {
  return is_store_error(error) && error.value() != EIO;
}

}  // namespace

std::string staging_name(const Store& store, std::string_view rest) {
  return fmt::format("{}{}-{}", layout::kStagingPrefix,
                     store.record().capture_id.substr(0, kCaptureIdPart), rest);
}

void RestoreRun::start_over() noexcept {
  for (auto* count : {&tally.restored, &tally.changed, &tally.linked, &tally.reflinked,
                      &tally.copied, &tally.conflicts, &tally.undecided, &tally.kept, &tally.left,
                      &tally.missing, &tally.setuid, &tally.capabilities})
    count->store(0, std::memory_order_relaxed);
  looks_ahead = false;
  const std::lock_guard lock(mutex_);
  exceptions_.clear();
}

ConflictPolicy RestoreRun::policy_at(const PlanPosition& at) const noexcept {
  return at.was_finished ? ConflictPolicy::kExisting : options.on_conflict;
}

bool RestoreRun::goes_on() {
  if (context.stopped())
    errors.set(catalog::fail(catalog::Fault::kFailed, store.place().root, "interrupted",
                             "run the command again to go on")
                   .error());
  return !errors.failed();
}

void RestoreRun::problem(ProblemKind kind, std::string path, std::string_view operation,
                         std::error_code cause, std::string_view reason) {
  if (looks_ahead && kind != ProblemKind::kConflict) return;
  context.observer->problem(store.place().root, {.kind = kind,
                                                 .path = std::move(path),
                                                 .operation = std::string(operation),
                                                 .error_number = cause.value(),
                                                 .reason = std::string(reason)});
}

void RestoreRun::leave(std::string path, std::string_view operation, std::error_code cause,
                       std::string_view reason, std::uint64_t entries) {
  if (cause && ends_the_run(cause))
    return errors.set(catalog::failed(operation, path, cause).error());
  tally.left.fetch_add(entries, std::memory_order_relaxed);
  step(entries);
  problem(ProblemKind::kLeft, std::move(path), operation, cause, reason);
}

void RestoreRun::undecided(std::string path, std::string_view reason, std::uint64_t entries) {
  tally.undecided.fetch_add(1, std::memory_order_relaxed);
  tally.left.fetch_add(entries, std::memory_order_relaxed);
  step(entries);
  problem(ProblemKind::kConflict, std::move(path), {}, {}, reason);
}

void RestoreRun::decided(std::string path, std::string_view reason) {
  tally.conflicts.fetch_add(1, std::memory_order_relaxed);
  problem(ProblemKind::kConflict, std::move(path), {}, {}, reason);
}

void RestoreRun::missing(std::string path, std::string_view reason, std::uint64_t entries) {
  tally.missing.fetch_add(entries, std::memory_order_relaxed);
  step(entries);
  problem(ProblemKind::kMissing, std::move(path), {}, {}, reason);
}

std::string_view RestoreRun::why_it_stays(const Stat& existing, const std::string& where,
                                          bool in_map, const catalog::Reader& reader) {
  if (existing.same_inode(store.store_stat())) return "the store stands there";
  if (existing.is_mount_root() || !existing.same_volume(dest_stat))
    return "another volume is mounted there";
  if (!existing.same_volume(store.store_stat()))
    return "what is there cannot be put away on another volume";
  if (in_map) {
    const auto components = catalog::split_path(where);
    const auto claimed =
        components ? plan.is_place_of_captured(*components, reader) : catalog::Result<bool>(true);
    if (!claimed) errors.set(claimed.error());
    if (!claimed || *claimed) return "the place belongs to another captured entry";
  }
  if (!existing.is_directory()) return {};
  // A mount would be carried along, and a store out of sight of the next command.
  for (const std::string& mount : mounts) {
    if (is_at_or_below(mount, where)) return "another volume is mounted below what stands there";
  }
  const std::string path = catalog::join_path(dest_path, where);
  if (is_at_or_below(store.place().store, path)) return "the store lies below what stands there";
  return {};
}

Status RestoreRun::displace(DirFd dir, const std::string& name, const std::string& where) {
  const auto stat = stat_at(dir, name);
  if (!stat || (!stat->is_immutable() && !stat->is_append_only()))
    return displaced.take(dir, name, where);
  Status taken;
  const auto cleared =
      flags.with_cleared(dir, name, flag_path(where, where), [&]() -> catalog::SysStatus {
        taken = displaced.take(dir, name, where);
        return {};
      });
  if (!cleared) return catalog::failed("ioctl(FS_IOC_SETFLAGS)", where, cleared.error());
  return taken;
}

std::string RestoreRun::flag_path(const std::string& where, const std::string& captured) const {
  return from_root ? catalog::join_path(*from_root, where) : captured;
}

void RestoreRun::note_exception(DirId parent, std::string_view name, std::string instead) {
  const std::lock_guard lock(mutex_);
  exceptions_[catalog::entry_key(parent, name)] = std::move(instead);
}

std::optional<std::string> RestoreRun::exception(DirId parent, std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (exceptions_.empty()) return std::nullopt;
  const auto found = exceptions_.find(catalog::entry_key(parent, name));
  if (found == exceptions_.end()) return std::nullopt;
  return found->second;
}

void RestoreRun::note_moved(Moved moved) {
  const std::lock_guard lock(mutex_);
  moved_ids_.insert(catalog::raw(moved.id));
  moved_.push_back(std::move(moved));
}

bool RestoreRun::was_moved(DirId id) {
  const std::lock_guard lock(mutex_);
  return moved_ids_.contains(catalog::raw(id));
}

std::vector<RestoreRun::Moved> RestoreRun::moved() {
  const std::lock_guard lock(mutex_);
  return std::exchange(moved_, {});
}

void RestoreRun::note_beside(std::string captured, std::string where) {
  const std::lock_guard lock(mutex_);
  beside_.emplace_back(std::move(captured), std::move(where));
}

std::vector<std::pair<std::string, std::string>> RestoreRun::beside() {
  const std::lock_guard lock(mutex_);
  return beside_;
}

}  // namespace holdfast::core
