// Journals: lines with their checksums, and what stands in each of the three kinds.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "fuzz.hpp"
#include "storecore/link/flag_journal.hpp"
#include "storecore/ops/restore_journal.hpp"
#include "storecore/ops/wipe_plan.hpp"
#include "storecore/store/journal.hpp"

using namespace holdfast::core;  // NOLINT(google-build-using-namespace)
using holdfast::catalog::is_clean_path;
using holdfast::fuzz::Bytes;
using holdfast::fuzz::Exact;
using holdfast::fuzz::require;

namespace {

std::vector<std::string> lines_of(std::string_view text, bool& whole) {
  std::vector<std::string> lines;
  whole = Journal::for_each_line(text, "journal", [&](std::string_view line) {
            lines.emplace_back(line);
            return holdfast::catalog::Status();
          }).has_value();
  return lines;
}

std::string sealed(std::string_view line) {
  return fmt::format("{:016x} {}\n", holdfast::catalog::checksum64(line), line);
}

void check_text(std::string_view text) {
  const Exact exact(text);
  bool whole = false;
  std::string again;
  for (const std::string& line : lines_of(exact.view(), whole)) again += sealed(line);
  require(text.starts_with(again), "lines are read as they were written");
}

/// A cut anywhere costs lines from its end and nothing else.
void check_cut(Bytes& input) {
  const std::size_t cut = input.byte() + std::size_t{256} * (input.byte() % 4);
  std::vector<std::string> lines;
  std::string text;
  while (!input.empty()) {
    std::string line = input.text();
    if (line.find('\n') != std::string::npos) return;
    text += sealed(line);
    lines.push_back(std::move(line));
  }
  bool whole = false;
  const auto read = lines_of(std::string_view(text).substr(0, cut), whole);
  require(whole && read.size() <= lines.size(), "a torn journal is no damage");
  for (std::size_t i = 0; i < read.size(); ++i)
    require(read[i] == lines[i], "a torn journal has its first lines");
  if (cut >= text.size()) require(read.size() == lines.size(), "a whole journal has all lines");
}

void check_line(std::string_view text) {
  const Exact line(text);
  WipePlan plan;
  if (add_plan_line(line.view(), plan)) {
    require(plan.moves.size() + plan.splits.size() + plan.stays.size() == 1, "a line is an item");
    for (const auto* items : {&plan.moves, &plan.stays})
      for (const auto& item : *items)
        require(!item.path.empty() && is_clean_path(item.path), "a plan's path is clean");
    for (const auto& split : plan.splits)
      require(is_clean_path(split.path), "a plan's path is clean");
  }
  RestoreNotes notes;
  if (add_restore_line(line.view(), notes)) {
    require(notes.finished.size() + notes.moved.size() == 1, "a line is a note");
    for (const auto& path : notes.finished) require(is_clean_path(path), "a note's path is clean");
    for (const auto& moved : notes.moved)
      require(is_clean_path(moved.from) && is_clean_path(moved.into), "a note's path is clean");
  }
  if (const auto note = parse_flag_note(line.view()))
    require(is_clean_path(note->path), "a note's path is clean");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input(data, size);
  switch (input.byte() % 3) {
    case 0:
      check_text(input.rest());
      break;
    case 1:
      check_cut(input);
      break;
    default:
      check_line(input.rest());
      break;
  }
  return 0;
}
