#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/moved_places.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

/// What the two passes of verify share.
///
/// The names pass walks the catalog's tree, a task for each directory. The content pass reads
/// regular files in windows of inode order. Every catalogued entry belongs to exactly one of them,
/// so that none is counted or listed twice and none twice looked at: in a full run hashed regular
/// files are the content pass's, all else the names pass's; in a quick run there is only the names
/// pass. At the end the tallies must add up to what the catalog holds.
namespace holdfast::core {

/// Entries by what was found. Any thread.
struct VerifyTally {
  std::atomic<std::uint64_t> ok{0};
  std::atomic<std::uint64_t> modified{0};
  std::atomic<std::uint64_t> corrupt{0};
  std::atomic<std::uint64_t> missing{0};
  std::atomic<std::uint64_t> extra{0};
  std::atomic<std::uint64_t> hashed_files{0};
  std::atomic<std::uint64_t> hashed_bytes{0};
};

/// What stands under a catalogued name.
struct HeldName {
  enum class Answer : std::uint8_t {
    kHere,   ///< the recorded inode
    kOther,  ///< another file
    kGone,
    kNoDirectory,  ///< its directory is gone or cannot be opened: see cause
    kUnreadable,   ///< see cause
  };
  Answer answer = Answer::kGone;
  SharedFd dir;      ///< kHere: where it is,
  std::string name;  ///< under which name,
  Stat stat;         ///< and what it is
  std::error_code cause;
};

/// One volume's verify while its passes run. Borrows everything; methods may be called by any
/// thread.
struct VerifyRun {
  const Store& store;
  const catalog::Env& env;
  const RunContext& context;
  Progress& progress;
  bool full = false;
  std::shared_ptr<DirNode> tree;  ///< the mirror
  MovedPlaces* moved = nullptr;   ///< null unless restore moved names out of the mirror
  FirstError errors{};
  VerifyTally tally{};

  /// True for entries that the content pass looks at.
  [[nodiscard]] bool has_content(const catalog::Entry& entry) const noexcept;
  /// Looks in the mirror first, then where restore moved it. @p dir is the mirror's directory; that
  /// it is known to be gone is told by @p lost.
  [[nodiscard]] HeldName find(DirNode& dir, bool lost, const std::string& name,
                              const catalog::InodeRecord& record) const;
  /// Sees to it that the passes end when somebody asked for it. True: go on.
  [[nodiscard]] bool goes_on();

  /// Counts and lists one entry.
  void found(catalog::ProblemKind kind, std::string path, std::string_view operation,
             std::error_code cause, std::string_view reason);
  /// Counts only: an entry in a directory that is listed itself.
  void count(catalog::ProblemKind kind);
  void found_ok() { tally.ok.fetch_add(1, std::memory_order_relaxed); }
  void step() { progress.files.fetch_add(1, std::memory_order_relaxed); }
};

/// Errors that say nothing about the entry but that this process ran out of something.
[[nodiscard]] bool is_shortage(std::error_code error) noexcept;
/// Errors of a directory that is not there (any more): also another file, a symlink or another
/// directory in its place.
[[nodiscard]] bool is_gone(std::error_code error) noexcept;

/// What a directory that cannot be opened is: missing, or there and unreadable.
[[nodiscard]] catalog::ProblemKind lost_kind(std::error_code error) noexcept;

/// Mode or owner as somebody else than capture gave it; "" when they are as recorded. Held copies
/// and nodes are ours, and without privileges they could not get the owner of the original: never
/// compared.
[[nodiscard]] std::string_view changed_metadata(const catalog::InodeRecord& record,
                                                const Stat& stat) noexcept;

}  // namespace holdfast::core
