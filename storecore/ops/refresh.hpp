#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/vanish.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// One directory that stands for ROOT while the store is brought up to date.
struct RefreshSource {
  Fd dir;
  CaptureWalkOptions options;
};

struct RefreshOptions {
  std::vector<RefreshSource> sources;
  VanishPolicy policy = VanishPolicy::kDrop;
  bool allow_vanished = false;
  bool hash_later = false;
  StoreState state_while_open = StoreState::kCapturing;  ///< wipe's refresh stays `wiping`
  StoreState state_when_sealed = StoreState::kSealed;
};

struct RefreshOutcome {
  bool changed = false;
  bool vanished_refused = false;
  std::uint64_t would_drop = 0;
  std::vector<CaptureWalk::Border> borders;
};

/// What capture and wipe have in common: walk the sources into mirror and catalog, settle what
/// vanished, hash, seal.
///
/// Nothing is written when nothing changed. Ends durable: in @p state_when_sealed, in `linked` with
/// hash_later, or with the error. The record's gaps are those of this walk, less what its accepted
/// patterns cover. Errors: those of the parts; kFailed "interrupted" when the run was told to stop.
[[nodiscard]] catalog::Result<RefreshOutcome> refresh_store(Session& session, Store& store,
                                                            const Selection& selection,
                                                            RefreshOptions options);

/// Hashes what is pending and seals; the part of refresh_store after the walk. Also the `seal`
/// command.
[[nodiscard]] catalog::Status hash_and_seal(Session& session, Store& store, catalog::Env env,
                                            const std::vector<KnownContent>& known, StoreState as);

/// The selection that is kept with the store. kCatalogBad when it cannot be read.
[[nodiscard]] catalog::Result<SelectionSpec> load_selection(const Store& store);
[[nodiscard]] catalog::Status save_selection(const Store& store, const SelectionSpec& spec);

}  // namespace holdfast::core
