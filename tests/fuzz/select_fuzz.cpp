// Patterns of a selection: compiled, asked, stored as JSON.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/name.hpp"
#include "fuzz.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

using namespace holdfast::core;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::Bytes;
using holdfast::fuzz::require;

namespace {

using Verdict = Selection::Verdict;

/// Asks from the root down, as a walk does. False: a parent was not entered.
bool judge_path(const Selection& selection, const std::vector<std::string>& path) {
  auto state = selection.root();
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool is_directory = i + 1 < path.size();
    const Verdict verdict = selection.judge(state, path[i], is_directory);
    if (state.takes_all())
      require(verdict == Verdict::kSelected, "where all is taken everything is selected");
    require(is_directory || verdict != Verdict::kEnter, "what is no directory is not entered");
    if (!is_directory) return verdict == Verdict::kSelected;
    if (verdict == Verdict::kUnselected) return false;
    state = selection.enter(state, path[i]);
  }
  return selection.root_verdict() == Verdict::kSelected;
}

std::string quoted(std::string_view name) {
  std::string pattern;
  for (const char c : name) {
    pattern += '\\';
    pattern += c;
  }
  return pattern;
}

SelectionRule rule(Bytes& input) {
  const std::uint8_t kind = input.byte();
  SelectionRule rule;
  rule.effect = static_cast<RuleEffect>(kind % 3);
  rule.layer = static_cast<RuleLayer>(kind / 3 % 3);
  rule.line = kind / 9;
  rule.pattern = input.text();
  rule.user = input.text();
  return rule;
}

void check_stored(const SelectionSpec& spec) {
  const auto read = selection_from_json(to_json(spec));
  require(read == spec, "a stored selection comes back");
}

void check_literal(std::string_view name) {
  if (!holdfast::catalog::is_component(name)) return;
  require(glob_match(quoted(name), name), "a name with backslashes matches itself");
  const auto one =
      Selection::compile({.everything = false, .include = {quoted(name)}, .exclude = {}});
  require(one && judge_path(*one, {std::string(name)}), "a name taken literally selects itself");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input(data, size);
  const std::uint8_t kind = input.byte();
  if (kind % 4 == 0) {
    const std::string text = input.rest();
    if (const auto spec = selection_from_json(text)) check_stored(*spec);
    return 0;
  }
  SelectionSpec spec;
  spec.everything = kind % 4 == 1;
  const std::string path = input.text();
  const std::string pattern = input.text();
  for (unsigned i = 0; i < kind / 4U % 4U + 1U && !input.empty(); ++i)
    (i % 2 == 0 && !spec.everything ? spec.include : spec.exclude).push_back(input.text());
  while (!input.empty()) spec.rules.push_back(rule(input));
  const auto components = holdfast::catalog::split_path(path);
  if (components && !components->empty()) {
    (void)glob_match(pattern, components->back());
    check_literal(components->back());
  }
  check_stored(spec);
  const auto selection = Selection::compile(spec);
  if (selection && components) {
    const bool selected = judge_path(*selection, *components);
    const auto verdict = selection->explain(path, false).verdict;
    require(selected == (verdict == Verdict::kSelected), "what is explained is what is judged");
  }
  return 0;
}
