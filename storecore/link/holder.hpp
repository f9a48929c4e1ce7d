#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// What became of one entry that was to be held.
struct HoldResult {
  enum class Answer : std::uint8_t {
    kHeld,
    kVanished,  ///< gone from the source before it could be linked
    kMissed,    ///< still there and not held: see operation, cause, reason
    kSkipped,   ///< of a type that is not captured (a socket took the name)
  };
  Answer answer = Answer::kMissed;
  catalog::Held how = catalog::Held::kLink;
  bool already = false;  ///< the mirror had this very inode under this name before
  Stat source;           ///< links: read through the mirror's own name
  std::uint64_t held_inode = 0;
  std::optional<catalog::Digest> hash;  ///< copies are hashed while they are made
  std::string operation;
  std::error_code cause;
  std::string reason;
};

/// Gives source entries a second name in the mirror, or an independent copy where the filesystem
/// allows no more names.
///
/// Link first, then look: what is recorded is read through the mirror's name, which nobody else can
/// touch, so it is exactly what is held. Thread-safe for distinct mirror names.
class Holder {
 public:
  /// All borrowed; @p dropped takes strays that have a wanted entry's name in the mirror.
  Holder(DirFd store, FlagJournal& flags, Attic& dropped) noexcept
      : store_(store), flags_(&flags), dropped_(&dropped) {}

  /// @p path is relative to ROOT, for messages and the journal.
  /// An Error means that the store failed (disk full, I/O error, ...) and ends the run: it is never
  /// taken for an entry to skip. EMLINK and ERANGE (ntfs-3g) are about one inode: reflink, else
  /// copy, once for all its names in this run. EXDEV and EPERM leave the entry missed with the
  /// cause. Not durable before the barrier.
  [[nodiscard]] catalog::Result<HoldResult> hold(DirFd from, const std::string& name, DirFd mirror,
                                                 const EntryPath& path);

 private:
  [[nodiscard]] catalog::Result<HoldResult> look(DirFd mirror, const std::string& name,
                                                 const EntryPath& path, bool already);
  [[nodiscard]] catalog::Result<HoldResult> answer(std::error_code error, DirFd from,
                                                   const std::string& name, DirFd mirror,
                                                   const EntryPath& path);
  [[nodiscard]] catalog::Result<HoldResult> hold_copy(DirFd from, const std::string& name,
                                                      DirFd mirror, const EntryPath& path);
  [[nodiscard]] catalog::Result<HoldResult> hold_node(DirFd from, const std::string& name,
                                                      DirFd mirror, const EntryPath& path,
                                                      std::error_code why);
  [[nodiscard]] catalog::Result<bool> clear_way(DirFd from, const std::string& name, DirFd mirror,
                                                const EntryPath& path);

  /// A copy that was made for an inode with no room for more names: later names link to it.
  struct Copy {
    HoldResult result;
    std::shared_ptr<const Fd> dir;
    std::string name;
  };
  DirFd store_;
  FlagJournal* flags_;
  Attic* dropped_;
  std::mutex copies_mutex_;
  std::map<std::uint64_t, Copy> copies_;
};

/// True for answers that speak of the store's disk and not of one source entry.
[[nodiscard]] bool is_store_error(std::error_code error) noexcept;

}  // namespace holdfast::core
