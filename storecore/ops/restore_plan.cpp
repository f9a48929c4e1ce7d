#include "storecore/ops/restore_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::Fault;
using catalog::Reader;
using catalog::Result;
using catalog::Status;

namespace {

using Components = std::vector<std::string>;

Result<Components> components_of(const std::string& path, std::string_view what) {
  auto components = catalog::split_path(path);
  if (!components)
    return catalog::fail(Fault::kUsage, path,
                         fmt::format("{}: no '..' and no names of this length", what));
  return std::move(*components);
}

Result<Reader::Found> find_named(const Reader& reader, const Components& components,
                                 const std::string& path, std::string_view what) {
  auto found = reader.find_path(components);
  if (!found) return std::unexpected(found.error());
  if (!*found)
    return catalog::fail(Fault::kUsage, path,
                         fmt::format("{} names nothing that was captured", what),
                         "holdfast ls lists what was; paths are literal and relative to ROOT");
  return std::move(**found);
}

}  // namespace

void PathTree::add(const Components& components) {
  PathTree* at = this;
  for (const std::string& name : components) {
    auto& below = at->below_[name];
    if (!below) below = std::make_unique<PathTree>();
    at = below.get();
  }
  at->ends_ = true;
}

const PathTree* PathTree::find(std::string_view name) const {
  const auto found = below_.find(name);
  return found == below_.end() ? nullptr : found->second.get();
}

bool PathTree::covers(const Components& components) const {
  const PathTree* at = this;
  for (const std::string& name : components) {
    if (at->ends_) return true;
    at = at->find(name);
    if (at == nullptr) return false;
  }
  return at->ends_;
}

Result<RestorePlan> RestorePlan::make(const RestoreOptions& options, const Components& finished,
                                      const Reader& reader) {
  RestorePlan plan;
  if (auto status = plan.add_paths(options, reader); !status)
    return std::unexpected(status.error());
  if (!finished.empty()) {
    plan.finished_ = std::make_unique<PathTree>();
    for (const std::string& path : finished) {
      if (const auto components = catalog::split_path(path)) plan.finished_->add(*components);
    }
  }
  if (auto status = plan.add_patterns(options, reader); !status)
    return std::unexpected(status.error());
  if (auto status = plan.add_maps(options, reader); !status) return std::unexpected(status.error());
  return plan;
}

Status RestorePlan::add_paths(const RestoreOptions& options, const Reader& reader) {
  if (options.paths.empty()) return {};
  paths_ = std::make_unique<PathTree>();
  for (const std::string& path : options.paths) {
    const auto components = components_of(path, "PATH");
    if (!components) return std::unexpected(components.error());
    if (const auto found = find_named(reader, *components, path, "PATH"); !found)
      return std::unexpected(found.error());
    paths_->add(*components);
  }
  return {};
}

Status RestorePlan::add_maps(const RestoreOptions& options, const Reader& reader) {
  if (options.maps.empty()) return {};
  maps_ = std::make_unique<PathTree>();
  for (const PathMapping& mapping : options.maps) {
    auto from = components_of(mapping.from, "--map OLD");
    if (!from) return std::unexpected(from.error());
    auto to = components_of(mapping.to, "--map NEW");
    if (!to) return std::unexpected(to.error());
    if (from->empty())
      return catalog::fail(Fault::kUsage, mapping.from, "--map OLD is ROOT itself",
                           "--to DIR does that");
    auto found = find_named(reader, *from, mapping.from, "--map OLD");
    if (!found) return std::unexpected(found.error());
    if (to->empty() && found->entry.kind != Entry::Kind::kDirectory)
      return catalog::fail(Fault::kUsage, mapping.to, "--map NEW needs a name");
    for (const MapJob& other : jobs_) {
      if (other.from == *from) return catalog::fail(Fault::kUsage, mapping.from, "is mapped twice");
      if (other.to == *to)
        return catalog::fail(Fault::kUsage, mapping.to, "two --map lead to this place");
    }
    maps_->add(*from);
    jobs_.push_back({.from = std::move(*from),
                     .to = std::move(*to),
                     .parent = found->parent,
                     .entry = std::move(found->entry),
                     .position = {}});
  }
  std::erase_if(jobs_, [&](MapJob& job) { return !settle_job(job); });
  std::ranges::sort(jobs_, {}, [](const MapJob& job) { return job.to.size(); });
  return {};
}

/// Walks PATHs and patterns down to the job's entry. False: they leave it out.
bool RestorePlan::settle_job(MapJob& job) const {
  job.position = root();
  for (std::size_t i = 0; i < job.from.size(); ++i) {
    const bool last = i + 1 == job.from.size();
    const bool is_directory = !last || job.entry.kind == Entry::Kind::kDirectory;
    job.verdict = judge_unmapped(job.position, job.from[i], is_directory);
    if (job.verdict == PlanVerdict::kSkip) return false;
    if (!last) job.position = enter(job.position, job.from[i]);
  }
  return true;
}

