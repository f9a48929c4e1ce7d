#include <algorithm>
#include <cstddef>
#include <expected>
#include <functional>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/catalog_walk.hpp"
#include "storecore/ops/followed.hpp"
#include "storecore/ops/listed.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::Fault;
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;

namespace {

using Components = std::vector<std::string>;

bool starts_with(const Components& path, const Components& front) {
  return path.size() >= front.size() &&
         std::ranges::equal(front, path | std::views::take(front.size()));
}

/// What a PATH means on each of the volumes. It is relative to the first ROOT, as everything was
/// mounted at capture: a tied volume that was mounted at or below it is listed whole, one that it
/// leads into from there on.
class WantedPath {
 public:
  explicit WantedPath(const std::optional<std::string>& path) {
    if (!path) return;
    auto components = catalog::split_path(*path);
    fits_ = components.has_value();
    if (fits_) path_ = std::move(*components);
  }
  [[nodiscard]] bool fits() const noexcept { return fits_; }
  [[nodiscard]] bool is_all() const noexcept { return path_.empty(); }
  /// @return components below this volume's ROOT; empty: all of it; nullopt: nothing of it
  [[nodiscard]] std::optional<Components> on_volume(const std::string& root_at_capture) {
    const auto root = catalog::split_path(root_at_capture).value_or(Components());
    if (!first_) first_ = root;
    if (root == *first_ || is_all()) return path_;
    if (!starts_with(root, *first_)) return std::nullopt;
    const Components mounted_at(root.begin() + static_cast<std::ptrdiff_t>(first_->size()),
                                root.end());
    if (starts_with(mounted_at, path_)) return Components();
    if (!starts_with(path_, mounted_at)) return std::nullopt;
    return Components(path_.begin() + static_cast<std::ptrdiff_t>(mounted_at.size()), path_.end());
  }

 private:
  bool fits_ = true;
  Components path_;
  std::optional<Components> first_;
};

std::string joined(const Components& components) {
  std::string path;
  for (const std::string& component : components) path = catalog::join_path(path, component);
  return path;
}

/// Lists what @p wanted names and all below it. False: there is no such entry.
Result<bool> list_below(const catalog::Reader& reader, const Components& wanted,
                        const std::function<Result<bool>(const std::string&, const Entry&)>& show) {
  DirId top = catalog::kRootDir;
  const std::string path = joined(wanted);
  if (!wanted.empty()) {
    const auto found = reader.find_path(wanted);
    if (!found) return std::unexpected(found.error());
    if (!*found) return false;
    const auto more = show(path, (*found)->entry);
    if (!more) return std::unexpected(more.error());
    if (!*more || (*found)->entry.kind != Entry::Kind::kDirectory) return true;
    top = (*found)->entry.directory;
  }
  if (auto status = walk_catalog(reader, top, path, show); !status)
    return std::unexpected(status.error());
  return true;
}

}  // namespace

RunReport list(const Targets& targets, const ListOptions& options, const ListVisitor& visit,
               const RunContext& context) {
  WantedPath wanted(options.path);
  bool found = false;
  bool wants_more = true;
  const auto body = [&](Session& session, const StorePlace& place) {
    return with_catalog(
        session, place, [&](const Store& store, const catalog::Reader& reader) -> Status {
          if (!wanted.fits())
            return catalog::fail(Fault::kUsage, *options.path, "not a path below ROOT");
          const auto here = wanted.on_volume(store.record().root_path);
          if (!here || !wants_more) return {};
          const auto show = [&](const std::string& path, const Entry& entry) -> Result<bool> {
            const auto listed = listed_entry(reader, place.root, path, entry);
            if (!listed) return std::unexpected(listed.error());
            wants_more = visit(*listed) && !session.context().stopped();
            return wants_more;
          };
          const auto listed = list_below(reader, *here, show);
          if (!listed) return std::unexpected(listed.error());
          found = found || *listed;
          return {};
        });
  };
  RunReport run = for_each_followed_volume(targets, "ls", in_calling_thread(context), body);
  VolumeReport* first = run.volumes.empty() ? nullptr : &run.volumes.front();
  if (!found && !wanted.is_all() && first != nullptr && !first->error) {
    first->error = catalog::fail(Fault::kUsage, *options.path, "nothing of that name is catalogued",
                                 "PATH is literal and relative to ROOT")
                       .error();
    first->exit_code = static_cast<int>(Fault::kUsage);
  }
  return run;
}

RunReport list_problems(const Targets& targets, const ListProblemsOptions& options,
                        const RunContext& context) {
  return for_each_followed_volume(
      targets, "ls", in_calling_thread(context), [&](Session& session, const StorePlace& place) {
        return with_catalog(
            session, place, [&](const Store& /*store*/, const catalog::Reader& reader) -> Status {
              return reader.for_each_problem([&](const catalog::Problem& problem) -> Result<bool> {
                const bool missed = options.missed && problem.kind == ProblemKind::kMissed;
                const bool skipped = options.skipped && problem.kind == ProblemKind::kSkipped;
                if (!missed && !skipped) return true;
                session.report().counts.add(missed ? Count::kMissed : Count::kSkipped, 1);
                // Not through the session: they are the answer, and no problems of this run.
                context.observer->problem(place.root, problem);
                return !session.context().stopped();
              });
            });
      });
}

}  // namespace holdfast::core
