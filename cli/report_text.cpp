#include "cli/report_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "cli/options.hpp"
#include "cli/text.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/store/state.hpp"

namespace holdfast::cli {

namespace {

using core::Count;
using core::VolumeReport;

constexpr std::size_t kNarrowestLeft = 10;  // columns of the left side

struct Part {
  Count count;
  std::string_view one;
  std::string_view many;
};
constexpr std::array kParts = {
    Part{Count::kFiles, "file", "files"}, Part{Count::kDirectories, "directory", "directories"},
    Part{Count::kSymlinks, "symlink", "symlinks"}, Part{Count::kSpecials, "special", "specials"}};

// Zeros are left out, except where zero is what everybody wants to read.
constexpr std::array kPlain = {std::pair{Count::kReflinked, "reflinked"},
                               std::pair{Count::kCopied, "copied"},
                               std::pair{Count::kDropped, "dropped"},
                               std::pair{Count::kUnstable, "unstable"},
                               std::pair{Count::kVanished, "vanished"},
                               std::pair{Count::kRestored, "restored"},
                               std::pair{Count::kConflicts, "conflicts"},
                               std::pair{Count::kDisplaced, "displaced"},
                               std::pair{Count::kMovedAside, "moved aside"},
                               std::pair{Count::kDeleted, "deleted"},
                               std::pair{Count::kLeft, "left"},
                               std::pair{Count::kOk, "ok"},
                               std::pair{Count::kModified, "modified"},
                               std::pair{Count::kCorrupt, "corrupt"},
                               std::pair{Count::kMissing, "missing"},
                               std::pair{Count::kExtra, "extra"},
                               std::pair{Count::kAdopted, "adopted"},
                               std::pair{Count::kRehashed, "rehashed"},
                               std::pair{Count::kSkipped, "skipped"},
                               std::pair{Count::kSetuid, "setuid"},
                               std::pair{Count::kCapabilities, "capabilities"}};

/// Two columns: what, and its value.
class Rows {
 public:
  void add(std::string_view name, std::string value) {
    if (!value.empty()) {
      rows_.emplace_back(name, std::move(value));
    }
  }
  void add(std::string_view name, const std::optional<std::uint64_t>& count) {
    add(name, count ? human_count(*count) : std::string());
  }
  [[nodiscard]] std::string text() const {
    std::size_t width = kNarrowestLeft;
    for (const auto& [name, value] : rows_) {
      width = std::max(width, name.size());
    }
    std::string text;
    for (const auto& [name, value] : rows_) {
      text += fmt::format("  {:{}}  {}\n", name, width, value);
    }
    return text;
  }

