#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::catalog {

/// Why one entry needs a person's attention. Frozen: the values are in catalogs; add at the end.
enum class ProblemKind : std::uint8_t {
  kSkipped = 1,   ///< by design: sockets, other volumes, stores, files that vanished while walking
  kMissed = 2,    ///< wanted and not held
  kUnstable = 3,  ///< held, but kept changing while it was hashed
  kVanished = 4,  ///< captured earlier, gone from the source now; still held
  kLeft = 5,      ///< could not be moved aside, deleted or restored; still where it was
  kConflict = 6,  ///< something else has the place at restore
  kModified = 7,  ///< content differs from the catalog and somebody wrote to it
  kCorrupt = 8,   ///< content differs from the catalog and nobody wrote to it
  kMissing = 9,   ///< catalogued, but the store has no such name any more
  kExtra = 10,    ///< in the store, but not catalogued
  kWarning = 11,  ///< worth knowing, changes no exit code
};

/// The word that JSON and text use: "skipped", "missed", ...
[[nodiscard]] std::string_view to_word(ProblemKind kind) noexcept;
[[nodiscard]] std::optional<ProblemKind> problem_kind_from(std::uint8_t value) noexcept;

/// One entry that did not go as it should, as data: it is listed, and decides the exit code.
struct Problem {
  ProblemKind kind = ProblemKind::kWarning;
  std::string path;       ///< raw bytes, relative to ROOT; empty for ROOT itself
  std::string operation;  ///< system call or step, e.g. "linkat"; may be empty
  int error_number = 0;   ///< errno, 0 when the reason is ours
  std::string reason;     ///< one clause; empty when the errno says it all
};

}  // namespace holdfast::catalog
