// Rule files: parsed, resolved for people with hostile homes, and what comes out compiled.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "fuzz.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/rules/rule_book.hpp"
#include "storecore/rules/rule_file.hpp"
#include "storecore/select/pattern.hpp"
#include "storecore/select/rule.hpp"

using namespace holdfast::core;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::require;

namespace {

constexpr std::string_view kName = "lib/f.toml";

void check_error(const holdfast::catalog::Error& error) {
  require(error.fault == holdfast::catalog::Fault::kUsage, "what a file says is a usage error");
  require(error.place.starts_with(std::string(kName) + ":"), "an error names file and place");
  const std::string line = holdfast::catalog::describe(error);
  require(holdfast::catalog::is_utf8(line), "an error is text");
  require(std::ranges::none_of(
              line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }),
          "an error is one line without controls");
}

void check_pattern(std::string_view pattern) {
  require(compile_pattern(pattern, Anchor::kRoot).has_value() &&
              compile_pattern(pattern, Anchor::kNoSlash).has_value(),
          "what is resolved compiles");
}

std::vector<UserPlaces> people() {
  return {{.user = "root", .home = "", .places = {{"cache", ""}, {"music", "srv/[m]"}}},
          {.user = "al", .home = "home/a*b\\", .places = {{"config", "!x/**"}}}};
}

void check_resolved(const RuleBook& book, const RuleFile& file, std::string_view text,
                    bool answer) {
  const Resolved resolved = resolve(book, people(), [&](std::string_view pattern) {
    check_pattern(pattern);
    return answer;
  });
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  for (const SelectionRule& rule : resolved.rules) {
    check_pattern(rule.pattern);
    require(rule.line >= 1 && rule.line <= lines, "a rule's line is one of the file's");
    require(rule.file == "f.toml", "a rule names its file");
    require(std::ranges::find(resolved.components, rule.component, &PresentComponent::name) !=
                resolved.components.end(),
            "a component with a rule is there");
  }
  require(resolved.components.size() <= file.components.size(), "a component is there once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const holdfast::fuzz::Exact text(holdfast::fuzz::Bytes(data, size).rest());
  auto file = parse_rules(text.view(), kName, RuleLayer::kSite);
  if (!file) {
    check_error(file.error());
    return 0;
  }
  RuleBook book;
  require(book.add(*file).has_value(), "a file that was read has each component once");
  check_resolved(book, *file, text.view(), true);
  check_resolved(book, *file, text.view(), false);
  const auto again = book.add(*file);
  require(again.has_value() == file->components.empty(), "a component is in a book once");
  if (!again) check_error(again.error());
  return 0;
}
