#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/reader.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {

/// Where @p selection stands in a directory; nullopt when nothing in it is wanted.
[[nodiscard]] std::optional<Selection::State> state_in(const Selection& selection,
                                                       std::span<const std::string> components);
/// What @p selection says of a path, asked component by component.
[[nodiscard]] Selection::Verdict judge_path(const Selection& selection, std::string_view path,
                                            bool is_directory);
/// True when it wants the path, whatever is there.
[[nodiscard]] bool selects_path(const Selection& selection, std::string_view path);

struct Gaps {
  std::uint64_t missed = 0;  ///< recorded as missed and accepted by nobody
  std::uint64_t accepted = 0;
  std::uint64_t unstable = 0;
};
/// Counts the catalog's recorded problems against --accept-missed patterns.
[[nodiscard]] catalog::Result<Gaps> count_gaps(const catalog::Reader& reader,
                                               const std::vector<std::string>& accepted);

}  // namespace holdfast::core
