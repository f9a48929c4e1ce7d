#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/run/context.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// What lies below ROOT, seen with a selection's eyes.
struct SurveyResult {
  std::uint64_t files = 0;  ///< selected names of regular files
  std::uint64_t directories = 0;
  std::uint64_t symlinks = 0;
  std::uint64_t specials = 0;
  std::uint64_t bytes = 0;       ///< apparent, of selected names; a link group counts once a name
  std::uint64_t name_bytes = 0;  ///< of all selected names
  std::uint64_t path_bytes = 0;  ///< of their paths below ROOT
  std::uint64_t selected_blocks = 0;          ///< bytes allocated to selected files
  std::uint64_t unselected_blocks = 0;        ///< bytes allocated to what is not selected
  std::vector<SizedPath> largest_unselected;  ///< at most ten trees, the largest first
  std::vector<std::string> borders;           ///< mount points and subvolumes, relative to ROOT
  std::vector<catalog::Problem> unseen;       ///< what could not be looked at, as missed
};

/// How much of ROOT a survey looks at.
enum class SurveyScope : std::uint8_t {
  kAll,
  kUnselected,            ///< not below what is selected whole: nothing in there is counted
  kUnselectedAndBorders,  ///< there for borders only: files that are selected are not counted
};

/// Walks ROOT in parallel and changes nothing.
/// @param store_dir the store to leave out; may be invalid (-1) when there is none
[[nodiscard]] catalog::Result<SurveyResult> survey(DirFd root, DirFd store_dir,
                                                   const Selection& selection, SurveyScope scope,
                                                   Progress& progress, const RunContext& context,
                                                   const std::string& root_name);

}  // namespace holdfast::core
