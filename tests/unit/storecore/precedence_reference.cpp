#include "precedence_reference.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/name.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::test {
namespace {

using core::Explanation;
using core::glob_match;
using core::RuleEffect;
using core::RuleLayer;
using core::Selection;
using core::SelectionRule;
using core::SelectionSpec;
using By = Explanation::By;
using Words = std::vector<std::string>;
using Path = std::span<const std::string>;

Words split(std::string_view text, char at) {
  Words words;
  while (true) {
    const std::size_t end = std::min(text.find(at), text.size());
    words.emplace_back(text.substr(0, end));
    if (end == text.size()) return words;
    text.remove_prefix(end + 1);
  }
}

struct Reading {
  Words parts;
  bool directories_only = false;
};

Reading read(std::string_view pattern, bool floats) {
  Reading reading;
  while (pattern.ends_with('/')) {
    reading.directories_only = true;
    pattern.remove_suffix(1);
  }
  if (floats && !pattern.contains('/')) reading.parts.emplace_back("**");
  for (const std::string& part : split(pattern, '/')) {
    if (!part.empty() && part != ".") reading.parts.push_back(part);
  }
  return reading;
}

bool covers(Path parts, Path path) {
  if (parts.empty()) return path.empty();
  if (parts.front() == "**") {
    if (parts.size() == 1) return !path.empty();
    return covers(parts.subspan(1), path) || (!path.empty() && covers(parts, path.subspan(1)));
  }
  return !path.empty() && glob_match(parts.front(), path.front()) &&
         covers(parts.subspan(1), path.subspan(1));
}

bool may_match_below(Path parts, Path path) {
  if (parts.empty()) return false;
  if (parts.front() == "**" || path.empty()) return true;
  return glob_match(parts.front(), path.front()) &&
         may_match_below(parts.subspan(1), path.subspan(1));
}

bool has_wildcard(std::string_view part) {
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '\\') {
      ++i;
    } else if (std::string_view("*?[").contains(part[i])) {
      return true;
    }
  }
  return false;
}

/// One that matches, and at which path.
struct Hit {
  By by;
  std::size_t index;
  std::size_t depth;
};

class Question {
 public:
  Question(const SelectionSpec& spec, Words path, bool is_directory)
      : spec_(&spec), path_(std::move(path)), is_directory_(is_directory) {
    for (const std::string& pattern : spec.exclude) excludes_.push_back(read(pattern, true));
    for (const std::string& pattern : spec.include) includes_.push_back(read(pattern, false));
    for (const SelectionRule& rule : spec.rules)
      rules_.push_back(read(rule.pattern, rule.effect != RuleEffect::kInclude));
  }

  /// Steps 1 to 6, as they are written.
  [[nodiscard]] bool is_taken() const {
    if (any_matches(excludes_)) return false;
    if (spec_->everything || any_matches(includes_)) return true;
    if (is_always_excluded()) return false;
    for (std::size_t depth = path_.size(); depth > 0; --depth) {
      if (const auto taken = decide_at(depth)) return *taken;
    }
    return false;
  }

  [[nodiscard]] bool is_entered() const {
    if (!is_directory_ || any_matches(excludes_)) return false;
    const auto leads_on = [&](const Reading& reading) {
      return may_match_below(reading.parts, path_);
    };
    if (std::ranges::any_of(includes_, leads_on)) return true;
    if (is_always_excluded()) return false;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (spec_->rules[i].effect == RuleEffect::kInclude && leads_on(rules_[i])) return true;
    }
    return false;
  }

  /// Everything that matches, each where it is nearest, sorted.
  [[nodiscard]] std::vector<Hit> hits() const {
    std::vector<Hit> all;
    const auto look = [&](By by, const std::vector<Reading>& readings) {
      for (std::size_t i = 0; i < readings.size(); ++i) {
        std::size_t depth = path_.size();
        while (depth > 0 && !matches(readings[i], depth)) --depth;
        if (depth > 0) all.push_back({.by = by, .index = i, .depth = depth});
      }
    };
    look(By::kExclude, excludes_);
    look(By::kInclude, includes_);
    if (spec_->everything) all.push_back({.by = By::kEverything, .index = 0, .depth = 0});
    look(By::kRule, rules_);
    std::ranges::sort(all, [&](const Hit& a, const Hit& b) { return comes_first(a, b); });
    return all;
  }

 private:
  [[nodiscard]] bool matches(const Reading& reading, std::size_t depth) const {
    if (reading.directories_only && depth == path_.size() && !is_directory_) return false;
    return covers(reading.parts, Path(path_).first(depth));
  }

  [[nodiscard]] bool matches_somewhere(const Reading& reading) const {
    for (std::size_t depth = 1; depth <= path_.size(); ++depth) {
      if (matches(reading, depth)) return true;
    }
    return false;
  }
  [[nodiscard]] bool any_matches(const std::vector<Reading>& readings) const {
    return std::ranges::any_of(readings,
                               [&](const Reading& reading) { return matches_somewhere(reading); });
  }

  [[nodiscard]] bool is_always_excluded() const {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (spec_->rules[i].effect == RuleEffect::kAlwaysExclude && matches_somewhere(rules_[i]))
        return true;
    }
    return false;
  }

  [[nodiscard]] bool ends_plainly(std::size_t rule) const {
    return !has_wildcard(rules_[rule].parts.back());
  }
  [[nodiscard]] std::ptrdiff_t plain_parts(std::size_t rule) const {
    return std::ranges::count_if(rules_[rule].parts,
                                 [](const std::string& part) { return !has_wildcard(part); });
  }

  /// Step 5. nullopt: no rule matches at this path.
  [[nodiscard]] std::optional<bool> decide_at(std::size_t depth) const {
    std::vector<std::size_t> left;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (matches(rules_[i], depth)) left.push_back(i);
    }
    if (left.empty()) return std::nullopt;
    const auto keep_best = [&](const auto& worth) {
      auto best = worth(left.front());
      for (const std::size_t rule : left) best = std::max(best, worth(rule));
      std::erase_if(left, [&](std::size_t rule) { return worth(rule) != best; });
    };
    keep_best([&](std::size_t rule) { return spec_->rules[rule].layer; });
    keep_best([&](std::size_t rule) { return ends_plainly(rule); });
    keep_best([&](std::size_t rule) { return plain_parts(rule); });
    return std::ranges::none_of(
        left, [&](std::size_t rule) { return spec_->rules[rule].effect == RuleEffect::kExclude; });
  }

  [[nodiscard]] int step_of(const Hit& hit) const {
    if (hit.by == By::kExclude) return 1;
    if (hit.by != By::kRule) return 2;
    return spec_->rules[hit.index].effect == RuleEffect::kAlwaysExclude ? 3 : 4;
  }

  [[nodiscard]] bool comes_first(const Hit& a, const Hit& b) const {
    if (step_of(a) != step_of(b)) return step_of(a) < step_of(b);
    if (a.depth != b.depth) return a.depth > b.depth;
    if (a.by != By::kRule) return a.index < b.index;
    const SelectionRule& one = spec_->rules[a.index];
    const SelectionRule& other = spec_->rules[b.index];
    if (one.layer != other.layer) return one.layer > other.layer;
    if (ends_plainly(a.index) != ends_plainly(b.index)) return ends_plainly(a.index);
    if (plain_parts(a.index) != plain_parts(b.index))
      return plain_parts(a.index) > plain_parts(b.index);
    if (one.effect != other.effect) return one.effect == RuleEffect::kExclude;
    if (one.component != other.component) return one.component < other.component;
    if (one.line != other.line) return one.line < other.line;
    if (one.file != other.file) return one.file < other.file;
    if (one.user != other.user) return one.user < other.user;
    if (one.pattern != other.pattern) return one.pattern < other.pattern;
    return a.index < b.index;
  }

  const SelectionSpec* spec_;
  Words path_;
  bool is_directory_;
  std::vector<Reading> excludes_;
  std::vector<Reading> includes_;
  std::vector<Reading> rules_;
};

