// Lines of journal/restore.jsonl, N being the wipe they belong to (notes of an earlier one say
// nothing any more):
//
//   N finished B64(PATH)
//   N moved B64(TO) B64(FROM) B64(INTO)
//
// Paths are raw bytes, hence base64; "-" stands for an empty one.
#include "storecore/ops/restore_journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/journal.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Result;
using catalog::Status;

namespace {

std::string encode(std::string_view path) { return path.empty() ? "-" : catalog::to_base64(path); }

std::optional<std::string> decode(std::string_view text) {
  return text == "-" ? std::optional<std::string>("") : catalog::from_base64(text);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t blank = line.find(' ');
    words.push_back(line.substr(0, blank));
    if (blank == std::string_view::npos) return words;
    line.remove_prefix(blank + 1);
  }
}

/// Absolute, or empty for ROOT.
bool is_destination(std::string_view path) {
  return path.empty() || (path.front() == '/' && path.find('\0') == std::string_view::npos);
}

}  // namespace

bool add_restore_line(std::string_view line, RestoreNotes& notes) {
  const auto words = words_of(line);
  if (words.size() == 3 && words[1] == "finished") {
    auto path = decode(words[2]);
    if (!path || !catalog::is_clean_path(*path)) return false;
    notes.finished.push_back(std::move(*path));
    return true;
  }
  if (words.size() != 5 || words[1] != "moved") return false;
  auto to = decode(words[2]);
  auto from = decode(words[3]);
  auto into = decode(words[4]);
  if (!to || !from || !into || !is_destination(*to) || !catalog::is_clean_path(*from) ||
      !catalog::is_clean_path(*into))
    return false;
  notes.moved.push_back({.to = std::move(*to), .from = std::move(*from), .into = std::move(*into)});
  return true;
}

Result<RestoreNotes> read_restore_notes(const Store& store) {
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  RestoreNotes notes;
  const std::string number = std::to_string(store.record().wipe_number);
  const auto status =
      Journal::read(*dir, layout::kJournalRestore, [&](std::string_view line) -> Status {
        if (line.substr(0, line.find(' ')) != number) return {};
        if (!add_restore_line(line, notes))
          return catalog::fail(catalog::Fault::kCatalogBad, layout::kJournalRestore,
                               "the journal is damaged");
        return {};
      });
  if (!status) return std::unexpected(status.error());
  return notes;
}

Status add_restore_notes(const Store& store, const RestoreNotes& notes) {
  const auto known = read_restore_notes(store);
  if (!known) return std::unexpected(known.error());
  const std::uint32_t number = store.record().wipe_number;
  std::vector<std::string> lines;
  for (const std::string& path : notes.finished) {
    if (std::ranges::find(known->finished, path) == known->finished.end())
      lines.push_back(fmt::format("{} finished {}", number, encode(path)));
  }
  for (const MovedOut& moved : notes.moved) {
    if (std::ranges::find(known->moved, moved) == known->moved.end())
      lines.push_back(fmt::format("{} moved {} {} {}", number, encode(moved.to), encode(moved.from),
                                  encode(moved.into)));
  }
  if (lines.empty()) return {};
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  auto journal = Journal::open(*dir, layout::kJournalRestore);
  if (!journal) return std::unexpected(journal.error());
  return journal->append_all(lines);
}

Status forget_restores(const Store& store) {
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  const auto stat = stat_at(*dir, layout::kJournalRestore);
  if (!stat && stat.error().value() == ENOENT) return {};
  if (!stat) return catalog::failed("statx", layout::kJournalRestore, stat.error());
  auto journal = Journal::open(*dir, layout::kJournalRestore);
  if (!journal) return std::unexpected(journal.error());
  return journal->clear();
}

}  // namespace holdfast::core
