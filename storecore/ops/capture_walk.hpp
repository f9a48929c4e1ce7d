#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/link/holder.hpp"
#include "storecore/ops/catalog_feed.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

/// The walk of capture and of wipe's refresh.
///
/// One task per directory, on a LIFO pool: entry-changing calls on one directory serialise on its
/// lock in the kernel, so more threads in one directory gain nothing, and depth first keeps few
/// directories open. A directory that fills more than one chunk puts itself back beneath its
/// children, so that memory does not grow with the size of a directory.
///
/// Invariants:
/// - the store's state is `capturing`, durably, before the first change to mirror or catalog;
/// - a directory's row is pushed before any row of an entry in it, and its parent's before its own;
/// - an entry is recorded from what the mirror's own name says after the link was made;
/// - a name leaves the mirror only into dropped/, never by unlink, and only when its source
/// directory was listed to its
///   end (see Vanished).
///
/// Rejected: comparing against a path-sorted list of the old catalog (needs the whole list in
/// order, and memory or a spool that grows with it); looking up by inode (a replaced file with a
/// recycled inode would pass for the old one).
namespace holdfast::core {

struct CaptureDir;

/// A catalogued entry that the source does not have any more.
struct Vanished {
  catalog::DirId parent{};
  catalog::Entry entry;
  std::shared_ptr<DirNode> mirror;  ///< of the directory it was in
  bool unselected = false;          ///< still there, but the new selection does not want it
};

struct CaptureWalkOptions {
  bool refresh = false;  ///< the catalog has rows already
  bool resume = false;   ///< an earlier run was cut short: look into the mirror at every entry
  /// Directories (paths relative to ROOT) whose own record is kept as it is: wipe changed them
  /// itself.
  std::set<std::string, std::less<>> frozen;
  /// True when an entry that the source lacks is elsewhere (wipe: what stayed in ROOT).
  std::function<bool(const std::string& path)> exists_elsewhere;
  /// If set: only these paths and what lies below them are looked at, and nothing counts as
  /// vanished.
  std::optional<std::set<std::string, std::less<>>> only;
};

struct CaptureWalkCounts {
  std::atomic<std::uint64_t> linked{0};
  std::atomic<std::uint64_t> reflinked{0};
  std::atomic<std::uint64_t> copied{0};
  std::atomic<std::uint64_t> capabilities{0};  ///< files that carry them
};

class CaptureWalk {
 public:
  /// Everything is borrowed and outlives the walk. @p source is the directory that stands for ROOT:
  /// ROOT itself, or aside/N. @p env has the catalog as it was before (walkers read a snapshot
  /// each).
  CaptureWalk(Store& store, catalog::Env& env, const Selection& selection, CatalogFeed& feed,
              Attic& dropped, FlagJournal& flags, FirstError& errors, Progress& progress,
              const RunContext& context);
  ~CaptureWalk();
  CaptureWalk(const CaptureWalk&) = delete;
  CaptureWalk& operator=(const CaptureWalk&) = delete;

  [[nodiscard]] catalog::Status run(Fd source, CaptureWalkOptions options);

  [[nodiscard]] const CaptureWalkCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::vector<Vanished>& vanished() noexcept { return vanished_; }
  /// Inodes that got a name in the mirror which the catalog did not have. Only kept while
  /// refreshing. Unsorted.
  [[nodiscard]] std::vector<std::uint64_t>& new_inodes() noexcept { return new_inodes_; }
  /// Other volumes below, as paths relative to ROOT with type: for --all-volumes and the report.
  struct Border {
    std::string path;
    bool subvolume = false;
    bool read_only = false;  ///< a snapshot that cannot take a store
  };
  [[nodiscard]] const std::vector<Border>& borders() const noexcept { return borders_; }
  [[nodiscard]] std::uint64_t next_dir() const noexcept { return next_dir_.load(); }

