#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// Names that mode `move` took out of the store went to @p to: what was captured at or below @p
/// from is at or below
/// @p into there. The longest @p from wins.
struct MovedOut {
  std::string to;    ///< absolute; empty: ROOT
  std::string from;  ///< relative to ROOT, as captured; empty: everything
  std::string into;  ///< relative to the destination; empty: its top
  bool operator==(const MovedOut&) const = default;
};

/// journal/restore.jsonl: what restores of parts have done since the wipe.
struct RestoreNotes {
  std::vector<std::string>
      finished;  ///< PATHs that were restored to their place in ROOT, without a problem
  std::vector<MovedOut> moved;
};

/// Takes one line, of whatever wipe. False: not a line that add_restore_notes() writes.
[[nodiscard]] bool add_restore_line(std::string_view line, RestoreNotes& notes);
/// Notes of the present wipe; none when there is no file.
[[nodiscard]] catalog::Result<RestoreNotes> read_restore_notes(const Store& store);
/// Adds what is not there yet. Durable when it returns.
[[nodiscard]] catalog::Status add_restore_notes(const Store& store, const RestoreNotes& notes);
/// ROOT was emptied again: nothing is in its place any more. For wipe and rollback.
[[nodiscard]] catalog::Status forget_restores(const Store& store);

}  // namespace holdfast::core
