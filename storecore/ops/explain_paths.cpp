#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/refresh.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/rule_selection.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Result;
using catalog::Status;

namespace {

/// What stands at @p components below @p top; no links are followed.
std::optional<Stat> stat_below(DirFd top, const std::vector<std::string>& components) {
  if (components.empty()) return std::nullopt;
  Fd held;
  DirFd at = top;
  for (std::size_t i = 0; i + 1 < components.size(); ++i) {
    auto below = open_dir_at(at, components[i].c_str());
    if (!below) return std::nullopt;
    held = std::move(*below);
    at = held;
  }
  const auto stat = stat_at(at, components.back());
  return stat ? std::optional(*stat) : std::nullopt;
}

class ExplainVolume {
 public:
  ExplainVolume(Session& session, StorePlace place, const ExplainOptions& options,
                const ExplainVisitor& visit)
      : session_(&session), place_(std::move(place)), options_(&options), visit_(&visit) {}

  [[nodiscard]] VolumeReport run() {
    Status status = work();
    return session_->finish(std::move(status), store_ ? &*store_ : nullptr);
  }

 private:
  [[nodiscard]] Status work();
  [[nodiscard]] Result<SelectionSpec> settle(DirFd root);
  [[nodiscard]] bool is_directory(DirFd root, const std::string& path) const;

  Session* session_;
  StorePlace place_;
  const ExplainOptions* options_;
  const ExplainVisitor* visit_;
  std::optional<Store> store_;
};

/// The store's selection; the rules where there is no store, or where they were asked for.
Result<SelectionSpec> ExplainVolume::settle(DirFd root) {
  auto store = Store::open(place_, Store::Access::kPeek, session_->command(), session_->context());
  if (store) {
    store_ = std::move(*store);
    if (!options_->rules.given) return load_selection(*store_);
  } else if (store.error().fault != catalog::Fault::kNoStore) {
    return std::unexpected(store.error());
  }
  auto selected = select_by_rules(root, place_.root, options_->rules);
  if (!selected) return std::unexpected(selected.error());
  return std::move(selected->spec);
}

/// As ROOT has it; after a wipe, as the store has it.
bool ExplainVolume::is_directory(DirFd root, const std::string& path) const {
  const auto components = catalog::split_path(path);
  if (!components || components->empty()) return true;
  if (const auto stat = stat_below(root, *components)) return stat->is_directory();
  if (!store_) return false;
  const auto tree = store_->subdir(layout::kTree);
  const auto stat = tree ? stat_below(*tree, *components) : std::nullopt;
  return stat && stat->is_directory();
}

Status ExplainVolume::work() {
  const auto root = open_dir_path(place_.root);
  if (!root) return catalog::failed("open", place_.root, root.error());
  const auto spec = settle(*root);
  if (!spec) return std::unexpected(spec.error());
  const auto selection = Selection::compile(*spec);
  if (!selection) return std::unexpected(selection.error());
  for (const std::string& path : options_->paths) {
    const bool directory = is_directory(*root, path);
    const ExplainedPath explained{.path = path,
                                  .is_directory = directory,
                                  .spec = &*spec,
                                  .explanation = selection->explain(path, directory)};
    if (!(*visit_)(explained)) break;
  }
  return {};
}

}  // namespace

RunReport explain(const Targets& targets, const ExplainOptions& options,
                  const ExplainVisitor& visit, const RunContext& context) {
  return for_each_volume(targets, "explain", context,
                         [&](Session& session, const StorePlace& place) {
                           return ExplainVolume(session, place, options, visit).run();
                         });
}

}  // namespace holdfast::core
