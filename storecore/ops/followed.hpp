#pragma once

#include <functional>
#include <string_view>

#include "storecore/ops/operations.hpp"
#include "storecore/ops/session.hpp"

namespace holdfast::core {

/// As for_each_volume(), on the named ROOTs and on every volume that was captured together with one
/// of them, wherever it is mounted now. One that is not mounted becomes a report of its own (exit
/// 3), behind the others.
[[nodiscard]] RunReport for_each_followed_volume(
    const Targets& targets, std::string_view command, const RunContext& context,
    const std::function<VolumeReport(Session&, const StorePlace&)>& body);

/// What a sealed store holds, as its state records it: entries, files, bytes, ... and its gaps.
[[nodiscard]] Counts recorded_counts(const StoreRecord& record);

}  // namespace holdfast::core