 private:
  using Dir = std::shared_ptr<CaptureDir>;
  void begin(const Dir& dir);
  void list(const Dir& dir, const SharedFd& source);
  [[nodiscard]] bool enter(CaptureDir& dir, const SharedFd& source);
  [[nodiscard]] bool is_on_way(const std::string& path) const;
  [[nodiscard]] bool is_border(CaptureDir& dir, const Fd& source, const Stat& stat);
  void entry(const Dir& dir, const Fd& source, const char* name, std::size_t length,
             std::uint8_t type, catalog::Batch& batch, std::vector<Dir>& children);
  void child(const Dir& dir, std::string name, std::vector<Dir>& children);
  void file(CaptureDir& dir, const Fd& source, const std::string& name, catalog::Batch& batch);
  void hold(CaptureDir& dir, const Fd& source, const std::string& name, const Stat* before,
            catalog::Batch& batch);
  [[nodiscard]] bool is_unchanged(CaptureDir& dir, const catalog::Entry& entry, const Stat& stat,
                                  const std::string& name);
  [[nodiscard]] bool drop(CaptureDir& dir, const catalog::Entry& entry, catalog::Batch& batch);
  [[nodiscard]] bool drop_from_mirror(CaptureDir& dir, const std::string& name);
  void record(CaptureDir& dir, const std::string& name, const HoldResult& held, const Stat* before,
              catalog::Batch& batch);
  void note_privileges(CaptureDir& dir, const std::string& name,
                       const catalog::InodeRecord& record);
  void fill_symlink(CaptureDir& dir, const std::string& name, catalog::InodeRecord& record);
  [[nodiscard]] bool ensure(CaptureDir& dir);
  [[nodiscard]] bool make(CaptureDir& dir);
  [[nodiscard]] bool make_mirror(CaptureDir& dir);
  void look_for_vanished(CaptureDir& dir, const Fd& source);
  void end(const Dir& dir);
  void close(CaptureDir& dir);
  void gap(CaptureDir& dir, std::string_view operation, std::error_code cause,
           std::string_view reason = {});
  void forget_if_dropped(CaptureDir& dir, const catalog::Entry& before, catalog::Batch& batch);
  void not_seen(CaptureDir& dir, const std::string& name, std::error_code cause);
  void problem(catalog::ProblemKind kind, std::string path, std::string_view operation,
               std::error_code cause, std::string_view reason = {});
  [[nodiscard]] catalog::Reader* reader();
  [[nodiscard]] std::optional<catalog::Entry> find_before(CaptureDir& dir, const std::string& name);

  Store* store_;
  catalog::Env* env_;
  const Selection* selection_;
  CatalogFeed* feed_;
  Attic* dropped_;
  FirstError* errors_;
  Progress* progress_;
  const RunContext* context_;
  Holder holder_;
  Pool pool_;
  CaptureWalkOptions options_;
  CaptureWalkCounts counts_;
  std::atomic<std::uint64_t> next_dir_{2};  ///< 1 is the root's
  Stat source_stat_;
  const bool privileged_;

  struct Snapshot {
    catalog::ReadTxn txn;
    catalog::Reader reader;
    explicit Snapshot(catalog::ReadTxn begun) : txn(std::move(begun)), reader(txn) {}
  };
  std::vector<std::unique_ptr<Snapshot>> snapshots_;  ///< one a worker

  std::mutex results_mutex_;
  std::vector<Vanished> vanished_;
  std::vector<std::uint64_t> new_inodes_;
  std::vector<Border> borders_;
  std::unordered_map<std::uint64_t, catalog::Timestamp> group_ctimes_;
};

/// The record of a directory as it is now: stat, flags, xattrs without our own mark.
[[nodiscard]] catalog::SysResult<catalog::DirectoryRecord> read_directory_record(int fd);
/// Owner, mode, xattrs, times of a directory of ours; inode flags and project id only with @p
/// flags_too. Unprivileged: keeps u+rwx, and what is not permitted stays in the catalog only.
[[nodiscard]] catalog::SysStatus apply_directory_record(int fd,
                                                        const catalog::DirectoryRecord& record,
                                                        bool privileged, bool flags_too);
/// Of an error of apply_directory_record: the store fails. Otherwise its filesystem, or an ordinary
/// user, cannot give a directory an attribute: nobody else has an answer left for root there.
[[nodiscard]] bool is_failure_of_store(std::error_code error, bool privileged) noexcept;
/// A fresh record from what statx says, hash pending.
[[nodiscard]] catalog::InodeRecord make_record(const Stat& stat);

}  // namespace holdfast::core
