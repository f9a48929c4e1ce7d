#include "cli/explanation.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "catalog/name.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::cli {

namespace {

using By = core::Explanation::By;
using Verdict = core::Selection::Verdict;

std::string_view verdict_text(const core::Explanation& explanation) {
  switch (explanation.verdict) {
    case Verdict::kSelected:
      return "selected";
    case Verdict::kEnter:
      return "not selected itself, something below may be";
    case Verdict::kUnselected:
      return "not selected";
  }
  return {};
}

/// "exclude /home/al/.cache (users.toml:12, caches, for al)"
std::string rule_text(const core::SelectionRule& rule) {
  std::string text =
      fmt::format("{} {} ({}", core::to_word(rule.effect), catalog::escape_name(rule.pattern),
                  catalog::escape_name(rule.file));
  if (rule.line != 0) {
    text += fmt::format(":{}", rule.line);
  }
  text += fmt::format(", {}", rule.component);
  if (!rule.user.empty()) {
    text += fmt::format(", for {}", catalog::escape_name(rule.user));
  }
  return text + ")";
}

std::string match_text(const core::ExplainedPath& explained,
                       const core::Explanation::Match& match) {
  std::string text;
  switch (match.by) {
    case By::kExclude:
      text = "--exclude " + catalog::escape_name(explained.spec->exclude[match.index]);
      break;
    case By::kInclude:
      text = "--include " + catalog::escape_name(explained.spec->include[match.index]);
      break;
    case By::kEverything:
      text = "--everything";
      break;
    case By::kRule:
      text = rule_text(explained.spec->rules[match.index]);
      break;
  }
  if (match.path != explained.path) {
    text += fmt::format(", which matches {}",
                        match.path.empty() ? "ROOT" : catalog::escape_name(match.path));
  }
  return text;
}

}  // namespace

std::string explanation_text(const core::ExplainedPath& explained) {
  const core::Explanation& explanation = explained.explanation;
  std::string text =
      fmt::format("{}: {}\n", explained.path.empty() ? "." : catalog::escape_name(explained.path),
                  verdict_text(explanation));
  std::string_view before = "  by ";
  for (const core::Explanation::Match& match : explanation.matches) {
    text += fmt::format("{}{}\n", before, match_text(explained, match));
    before = "  over ";
  }
  if (explanation.matches.empty()) {
    text += "  nothing matches it\n";
  }
  return text;
}

}  // namespace holdfast::cli