SelectionRule parse_rule(std::string_view word, std::uint32_t line) {
  SelectionRule rule;
  const std::size_t sign = word.find_first_of("+-!");
  const std::string_view layer = word.substr(0, sign);
  if (layer == "site") rule.layer = RuleLayer::kSite;
  if (layer == "given") rule.layer = RuleLayer::kGiven;
  if (word[sign] == '-') rule.effect = RuleEffect::kExclude;
  if (word[sign] == '!') rule.effect = RuleEffect::kAlwaysExclude;
  const Words halves = split(word.substr(sign + 1), '@');
  rule.pattern = halves.front();
  rule.component = "c";
  rule.line = line;
  if (halves.size() == 1) return rule;
  Words fields = split(halves[1], ':');
  fields.resize(4);
  rule.component = fields[0];
  rule.line = 0;
  (void)std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), rule.line);
  rule.file = fields[2];
  rule.user = fields[3];
  return rule;
}

}  // namespace

Terse parse_terse(std::string_view text) {
  constexpr std::string_view include = "--include=";
  constexpr std::string_view exclude = "--exclude=";
  Terse terse;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    if (word == "--everything") {
      terse.spec.everything = true;
    } else if (word.starts_with(include)) {
      terse.spec.include.push_back(word.substr(include.size()));
    } else if (word.starts_with(exclude)) {
      terse.spec.exclude.push_back(word.substr(exclude.size()));
    } else {
      terse.rules.push_back(word);
      terse.spec.rules.push_back(parse_rule(word, static_cast<std::uint32_t>(terse.rules.size())));
    }
  }
  return terse;
}

Explanation reference(const SelectionSpec& spec, std::string_view path) {
  const Words components = catalog::split_path(path).value_or(Words{});
  const bool is_directory = path.ends_with('/') || components.empty();
  const Question question(spec, components, is_directory);
  Explanation answer;
  if (question.is_taken()) {
    answer.verdict = Selection::Verdict::kSelected;
  } else if (components.empty() || question.is_entered()) {
    answer.verdict = Selection::Verdict::kEnter;
  }
  for (const Hit& hit : question.hits()) {
    std::string place;
    for (std::size_t i = 0; i < hit.depth; ++i) place = catalog::join_path(place, components[i]);
    answer.matches.push_back({.by = hit.by, .index = hit.index, .path = place});
  }
  return answer;
}

Selection::Verdict walked(const Selection& selection, std::string_view path) {
  const Words components = catalog::split_path(path).value_or(Words{});
  Selection::State state = selection.root();
  Selection::Verdict verdict = selection.root_verdict();
  for (std::size_t i = 0; i < components.size(); ++i) {
    const bool is_last = i + 1 == components.size();
    verdict = selection.judge(state, components[i], !is_last || path.ends_with('/'));
    if (is_last || verdict == Selection::Verdict::kUnselected) break;
    state = selection.enter(state, components[i]);
  }
  return verdict;
}

std::string show(const Explanation& explanation) {
  constexpr std::string_view verdicts[]{"selected", "enter", "unselected"};
  constexpr std::string_view names[]{"exclude", "include", "everything", "rule"};
  std::string text(verdicts[static_cast<std::size_t>(explanation.verdict)]);
  for (const Explanation::Match& match : explanation.matches) {
    text += ", ";
    text += names[static_cast<std::size_t>(match.by)];
    text += " " + std::to_string(match.index) + " at '" + match.path + "'";
  }
  return text;
}

}  // namespace holdfast::test
