#include "storecore/ops/conflict.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "catalog/records.hpp"
#include "storecore/link/copy_file.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

using catalog::FileType;

namespace {

constexpr std::size_t kLongestName = 255;

bool same_symlink(DirFd mirror, const char* name, DirFd dest, const char* dest_name) {
  const auto wanted = readlink_at(mirror, name);
  const auto found = readlink_at(dest, dest_name);
  return wanted && found && *wanted == *found;
}

bool same_file_content(DirFd mirror, const char* name, DirFd dest, const char* dest_name,
                       const Stat& existing) {
  const auto wanted = open_file_at(mirror, name);
  const auto found = open_file_at(dest, dest_name);
  if (!wanted || !found) return false;
  // Somebody may have put another file there since it was looked at.
  const auto opened = stat_fd(found->get());
  if (!opened || !opened->same_inode(existing)) return false;
  const auto wanted_flags = read_flags(wanted->get());
  const auto found_flags = read_flags(found->get());
  if (wanted_flags && found_flags && wanted_flags->flags != found_flags->flags) return false;
  const auto same = same_content(wanted->get(), found->get());
  return same && *same;
}

}  // namespace

ConflictVerdict judge_conflict(const Claim& claim, const Stat& existing, ConflictPolicy policy) {
  using Answer = ConflictAnswer;
  if (claim.type == FileType::kDirectory) {
    if (existing.is_symlink())
      return {Answer::kUndecided, "a symlink stands where a directory was captured"};
    if (!claim.wanted) return {Answer::kUndecided, "what stands on the way is no directory"};
  } else if (claim.type == FileType::kSymlink && existing.is_directory()) {
    return {Answer::kUndecided, "a directory stands where a symlink was captured"};
  }
  switch (policy) {
    case ConflictPolicy::kCaptured:
      return {Answer::kDisplace, {}};
    case ConflictPolicy::kExisting:
      return {Answer::kKeep, {}};
    case ConflictPolicy::kNewer:
      return {existing.mtime > claim.mtime ? Answer::kKeep : Answer::kDisplace, {}};
    case ConflictPolicy::kBoth:
      return {Answer::kBeside, {}};
    case ConflictPolicy::kFail:
      break;
  }
  return {Answer::kUndecided, "something else has its place"};
}

bool is_same_entry(DirFd mirror, const char* name, const Stat& held, DirFd dest,
                   const char* dest_name, const Stat& existing) {
  if (held.type_bits != existing.type_bits || held.uid != existing.uid ||
      held.gid != existing.gid || held.mode != existing.mode || held.rdev != existing.rdev ||
      held.mtime != existing.mtime)
    return false;
  if (held.is_symlink() && !same_symlink(mirror, name, dest, dest_name)) return false;
  if (held.is_regular()) {
    if (held.size != existing.size || !same_file_content(mirror, name, dest, dest_name, existing))
      return false;
  }
  const auto wanted = read_xattrs_at(mirror, name);
  const auto found = read_xattrs_at(dest, dest_name);
  return wanted && found && *wanted == *found;
}

std::string beside_name(std::string_view name, unsigned number, bool is_directory) {
  const std::string suffix = fmt::format(" ({})", number);
  std::size_t dot = is_directory ? std::string_view::npos : name.rfind('.');
  if (dot == 0 || dot == std::string_view::npos) dot = name.size();
  std::string_view stem = name.substr(0, dot);
  const std::string_view extension = name.substr(dot);
  if (stem.size() + suffix.size() + extension.size() > kLongestName && stem.size() > suffix.size())
    stem = stem.substr(0, stem.size() - suffix.size());
  return fmt::format("{}{}{}", stem, suffix, extension);
}

}  // namespace holdfast::core
