#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/select/selection.hpp"

/// What a restore is about and where it goes, before anything is touched. No system call but
/// LMDB's.
namespace holdfast::core {

/// A set of literal paths, as a tree of components.
class PathTree {
 public:
  void add(const std::vector<std::string>& components);
  /// The subtree below one component; nullptr when no path of the set leads there.
  [[nodiscard]] const PathTree* find(std::string_view name) const;
  /// A path of the set ends here.
  [[nodiscard]] bool ends() const noexcept { return ends_; }
  [[nodiscard]] bool leads_on() const noexcept { return !below_.empty(); }
  /// The longest path of the set that is @p components or a prefix of it ends above or at it.
  [[nodiscard]] bool covers(const std::vector<std::string>& components) const;

 private:
  bool ends_ = false;
  std::map<std::string, std::unique_ptr<PathTree>, std::less<>> below_;
};

/// Where in PATHs, maps and patterns one captured directory stands. Cheap to copy.
struct PlanPosition {
  const PathTree* paths = nullptr;     ///< nullptr: everything here is asked for
  const PathTree* maps = nullptr;      ///< nullptr: nothing below goes elsewhere
  const PathTree* finished = nullptr;  ///< nullptr: nothing below was finished before
  bool was_finished = false;           ///< an earlier run has restored this already
  Selection::State selection;
};

enum class PlanVerdict : std::uint8_t {
  kTake,   ///< to be restored
  kEnter,  ///< only on the way to something that is
  kSkip,
};

/// One --map: an entry that goes elsewhere, with all below it that no longer map takes.
struct MapJob {
  std::vector<std::string> from;
  std::vector<std::string> to;  ///< empty: a directory whose entries go to the destination's top
  catalog::DirId parent{};      ///< of the entry
  catalog::Entry entry;
  PlanPosition position;  ///< of the parent
  PlanVerdict verdict = PlanVerdict::kTake;
};

/// Compiled PATHs, --map, --include and --exclude. Thread-safe once made.
class RestorePlan {
 public:
  /// @p finished are paths that earlier runs have restored: there, what exists wins.
  /// kUsage when a PATH, a map's OLD or an include names nothing in the catalog, or maps contradict
  /// each other.
  [[nodiscard]] static catalog::Result<RestorePlan> make(const RestoreOptions& options,
                                                         const std::vector<std::string>& finished,
                                                         const catalog::Reader& reader);

  [[nodiscard]] PlanPosition root() const;
  [[nodiscard]] PlanVerdict root_verdict() const noexcept;
  /// What to do with entry @p name; a mapped one is kSkip: it has a job of its own.
  [[nodiscard]] PlanVerdict judge(const PlanPosition& at, std::string_view name,
                                  bool is_directory) const;
  /// Position inside directory @p name, for which judge() did not say kSkip (or which a job begins
  /// with).
  [[nodiscard]] PlanPosition enter(const PlanPosition& at, std::string_view name) const;
  /// Nothing below is left out or goes elsewhere: a subtree can go as one.
  [[nodiscard]] bool takes_whole(const PlanPosition& at) const noexcept;
  /// Parents before what goes below them.
  [[nodiscard]] const std::vector<MapJob>& jobs() const noexcept { return jobs_; }
  /// True when a captured entry that no map takes away belongs to this place.
  [[nodiscard]] catalog::Result<bool> is_place_of_captured(
      const std::vector<std::string>& components, const catalog::Reader& reader) const;

 private:
  RestorePlan() = default;
  [[nodiscard]] catalog::Status add_paths(const RestoreOptions& options,
                                          const catalog::Reader& reader);
  [[nodiscard]] catalog::Status add_maps(const RestoreOptions& options,
                                         const catalog::Reader& reader);
  [[nodiscard]] catalog::Status add_patterns(const RestoreOptions& options,
                                             const catalog::Reader& reader);
  [[nodiscard]] PlanVerdict judge_unmapped(const PlanPosition& at, std::string_view name,
                                           bool is_directory) const;
  [[nodiscard]] bool settle_job(MapJob& job) const;

  std::unique_ptr<PathTree> paths_;  ///< nullptr: everything
  std::unique_ptr<PathTree> maps_;   ///< of OLDs
  std::unique_ptr<PathTree> finished_;
  std::optional<Selection> selection_;
  std::vector<MapJob> jobs_;
};

/// True when the paths together hold every catalogued entry, so that nothing is left to restore.
[[nodiscard]] catalog::Result<bool> covers_catalog(const std::vector<std::string>& paths,
                                                   const catalog::Reader& reader);

}  // namespace holdfast::core
