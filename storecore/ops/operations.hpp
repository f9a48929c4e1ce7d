#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/records.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/rule_selection.hpp"
#include "storecore/run/context.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/selection.hpp"

/// The commands, as functions. Each works on all its volumes (in parallel where there are several),
/// takes and gives back the stores' locks, returns one report and never throws but for bugs. Called
/// from one thread; what cannot be done is in the reports' errors and exit codes, entry by entry at
/// the observer.
namespace holdfast::core {

/// The ROOTs that a command names, and how tied volumes are found.
struct Targets {
  std::vector<std::string> roots;              ///< command-line paths
  std::optional<std::string> store;            ///< --store DIR: one ROOT only
  std::map<std::string, std::string> volumes;  ///< --volume UUID=DIR
};

struct CaptureOptions {
  std::optional<SelectionSpec> selection;  ///< nullopt: by the rules, or the stored one
  /// What a new store is selected by, and an existing one if they were asked for. nullopt: no rules
  /// are wanted.
  std::optional<RuleOptions> rules;
  bool replace_selection = false;
  bool allow_vanished = false;
  bool hash_later = false;
  bool all_volumes = false;
  bool dry_run = false;
  std::vector<std::string> accept_missed;  ///< patterns as in Selection
  std::map<std::string, std::string> labels;
};
/// Links, records, hashes, seals; again = refresh. State `sealed`, or `linked` with hash_later.
/// Refuses (5): state from wiping on; other selection than the stored one; more than half vanished;
/// a store inside; overlapping ROOTs; overlayfs.
[[nodiscard]] RunReport capture(const Targets& targets, const CaptureOptions& options,
                                const RunContext& context);

/// Hashes what has no hash yet and seals.
[[nodiscard]] RunReport seal(const Targets& targets, const RunContext& context);

struct VerifyOptions {
  bool quick = false;  ///< names and stat only
};
[[nodiscard]] RunReport verify(const Targets& targets, const VerifyOptions& options,
                               const RunContext& context);

struct WipeOptions {
  bool dry_run = false;
  bool delete_old = false;
  std::optional<std::uint64_t> need_bytes;
  std::vector<std::string> keep;  ///< literal paths relative to ROOT
  std::vector<std::string> accept_missed;
  bool again = false;
};
/// All checks for all ROOTs come before anything moves.
[[nodiscard]] RunReport wipe(const Targets& targets, const WipeOptions& options,
                             const RunContext& context);

[[nodiscard]] RunReport rollback(const Targets& targets, const RunContext& context);

enum class RestoreMode : std::uint8_t { kLink, kMove, kReflink, kCopy };
[[nodiscard]] std::string_view to_word(RestoreMode mode) noexcept;
enum class ConflictPolicy : std::uint8_t { kCaptured, kExisting, kNewer, kBoth, kFail };
enum class VerifyMode : std::uint8_t { kQuick, kFull, kNone };
struct PathMapping {
  std::string from;  ///< literal, relative to ROOT, as captured
  std::string to;    ///< literal, relative to the destination
};
struct RestoreOptions {
  std::vector<std::string> paths;  ///< literal; empty: everything
  std::optional<std::string> to;   ///< --to DIR; nullopt: ROOT
  RestoreMode mode = RestoreMode::kLink;
  ConflictPolicy on_conflict = ConflictPolicy::kCaptured;
  VerifyMode verify = VerifyMode::kQuick;
  std::vector<PathMapping> maps;
  std::vector<std::string> include;  ///< patterns; empty: all
  std::vector<std::string> exclude;
  bool again = false;
  bool dry_run = false;
};
[[nodiscard]] RunReport restore(const Targets& targets, const RestoreOptions& options,
                                const RunContext& context);

struct DiscardOptions {
  bool lose_files = false;
  bool lose_displaced = false;
};
[[nodiscard]] RunReport discard(const Targets& targets, const DiscardOptions& options,
                                const RunContext& context);

/// Rebuilds catalog, manifests and state from mirror and manifests, where they are damaged. Any
/// state, and none. Counts: kAdopted, kDropped, kMissing, kRehashed.
[[nodiscard]] RunReport repair(const Targets& targets, const RunContext& context);

struct ExplainOptions {
  std::vector<std::string> paths;  ///< literal, relative to ROOT
  RuleOptions rules;               ///< for a ROOT without a store, or if they were asked for
};
struct ExplainedPath {
  std::string path;
  bool is_directory = false;            ///< as ROOT has it now, or as the store has it
  const SelectionSpec* spec = nullptr;  ///< what the explanation's indexes are of; for the call
  Explanation explanation;
};
/// Called from the calling thread; false stops quietly (EPIPE).
using ExplainVisitor = std::function<bool(const ExplainedPath&)>;
/// Says of each path whether it is selected and what decides: by the store's selection, else by the
/// rules. Takes no lock, opens no catalog, changes nothing.
[[nodiscard]] RunReport explain(const Targets& targets, const ExplainOptions& options,
                                const ExplainVisitor& visit, const RunContext& context);

/// Takes no lock and opens no catalog. Without roots: the stores at the top of all mounted volumes.
[[nodiscard]] RunReport status(const Targets& targets, const RunContext& context);

/// One catalogued entry as ls and find show it.
struct ListedEntry {
  std::string root;  ///< of the volume
  std::string path;  ///< raw bytes relative to ROOT
  catalog::FileType type = catalog::FileType::kFile;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  catalog::Timestamp mtime;
  std::uint64_t inode = 0;
  std::uint64_t links = 1;              ///< catalogued names of the inode
  std::optional<catalog::Held> held;    ///< nullopt: directory
  std::optional<catalog::Digest> hash;  ///< regular files that have been hashed
  std::string link_target;
  std::optional<std::uint64_t>
      group;  ///< find --duplicates: entries of one number have the same content
};
/// Called from the calling thread; false stops quietly (EPIPE).
using ListVisitor = std::function<bool(const ListedEntry&)>;

struct ListOptions {
  std::optional<std::string> path;  ///< literal; nullopt: all
};
[[nodiscard]] RunReport list(const Targets& targets, const ListOptions& options,
                             const ListVisitor& visit, const RunContext& context);
/// The problems of the kinds that are asked for go to the observer.
struct ListProblemsOptions {
  bool missed = false;
  bool skipped = false;
};
[[nodiscard]] RunReport list_problems(const Targets& targets, const ListProblemsOptions& options,
                                      const RunContext& context);

struct FindOptions {
  std::optional<std::string> name;  ///< glob against the last component
  std::optional<catalog::Digest> hash;
  std::optional<std::string> same_as;  ///< a file anywhere: hashed, then compared byte by byte
  bool duplicates = false;             ///< names of equal content behind different inodes
};
[[nodiscard]] RunReport find(const Targets& targets, const FindOptions& options,
                             const ListVisitor& visit, const RunContext& context);

}  // namespace holdfast::core
