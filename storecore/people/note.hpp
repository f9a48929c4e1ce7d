#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/people/accounts.hpp"

namespace holdfast::core {

/// What was odd about the captured system's people. None of it ends a run.
enum class NoteKind : std::uint8_t {
  kBadLine,       ///< a line of passwd or group that could not be understood, and was left out
  kRepeatedName,  ///< a line whose name an earlier one has, and was left out
  kUnreadable,    ///< a file that is there and could not be read; as if it were not there
  kAboveRange,    ///< an account above UID_MAX: not one of the people unless it is named
  kNoHome,        ///< no home, or none that is there; nothing of this user was expanded
  kSystemHome,    ///< the home is the whole system or a part of it; nothing was expanded
  kSharedHome,    ///< the home is an earlier user's, for whom it was expanded
  kOtherVolume,   ///< home or place lies on another volume than ROOT; expanded all the same
  kOutsidePlace,  ///< a place outside of the home; taken
  kRefusedPlace,  ///< a place that is not the user's to name; not taken
};
/// The word that JSON and text use: "bad-line", "no-home", ...
[[nodiscard]] std::string_view to_word(NoteKind kind) noexcept;

struct PeopleNote {
  NoteKind kind = NoteKind::kBadLine;
  std::string user;    ///< empty for a whole file
  std::string path;    ///< relative to ROOT, raw bytes
  std::string reason;  ///< one clause, no full stop
  bool operator==(const PeopleNote&) const = default;
};

/// A note for each line of @p path that was left out, and one for those that were only counted.
void add_line_notes(NoteKind kind, std::string_view user, std::string_view path,
                    const LineFaults& faults, std::vector<PeopleNote>& notes);
/// What read_inside() says, as one clause.
[[nodiscard]] std::string reason_of(const catalog::Error& error);

}  // namespace holdfast::core
