#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/link/attic.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/restore_plan.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// Walks over the same entries and places, with different ends.
enum class RestorePass : std::uint8_t {
  kLook,  ///< what would happen? Changes nothing
  kRestore,
  kCheck,  ///< are the restored names what they should be?
  kClear,  ///< mode move: second names and emptied directories leave the mirror
};

/// Entries by what became of them. Any thread.
struct RestoreTally {
  std::atomic<std::uint64_t> restored{0};  ///< in place at the end, whoever put them there
  std::atomic<std::uint64_t> changed{0};   ///< put there by this run
  std::atomic<std::uint64_t> linked{0};
  std::atomic<std::uint64_t> reflinked{0};
  std::atomic<std::uint64_t> copied{0};
  std::atomic<std::uint64_t> conflicts{0};  ///< that the policy decided
  std::atomic<std::uint64_t> undecided{0};  ///< that wait for a person
  std::atomic<std::uint64_t> kept{0};       ///< entries for which what exists was kept
  std::atomic<std::uint64_t> left{0};       ///< entries that are not in their place
  std::atomic<std::uint64_t> missing{0};
  std::atomic<std::uint64_t> setuid{0};  ///< given back with setuid or setgid
  std::atomic<std::uint64_t> capabilities{0};
};

/// A directory in the course of a walk; see restore_dir.hpp.
struct RestoreDir;

/// What one volume's restore works on and with. Borrows everything.
struct RestoreSetup {
  Store& store;
  const catalog::Env& env;
  const RestorePlan& plan;
  const RestoreOptions& options;
  const RunContext& context;
  FlagJournal& flags;
  Attic& displaced;
  Attic& dropped;  ///< for what an interrupted run left behind
  std::shared_ptr<FdBudget> budget;
  std::shared_ptr<DirNode> dest;  ///< the destination's top
  Stat dest_stat;
  std::string dest_path;  ///< absolute, without symlinks
  std::optional<std::string>
      from_root;                    ///< the destination relative to ROOT; nullopt: it is elsewhere
  std::vector<std::string> mounts;  ///< mount points below the destination, relative to it
  std::shared_ptr<DirNode> mirror{};
  bool privileged = false;
};

/// One volume's restore while its passes run. Methods may be called by any thread.
struct RestoreRun : RestoreSetup {
  explicit RestoreRun(RestoreSetup setup) : RestoreSetup(std::move(setup)) {}

  Progress* progress = nullptr;  ///< of the running phase
  /// A pass that only looks comes before the real one, which says the same again: only conflicts
  /// are told.
  bool looks_ahead = false;
  FirstError errors{};
  RestoreTally tally{};

  [[nodiscard]] bool copies() const noexcept {
    return options.mode == RestoreMode::kCopy || options.mode == RestoreMode::kReflink;
  }
  /// Forgets what a pass that only looked has counted.
  void start_over() noexcept;
  [[nodiscard]] ConflictPolicy policy_at(const PlanPosition& at) const noexcept;
  /// Sees to it that the passes end when somebody asked for it. True: go on.
  [[nodiscard]] bool goes_on();
  void step(std::uint64_t entries = 1) {
    progress->files.fetch_add(entries, std::memory_order_relaxed);
  }

  void problem(catalog::ProblemKind kind, std::string path, std::string_view operation,
               std::error_code cause, std::string_view reason);
  /// An entry, with @p entries below and including it, is not in its place. Errors that speak of
  /// the disk or of this process end the run instead.
  void leave(std::string path, std::string_view operation, std::error_code cause,
             std::string_view reason, std::uint64_t entries = 1);
  /// A conflict that a person must look at.
  void undecided(std::string path, std::string_view reason, std::uint64_t entries = 1);
  /// A conflict that the policy decided.
  void decided(std::string path, std::string_view reason);
  void missing(std::string path, std::string_view reason, std::uint64_t entries = 1);

  /// Why the existing entry cannot be renamed into displaced/; empty when it can. @p where is
  /// relative to the destination;
  /// @p in_map: the newcomer goes to a place that was not its own, and what is there may be another
  /// captured entry.
  [[nodiscard]] std::string_view why_it_stays(const Stat& existing, const std::string& where,
                                              bool in_map, const catalog::Reader& reader);
  /// Renames an existing entry into displaced/. @p where is relative to the destination.
  [[nodiscard]] catalog::Status displace(DirFd dir, const std::string& name,
                                         const std::string& where);
  /// The path under which FlagJournal finds an entry again after a crash.
  [[nodiscard]] std::string flag_path(const std::string& where, const std::string& captured) const;

  /// Entries that are not under their own name: kept ones (no name), and newcomers beside an
  /// existing one.
  void note_exception(catalog::DirId parent, std::string_view name, std::string instead);
  [[nodiscard]] std::optional<std::string> exception(catalog::DirId parent, std::string_view name);

  /// Subtrees that were moved as a whole: the check looks into them.
  struct Moved {
    catalog::DirId id{};
    std::shared_ptr<DirNode> mirror;
    std::shared_ptr<DirNode> dest;
  };
  void note_moved(Moved moved);
  /// Taken out.
  [[nodiscard]] std::vector<Moved> moved();
  [[nodiscard]] bool was_moved(catalog::DirId id);
  /// Newcomers beside an existing entry, as captured path and place: mode move notes them.
  void note_beside(std::string captured, std::string where);
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> beside();

  /// Copies that were made of hard-link groups: later names link to the first.
  struct Group {
    std::shared_ptr<DirNode> dir;
    std::string name;
    Stat stat;
    std::uint32_t names_left = 0;
  };
  std::mutex groups_mutex{};
  std::unordered_map<std::uint64_t, Group> groups{};  ///< by held inode

 private:
  std::mutex mutex_{};
  std::map<std::string, std::string, std::less<>> exceptions_{};
  std::vector<Moved> moved_{};
  std::unordered_set<std::uint64_t> moved_ids_{};
  std::vector<std::pair<std::string, std::string>> beside_{};
};

/// Staging names: the prefix, what tells this capture, and @p rest.
[[nodiscard]] std::string staging_name(const Store& store, std::string_view rest);

}  // namespace holdfast::core
