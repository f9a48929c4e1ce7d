#include "storecore/people/note.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/people/accounts.hpp"

namespace holdfast::core {

std::string_view to_word(NoteKind kind) noexcept {
  switch (kind) {
    case NoteKind::kBadLine:
      return "bad-line";
    case NoteKind::kRepeatedName:
      return "repeated-name";
    case NoteKind::kUnreadable:
      return "unreadable";
    case NoteKind::kAboveRange:
      return "above-range";
    case NoteKind::kNoHome:
      return "no-home";
    case NoteKind::kSystemHome:
      return "system-home";
    case NoteKind::kSharedHome:
      return "shared-home";
    case NoteKind::kOtherVolume:
      return "other-volume";
    case NoteKind::kOutsidePlace:
      return "outside-place";
    case NoteKind::kRefusedPlace:
      return "refused-place";
  }
  return {};
}

void add_line_notes(NoteKind kind, std::string_view user, std::string_view path,
                    const LineFaults& faults, std::vector<PeopleNote>& notes) {
  const auto add = [&](std::string reason) {
    notes.push_back({.kind = kind,
                     .user = std::string(user),
                     .path = std::string(path),
                     .reason = std::move(reason)});
  };
  for (const LineFaults::One& fault : faults.first) {
    add("line " + std::to_string(fault.line) + ": " + fault.reason);
  }
  const std::size_t kept = faults.first.size();
  if (faults.count > kept) add("and " + std::to_string(faults.count - kept) + " lines more");
}

std::string reason_of(const catalog::Error& error) {
  return error.reason.empty() ? error.cause.message() : error.reason;
}

}  // namespace holdfast::core
