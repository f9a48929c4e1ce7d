#include "cli/text.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"

namespace holdfast::cli {

namespace {
constexpr std::array kUnitNames = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
constexpr std::int64_t kYear0 = -62'167'219'200;  // 0000-01-01, in seconds
constexpr std::int64_t kYear10000 = 253'402'300'800;
}  // namespace

std::string human_size(std::uint64_t bytes) {
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnitNames.size()) {  // 1023.95 would print as 1024.0
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnitNames[unit]);
}

std::string human_count(std::uint64_t count) {
  std::string digits = fmt::format("{}", count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string human_duration(double seconds) {
  if (seconds < 9.95) {
    return fmt::format("{:.1f} s", seconds);
  }
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 60) {
    return fmt::format("{} s", whole);
  }
  if (whole < 3600) {
    return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  }
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string iso_time(const catalog::Timestamp& time) {
  if (time.seconds < kYear0 || time.seconds >= kYear10000) {
    return fmt::format("@{}", time.seconds);
  }
  const std::chrono::sys_seconds when{std::chrono::seconds{time.seconds}};
  const auto midnight = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date{midnight};
  const std::chrono::hh_mm_ss clock{when - midnight};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string mode_text(catalog::FileType type, std::uint32_t mode) {
  std::string text = "?rwxrwxrwx";
  switch (type) {
    case catalog::FileType::kFile:
      text[0] = '-';
      break;
    case catalog::FileType::kDirectory:
      text[0] = 'd';
      break;
    case catalog::FileType::kSymlink:
      text[0] = 'l';
      break;
    case catalog::FileType::kFifo:
      text[0] = 'p';
      break;
    case catalog::FileType::kChar:
      text[0] = 'c';
      break;
    case catalog::FileType::kBlock:
      text[0] = 'b';
      break;
  }
  for (unsigned bit = 0; bit < 9; ++bit) {
    if ((mode & (0400U >> bit)) == 0) {
      text[bit + 1] = '-';
    }
  }
  const auto special = [&text](std::size_t at, char letter) {
    text[at] = text[at] == '-' ? static_cast<char>(letter - 'a' + 'A') : letter;
  };
  if ((mode & 04000U) != 0) {
    special(3, 's');
  }
  if ((mode & 02000U) != 0) {
    special(6, 's');
  }
  if ((mode & 01000U) != 0) {
    special(9, 't');
  }
  return text;
}

std::string wrapped(std::string_view text, unsigned width, unsigned indent) {
  std::string result;
  std::size_t column = indent;
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (word.empty()) {
      continue;
    }
    if (!result.empty() && column + 1 + word.size() > width) {
      result += '\n';
      result.append(indent, ' ');
      column = indent;
    } else if (!result.empty()) {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
  }
  return result;
}

std::string painted(bool colour, Colour with, std::string_view text) {
  if (!colour) {
    return std::string(text);
  }
  std::string_view code;
  switch (with) {
    case Colour::kRed:
      code = "31";
      break;
    case Colour::kYellow:
      code = "33";
      break;
    case Colour::kGreen:
      code = "32";
      break;
    case Colour::kBold:
      code = "1";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string shell_word(std::string_view text) {
  std::string word = catalog::escape_name(text);
  if (!word.empty() && word.find_first_of(" '\"*?[]$`;&|<>(){}#~!\\") == std::string::npos) {
    return word;
  }
  for (std::size_t at = word.find('\''); at != std::string::npos; at = word.find('\'', at + 4)) {
    word.replace(at, 1, R"('\'')");
  }
  return fmt::format("'{}'", word);
}

std::string problem_text(const catalog::Problem& problem, std::string_view place, bool colour) {
  Colour tone = Colour::kRed;
  switch (problem.kind) {
    case catalog::ProblemKind::kSkipped:
    case catalog::ProblemKind::kVanished:
    case catalog::ProblemKind::kConflict:
    case catalog::ProblemKind::kExtra:
    case catalog::ProblemKind::kUnstable:
    case catalog::ProblemKind::kWarning:
      tone = Colour::kYellow;
      break;
    case catalog::ProblemKind::kMissed:
    case catalog::ProblemKind::kLeft:
    case catalog::ProblemKind::kModified:
    case catalog::ProblemKind::kCorrupt:
    case catalog::ProblemKind::kMissing:
      break;
  }
  std::string line = painted(colour, tone, catalog::to_word(problem.kind));
  const std::string path = catalog::escape_name(problem.path.empty() ? "." : problem.path);
  line += place.empty() ? fmt::format(": {}", path)
                        : fmt::format(": {}: {}", catalog::escape_name(place), path);
  if (!problem.reason.empty()) {
    line += fmt::format(": {}", catalog::escape_name(problem.reason));
  }
  if (problem.error_number != 0) {
    line += fmt::format(": {}", std::generic_category().message(problem.error_number));
  }
  if (!problem.operation.empty() && problem.error_number != 0) {
    line += fmt::format(" ({})", problem.operation);
  }
  return line;
}

std::vector<std::string> error_text(std::string_view command, const catalog::Error& error,
                                    std::string_view place) {
  std::string line = fmt::format("holdfast: {}: ", command);
  if (!place.empty() && place != error.place) {
    line += fmt::format("{}: ", catalog::escape_name(place));
  }
  if (error.fault == catalog::Fault::kRefused) {
    line += fmt::format("refused [{}]: ", error.reason_code);
  }
  line += catalog::describe(error);
  std::vector<std::string> lines{std::move(line)};
  if (!error.hint.empty()) {
    lines.push_back(fmt::format("hint: {}", catalog::escape_name(error.hint)));
  }
  return lines;
}

}  // namespace holdfast::cli
