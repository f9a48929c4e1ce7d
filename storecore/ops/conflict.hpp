#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

/// Something has the place of a captured entry: who wins?
namespace holdfast::core {

/// The captured entry that wants the place.
struct Claim {
  catalog::FileType type = catalog::FileType::kFile;
  catalog::Timestamp mtime;
  bool wanted = true;  ///< false: a directory that is only on the way to something
};

enum class ConflictAnswer : std::uint8_t {
  kDisplace,   ///< what is there goes to displaced/
  kKeep,       ///< what is there stays, and that is what the policy says
  kBeside,     ///< the captured entry gets another name
  kUndecided,  ///< what is there stays, and a person must look
};
struct ConflictVerdict {
  ConflictAnswer answer = ConflictAnswer::kUndecided;
  std::string_view reason;  ///< of kUndecided
};

/// Pure. Some things are displaced under no policy: a symlink where a directory was captured leads
/// to where the new system keeps that directory (`bin -> usr/bin`), and so does a directory where a
/// symlink was captured; putting either away leaves a system that does not boot. What is only on
/// the way to something wanted has no claim at all.
[[nodiscard]] ConflictVerdict judge_conflict(const Claim& claim, const Stat& existing,
                                             ConflictPolicy policy);

/// Same type, bytes (symlinks: target), owner, mode, mtime, xattrs and flags. @p held is the
/// mirror's inode. An existing entry that cannot be read is not the same.
[[nodiscard]] bool is_same_entry(DirFd mirror, const char* name, const Stat& held, DirFd dest,
                                 const char* dest_name, const Stat& existing);

/// "name (2).ext", "name (2)"; cut so that it fits into 255 bytes.
[[nodiscard]] std::string beside_name(std::string_view name, unsigned number, bool is_directory);

}  // namespace holdfast::core