/// Includes are tried on the catalog: one that matches nothing is a mistake, told before anything
/// is done.
Status RestorePlan::add_patterns(const RestoreOptions& options, const Reader& reader) {
  if (options.include.empty() && options.exclude.empty()) return {};
  auto selection = Selection::compile({.everything = options.include.empty(),
                                       .include = options.include,
                                       .exclude = options.exclude});
  if (!selection) return std::unexpected(selection.error());
  selection_ = std::move(*selection);
  std::vector<std::pair<DirId, Selection::State>> todo{{catalog::kRootDir, selection_->root()}};
  while (!todo.empty() && !selection_->unmatched_includes().empty()) {
    const auto [id, state] = std::move(todo.back());
    todo.pop_back();
    const auto status = reader.for_each_entry(id, [&](DirId, const Entry& entry) -> Result<bool> {
      const bool is_directory = entry.kind == Entry::Kind::kDirectory;
      const auto verdict = selection_->judge(state, entry.name, is_directory);
      if (is_directory && verdict != Selection::Verdict::kUnselected)
        todo.emplace_back(entry.directory, selection_->enter(state, entry.name));
      return true;
    });
    if (!status) return status;
  }
  const auto unmatched = selection_->unmatched_includes();
  if (unmatched.empty()) return {};
  return catalog::fail(Fault::kUsage, unmatched.front(),
                       "this --include matches nothing that was captured");
}

PlanPosition RestorePlan::root() const {
  PlanPosition at;
  at.paths = paths_ && !paths_->ends() ? paths_.get() : nullptr;
  at.maps = maps_.get();
  at.finished = finished_.get();
  at.was_finished = finished_ && finished_->ends();
  if (selection_) at.selection = selection_->root();
  return at;
}

PlanVerdict RestorePlan::root_verdict() const noexcept {
  if (paths_ && !paths_->ends()) return PlanVerdict::kEnter;
  if (selection_ && selection_->root_verdict() != Selection::Verdict::kSelected)
    return PlanVerdict::kEnter;
  return PlanVerdict::kTake;
}

PlanVerdict RestorePlan::judge_unmapped(const PlanPosition& at, std::string_view name,
                                        bool is_directory) const {
  auto verdict = PlanVerdict::kTake;
  if (at.paths != nullptr) {
    const PathTree* below = at.paths->find(name);
    if (below == nullptr) return PlanVerdict::kSkip;
    if (!below->ends()) verdict = PlanVerdict::kEnter;
  }
  if (selection_ && !at.selection.takes_all()) {
    switch (selection_->judge(at.selection, name, is_directory)) {
      case Selection::Verdict::kUnselected:
        return PlanVerdict::kSkip;
      case Selection::Verdict::kEnter:
        verdict = PlanVerdict::kEnter;
        break;
      case Selection::Verdict::kSelected:
        break;
    }
  }
  return verdict == PlanVerdict::kEnter && !is_directory ? PlanVerdict::kSkip : verdict;
}

PlanVerdict RestorePlan::judge(const PlanPosition& at, std::string_view name,
                               bool is_directory) const {
  if (at.maps != nullptr) {
    const PathTree* mapped = at.maps->find(name);
    if (mapped != nullptr && mapped->ends()) return PlanVerdict::kSkip;
  }
  return judge_unmapped(at, name, is_directory);
}

PlanPosition RestorePlan::enter(const PlanPosition& at, std::string_view name) const {
  PlanPosition below;
  if (at.paths != nullptr) {
    below.paths = at.paths->find(name);
    if (below.paths != nullptr && below.paths->ends()) below.paths = nullptr;
  }
  if (at.maps != nullptr) below.maps = at.maps->find(name);
  if (below.maps != nullptr && !below.maps->leads_on()) below.maps = nullptr;
  below.was_finished = at.was_finished;
  if (at.finished != nullptr) below.finished = at.finished->find(name);
  if (below.finished != nullptr && below.finished->ends()) below.was_finished = true;
  if (selection_) below.selection = selection_->enter(at.selection, name);
  return below;
}

bool RestorePlan::takes_whole(const PlanPosition& at) const noexcept {
  return at.paths == nullptr && at.maps == nullptr && (!selection_ || at.selection.takes_all());
}

Result<bool> RestorePlan::is_place_of_captured(const Components& components,
                                               const Reader& reader) const {
  if (maps_ && maps_->covers(components)) return false;
  const auto found = reader.find_path(components);
  if (!found) return std::unexpected(found.error());
  return found->has_value();
}

Result<bool> covers_catalog(const Components& paths, const Reader& reader) {
  PathTree all;
  for (const std::string& path : paths) {
    if (const auto components = catalog::split_path(path)) all.add(*components);
  }
  std::vector<std::pair<DirId, const PathTree*>> todo{{catalog::kRootDir, &all}};
  bool whole = true;
  while (whole && !todo.empty()) {
    const catalog::DirId id = todo.back().first;
    const PathTree* const at = todo.back().second;
    todo.pop_back();
    if (at->ends()) continue;
    const auto row = reader.find_directory(id);
    if (!row) return std::unexpected(row.error());
    // A directory that was selected itself is not restored by what lies below it.
    if (!*row || (*row)->record.selected) return false;
    const auto status = reader.for_each_entry(id, [&](DirId, const Entry& entry) -> Result<bool> {
      const PathTree* below = at->find(entry.name);
      whole = below != nullptr && (below->ends() || entry.kind == Entry::Kind::kDirectory);
      if (whole && !below->ends()) todo.emplace_back(entry.directory, below);
      return whole;
    });
    if (!status) return std::unexpected(status.error());
  }
  return whole;
}

}  // namespace holdfast::core