 private:
  std::vector<std::pair<std::string_view, std::string>> rows_;
};

/// "1 file", "1,234 files".
std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", human_count(count), count == 1 ? one : many);
}

std::string files_and_bytes(const VolumeReport& volume, Count files, Count bytes) {
  const auto number = volume.counts.get(files);
  if (!number || *number == 0) {
    return {};
  }
  std::string text = counted(*number, "file", "files");
  if (const auto size = volume.counts.get(bytes)) {
    text += fmt::format(", {}", human_size(*size));
  }
  return text;
}

/// "200,113 (180,000 files, 17,300 directories, 12 symlinks)".
std::string entries_text(const VolumeReport& volume) {
  const auto entries = volume.counts.get(Count::kEntries);
  if (!entries) {
    return {};
  }
  std::vector<std::string> words;
  for (const Part& part : kParts) {
    if (const auto count = volume.counts.get(part.count); count && *count != 0) {
      words.push_back(counted(*count, part.one, part.many));
    }
  }
  return words.empty() ? human_count(*entries)
                       : fmt::format("{} ({})", human_count(*entries), fmt::join(words, ", "));
}

std::string time_text(const VolumeReport& volume) {
  std::vector<std::string> phases;
  phases.reserve(volume.phases.size());
  for (const core::PhaseReport& phase : volume.phases) {
    phases.push_back(fmt::format("{} {}", phase.name, human_duration(phase.seconds)));
  }
  if (volume.seconds <= 0) {
    return {};
  }
  return phases.empty()
             ? human_duration(volume.seconds)
             : fmt::format("{} ({})", human_duration(volume.seconds), fmt::join(phases, ", "));
}

void add_counts(Rows& rows, const VolumeReport& volume) {
  rows.add("entries", entries_text(volume));
  if (const auto bytes = volume.counts.get(Count::kBytes)) {
    rows.add("size", human_size(*bytes));
  }
  if (const auto linked = volume.counts.get(Count::kLinked); linked && *linked != 0) {
    rows.add("linked", human_count(*linked));
  }
  rows.add("hashed", files_and_bytes(volume, Count::kHashedFiles, Count::kHashedBytes));
  for (const auto& [count, name] : kPlain) {
    if (const auto value = volume.counts.get(count); value && *value != 0) {
      rows.add(name, human_count(*value));
    }
  }
  rows.add("missed", volume.counts.get(Count::kMissed));
}

void add_space(Rows& rows, const VolumeReport& volume) {
  if (volume.free_bytes) {
    rows.add("free", volume.needed_bytes
                         ? fmt::format("{}, {} needed", human_size(*volume.free_bytes),
                                       human_size(*volume.needed_bytes))
                         : human_size(*volume.free_bytes));
  }
  if (volume.would_free_bytes) {
    rows.add("deletable", human_size(*volume.would_free_bytes));
  }
}

/// What wipe leaves where it is, and the largest trees that nobody selected.
std::string wipe_text(const VolumeReport& volume) {
  std::string text;
  if (!volume.kept.empty()) {
    text += "stays in place:\n";
    for (const std::string& path : volume.kept) {
      text += fmt::format("  {}\n", catalog::escape_name(path));
    }
  }
  if (!volume.not_selected.empty()) {
    text += "not selected, will not be restored (the largest):\n";
    for (const core::SizedPath& tree : volume.not_selected) {
      text +=
          fmt::format("  {:>10}  {}\n", human_size(tree.bytes), catalog::escape_name(tree.path));
    }
  }
  if (volume.ready) {
    text += *volume.ready ? "go: wipe would do it\n" : "no go:\n";
    for (const core::Reason& reason : volume.reasons) {
      text += fmt::format("  [{}] {}\n", reason.code, catalog::escape_name(reason.text));
    }
  }
  return text;
}

std::string volume_text(Command command, const VolumeReport& volume) {
  std::string text = fmt::format("{} {}", spec_of(command).name, catalog::escape_name(volume.root));
  if (volume.nothing_to_do && !volume.error) {
    text += ": nothing to do";
  }
  text += '\n';
  Rows rows;
  rows.add("state", volume.state ? std::string(core::to_word(*volume.state)) : "no store");
  if (command == Command::kStatus) {
    rows.add("store", catalog::escape_name(volume.store));
    rows.add("captured", volume.captured_at);
    rows.add("capture id", volume.capture_id);
    rows.add("filesystem", volume.fs_uuid.empty()
                               ? volume.fs_type
                               : fmt::format("{} {}", volume.fs_type, volume.fs_uuid));
    for (const auto& [key, value] : volume.labels) {
      rows.add("label",
               fmt::format("{}={}", catalog::escape_name(key), catalog::escape_name(value)));
    }
  }
  add_counts(rows, volume);
  add_space(rows, volume);
  if (command != Command::kStatus) {
    rows.add("took", time_text(volume));
  }
  text += rows.text();
  return text + wipe_text(volume);
}

std::string place_of(const core::RunReport& report, const VolumeReport& volume) {
  return report.volumes.size() > 1 ? volume.root : std::string();
}

}  // namespace

std::string summary_text(Command command, const core::RunReport& report) {
  if (report.volumes.empty()) {
    return "no stores found on the mounted volumes\n";
  }
  std::string text;
  for (const VolumeReport& volume : report.volumes) {
    // A volume that got nowhere has its error on stderr and nothing to add up.
    const bool refused = volume.error && !volume.state && !volume.ready;
    if (!refused) {
      if (!text.empty()) text += "\n";
      text += volume_text(command, volume);
    }
  }
  return text;
}

std::string next_text(const core::RunReport& report, int exit_code) {
  std::vector<std::string> lines;
  for (const VolumeReport& volume : report.volumes) {
    if (!volume.next.empty() && std::ranges::find(lines, volume.next) == lines.end()) {
      lines.push_back(volume.next);
    }
  }
  if (lines.empty()) {
    lines.emplace_back(exit_code == 0 ? "nothing"
                                      : "see the messages above, then run the command again");
  }
  std::string text;
  for (const std::string& line : lines) {
    text += fmt::format("next: {}\n", catalog::escape_name(line));
  }
  return text;
}

std::vector<std::string> failure_text(Command command, const core::RunReport& report) {
  const std::string_view name = spec_of(command).name;
  std::vector<std::string> lines;
  for (const VolumeReport& volume : report.volumes) {
    const std::string place = place_of(report, volume);
    if (volume.error) {
      std::ranges::move(error_text(name, *volume.error, place), std::back_inserter(lines));
    }
    if (volume.ready) {
      continue;  // a dry run's reasons are its result
    }
    for (const core::Reason& reason : volume.reasons) {
      if (!volume.error || volume.error->reason_code != reason.code) {
        std::ranges::move(error_text(name,
                                     {.fault = catalog::Fault::kRefused,
                                      .operation = {},
                                      .place = {},
                                      .cause = {},
                                      .reason = reason.text,
                                      .reason_code = reason.code,
                                      .hint = {}},
                                     place),
                          std::back_inserter(lines));
      }
    }
  }
  return lines;
}

}  // namespace holdfast::cli
