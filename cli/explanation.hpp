#pragma once

#include <string>

#include "storecore/ops/operations.hpp"

/// How `holdfast explain` shows what decided about a path.
namespace holdfast::cli {

/// One line with the path and the verdict, one with what decided, one for each other match.
[[nodiscard]] std::string explanation_text(const core::ExplainedPath& explained);

}  // namespace holdfast::cli
