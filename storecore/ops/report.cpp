#include "storecore/ops/report.hpp"

#include <array>
#include <cstddef>
#include <string_view>

#include "catalog/error.hpp"
#include "storecore/ops/operations.hpp"

namespace holdfast::core {

namespace {
constexpr std::array<std::string_view, kCounts> kWords{
    "entries", "files",     "inodes",   "directories",  "symlinks",     "specials",  "bytes",
    "linked",  "reflinked", "copied",   "hashed_files", "hashed_bytes", "dropped",   "skipped",
    "missed",  "unstable",  "vanished", "restored",     "conflicts",    "displaced", "moved_aside",
    "deleted", "left",      "ok",       "modified",     "corrupt",      "missing",   "extra",
    "adopted", "rehashed",  "setuid",   "capabilities"};
}  // namespace

std::string_view to_word(Count count) noexcept {
  return kWords.at(static_cast<std::size_t>(count));
}

int RunReport::exit_code() const noexcept {
  int code = 0;
  for (const VolumeReport& volume : volumes) {
    if (volume.exit_code == 0) continue;
    code = code == 0
               ? volume.exit_code
               : static_cast<int>(catalog::worse(static_cast<catalog::Fault>(code),
                                                 static_cast<catalog::Fault>(volume.exit_code)));
  }
  return code;
}

std::string_view to_word(RestoreMode mode) noexcept {
  switch (mode) {
    case RestoreMode::kLink:
      return "link";
    case RestoreMode::kMove:
      return "move";
    case RestoreMode::kReflink:
      return "reflink";
    case RestoreMode::kCopy:
      return "copy";
  }
  return {};
}

}  // namespace holdfast::core
