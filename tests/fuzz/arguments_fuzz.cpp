// Command lines: any words, for any command, are understood or refused, and a PATH that is
// understood stays below ROOT.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "catalog/name.hpp"
#include "cli/invocation.hpp"
#include "cli/options.hpp"
#include "cli/parse.hpp"
#include "cli/values.hpp"
#include "fuzz.hpp"

using namespace holdfast::cli;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::Bytes;
using holdfast::fuzz::require;

namespace {

void check_path(const std::string& path) {
  require(holdfast::catalog::is_clean_path(path), "a PATH stays below ROOT");
}

void check_shown(const std::string& text) {
  require(std::ranges::none_of(text, [](char c) { return c >= 0 && c < 0x20 && c != '\n'; }),
          "what is shown has no control bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input(data, size);
  std::vector<std::string> words;
  while (!input.empty() && words.size() < 32) words.push_back(input.text());
  const auto read = read_command_line(words, 2);
  if (read) {
    for (const std::string& path : read->restore.paths) check_path(path);
    for (const std::string& path : read->wipe.keep) check_path(path);
    if (read->listing.path) check_path(*read->listing.path);
    check_shown(read->command_line);
  } else {
    check_shown(read.error().message);
    check_shown(read.error().hint);
  }
  for (const std::string& word : words) {
    (void)parse_size(word);
    (void)parse_seconds(word);
    const auto number = parse_number(word);
    require(!number || word.find_first_not_of("0123456789") == std::string::npos,
            "a number is digits");
  }
  return 0;
}
