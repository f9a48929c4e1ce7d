#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/state.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// Where a ROOT and its store are, as absolute paths without symlinks.
struct StorePlace {
  std::string root;
  std::string store;
  bool beside = false;  ///< --store: the store is not ROOT/.holdfast
};
/// Resolves command-line paths. kUsage when ROOT is no directory; kNoStore never: the store may not
/// exist yet.
[[nodiscard]] catalog::Result<StorePlace> resolve_place(const std::string& root,
                                                        const std::optional<std::string>& store);

/// One store, opened and locked, with its ROOT. Everything in it is reached through its
/// descriptors.
///
/// Used by one thread, except root(), dir() and stats, which are constant.
class Store {
 public:
  enum class Access : std::uint8_t {
    kRead,   ///< shared lock
    kWrite,  ///< exclusive lock
    kPeek,   ///< no lock: for status
  };
  /// Opens an existing store: checks owner (the calling user), mode (0700), volume; takes the lock;
  /// reads the state. Errors: kNoStore; kInUse (who, since when); kCatalogBad (state damaged, or a
  /// mirror with files and no state); kRefused: "foreign-store", "open-store", "other-volume".
  [[nodiscard]] static catalog::Result<Store> open(const StorePlace& place, Access access,
                                                   std::string_view command,
                                                   const RunContext& context);
  /// As open() with the exclusive lock, but with whatever state there is: repair's way in. Without
  /// a readable state, the record is empty and its `created_at` too. Errors: those of open(), and
  /// kCatalogBad "newer-format".
  [[nodiscard]] static catalog::Result<Store> open_for_repair(const StorePlace& place,
                                                              std::string_view command,
                                                              const RunContext& context);
  /// Puts @p record into a new state file; a file that cannot be read is kept under another name.
  /// For repair.
  [[nodiscard]] catalog::Status replace_state(StoreRecord record);
  /// The capture id that the store's own directory carries; empty: none.
  [[nodiscard]] std::string marked_id() const;
  /// Makes the directories of the store that are missing.
  [[nodiscard]] catalog::Status mend_dirs();
  /// Makes a new store in state `capturing`, or finishes one whose making was cut short. Keeps
  /// ROOT's times. Exclusive lock. The state file is written last; nothing is durable before the
  /// first barrier.
  [[nodiscard]] static catalog::Result<Store> create(const StorePlace& place, StoreRecord record,
                                                     std::string_view command,
                                                     const RunContext& context);
  Store(Store&&) noexcept = default;
  Store& operator=(Store&&) noexcept = default;
  ~Store() = default;

  [[nodiscard]] const StorePlace& place() const noexcept { return place_; }
  [[nodiscard]] DirFd root() const noexcept { return root_; }
  [[nodiscard]] DirFd dir() const noexcept { return dir_; }
  [[nodiscard]] const Stat& root_stat() const noexcept { return root_stat_; }
  /// ROOT as it was before create() made the store in it; elsewhere the same as root_stat().
  [[nodiscard]] const Stat& store_stat() const noexcept { return store_stat_; }

  [[nodiscard]] StoreRecord& record() noexcept { return record_; }
  [[nodiscard]] const StoreRecord& record() const noexcept { return record_; }
  /// Writes the record durably.
  [[nodiscard]] catalog::Status save();
  /// Sets the state and writes the record durably.
  [[nodiscard]] catalog::Status enter(StoreState state);

  /// Gives the lock back early: discard, before it removes the lock file (ntfs-3g keeps the name of
  /// an open file).
  void release_lock() noexcept { lock_.reset(); }

  /// Opens a directory of the store (layout.hpp), making it 0700 when missing and @p make.
  [[nodiscard]] catalog::Result<Fd> subdir(const char* name, bool make = false) const;
  /// The mirror as top of a walk.
  [[nodiscard]] catalog::Result<std::shared_ptr<DirNode>> tree(
      std::shared_ptr<FdBudget> budget) const;

  /// Gives the ballast's blocks back when the volume is nearly full: before wipe, rollback and
  /// discard, which need a few blocks themselves before they free any.
  void free_ballast_if_full() const noexcept;

  /// Makes everything done so far on the volume durable: syncfs and fsync of the store directory
  /// (ntfs-3g ignores the first). A failed barrier is final for this mount: a second syncfs would
  /// succeed with nothing written. It is noted with boot and mount, and seal and wipe refuse until
  /// the volume was mounted anew.
  [[nodiscard]] catalog::Status barrier();
  /// kRefused "barrier-failed" while the mount on which a barrier failed is still in use.
  [[nodiscard]] catalog::Status check_barrier() const;

  /// kRefused "other-identity" unless volume, ROOT and store are those that were captured.
  [[nodiscard]] catalog::Status check_identity() const;

 private:
  Store() = default;
  [[nodiscard]] static catalog::Result<Store> open_dirs(const StorePlace& place);
  [[nodiscard]] static catalog::Result<Store> open_locked(const StorePlace& place, Access access,
                                                          std::string_view command,
                                                          const RunContext& context);
  [[nodiscard]] catalog::Status take_lock(Access access, std::string_view command,
                                          const RunContext& context);
  [[nodiscard]] catalog::Status check_place(const Stat& parent) const;
  [[nodiscard]] catalog::Status check_owner() const;
  [[nodiscard]] catalog::Status load_state();
  [[nodiscard]] catalog::Status make_dirs();
  [[nodiscard]] catalog::Result<bool> holds_anything() const;
  void note_failed_barrier() const noexcept;

  StorePlace place_;
  Fd root_;
  Fd dir_;
  Fd lock_;
  Stat root_stat_;
  Stat store_stat_;
  StoreRecord record_;
  bool barrier_failed_ = false;
};

/// UTC now, RFC 3339 with seconds.
[[nodiscard]] std::string utc_now();
/// CLOCK_REALTIME.
[[nodiscard]] catalog::Timestamp now() noexcept;

}  // namespace holdfast::core
