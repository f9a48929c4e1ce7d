#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "precedence_reference.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

// Rule sets and trees that nobody would write, against the reference of precedence_reference.hpp.
namespace holdfast::core {
namespace {

using test::reference;
using test::show;
using test::walked;
using Verdict = Selection::Verdict;

constexpr std::uint32_t kSeed = 20'250'117;
constexpr int kRuleSets = 2000;

constexpr std::array<std::string_view, 7> kNames{"a", "b", "c", "ab", "b.c", "*", "\xc3\xa4"};
constexpr std::array<std::string_view, 18> kParts{"a",  "b",    "c",    "ab",  "b.c", "\\*",
                                                  "a",  "b",    "c",    "*",   "?",   "a*",
                                                  "*c", "[ab]", "[!a]", "\\a", "**",  "**"};

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }
  bool chance(std::size_t one_in) { return below(one_in) == 0; }

  std::string pattern() {
    std::string text = chance(5) ? "/" : "";
    for (std::size_t left = 1 + below(4); left > 0; --left) {
      text += one_of(kParts);
      if (left > 1) text += "/";
    }
    if (chance(5)) text += "/";
    return text;
  }

  SelectionRule rule() {
    constexpr std::array<std::string_view, 2> components{"x", "y"};
    SelectionRule rule;
    rule.effect = chance(8)   ? RuleEffect::kAlwaysExclude
                  : chance(2) ? RuleEffect::kExclude
                              : RuleEffect::kInclude;
    rule.layer = static_cast<RuleLayer>(below(3));
    rule.pattern = pattern();
    rule.component = one_of(components);
    rule.line = static_cast<std::uint32_t>(below(3));
    return rule;
  }

  SelectionSpec spec() {
    SelectionSpec spec;
    spec.everything = chance(20);
    for (std::size_t left = 1 + below(9); left > 0; --left) spec.rules.push_back(rule());
    if (chance(4)) spec.include.push_back(pattern());
    if (chance(4)) spec.include.push_back(pattern());
    if (chance(4)) spec.exclude.push_back(pattern());
    return spec;
  }

  std::string path() {
    std::string text;
    for (std::size_t left = 1 + below(5); left > 0; --left) {
      text += one_of(kNames);
      if (left > 1) text += "/";
    }
    return chance(2) ? text + "/" : text;
  }

  /// Paths of a tree, directories with a slash behind them, each behind the one it is in.
  std::vector<std::string> tree() {
    std::vector<std::string> paths;
    grow("", 0, paths);
    return paths;
  }

 private:
  std::string one_of(std::span<const std::string_view> words) {
    return std::string(words[below(words.size())]);
  }

  void grow(const std::string& parent, int depth, std::vector<std::string>& paths) {
    std::set<std::string> used;
    for (int i = 0; i < 4; ++i) {
      const std::string name = one_of(kNames);
      if (!used.insert(name).second) continue;
      const bool is_directory = depth < 4 && !chance(3);
      paths.push_back(parent + name + (is_directory ? "/" : ""));
      if (is_directory) grow(parent + name + "/", depth + 1, paths);
    }
  }

  std::mt19937 random_;
};

std::string describe(const SelectionSpec& spec, std::string_view path) {
  return to_json(spec) + " on '" + std::string(path) + "', seed " + std::to_string(kSeed);
}

TEST(Precedence, HoldsForRandomRules) {
  std::printf("seed %u\n", kSeed);
  Generator generator(kSeed);
  std::array<std::size_t, 3> verdicts{};
  for (int round = 0; round < kRuleSets; ++round) {
    const SelectionSpec spec = generator.spec();
    const auto selection = Selection::compile(spec);
    ASSERT_TRUE(selection) << describe(spec, "");
    for (int i = 0; i < 20; ++i) {
      const std::string path = generator.path();
      const auto expected = reference(spec, path);
      ++verdicts.at(static_cast<std::size_t>(expected.verdict));
      // A walk ends at what is unselected above: there the reference must say the same.
      ASSERT_EQ(walked(*selection, path), expected.verdict)
          << describe(spec, path) << ": " << show(expected);
      ASSERT_EQ(show(selection->explain(path, path.ends_with('/'))), show(expected))
          << describe(spec, path);
    }
  }
  for (const std::size_t count : verdicts) EXPECT_GT(count, 2000U);
}

/// Directories' contents are the paths that follow them and begin with them.
class PruningWalk {
 public:
  PruningWalk(const Selection& selection, const std::vector<std::string>& tree)
      : selection_(&selection), tree_(&tree) {}

  std::set<std::string> run() {
    visit("", selection_->root());
    return selected_;
  }
  [[nodiscard]] std::size_t pruned() const { return pruned_; }
  [[nodiscard]] std::size_t taken_whole() const { return taken_whole_; }

 private:
  void visit(const std::string& directory, const Selection::State& state) {
    if (state.takes_all()) {
      ++taken_whole_;
      for (const std::string& path : *tree_) {
        if (path.starts_with(directory) && path != directory) selected_.insert(path);
      }
      return;
    }
    for (const std::string& path : *tree_) {
      if (!path.starts_with(directory) || path == directory) continue;
      std::string name = path.substr(directory.size());
      const bool is_directory = name.ends_with('/');
      if (is_directory) name.pop_back();
      if (name.contains('/')) continue;
      const Verdict verdict = selection_->judge(state, name, is_directory);
      if (verdict == Verdict::kSelected) selected_.insert(path);
      if (is_directory && verdict == Verdict::kUnselected) ++pruned_;
      if (is_directory && verdict != Verdict::kUnselected)
        visit(path, selection_->enter(state, name));
    }
  }

  const Selection* selection_;
  const std::vector<std::string>* tree_;
  std::set<std::string> selected_;
  std::size_t pruned_ = 0;
  std::size_t taken_whole_ = 0;
};

TEST(Precedence, LetsAWalkReachExactlyWhatIsSelected) {
  std::printf("seed %u\n", kSeed);
  Generator generator(kSeed);
  std::size_t pruned = 0;
  std::size_t taken_whole = 0;
  for (int round = 0; round < 200; ++round) {
    const auto tree = generator.tree();
    const SelectionSpec spec = generator.spec();
    const auto selection = Selection::compile(spec);
    ASSERT_TRUE(selection) << describe(spec, "");
    std::set<std::string> expected;
    for (const std::string& path : tree) {
      if (reference(spec, path).verdict == Verdict::kSelected) expected.insert(path);
    }
    PruningWalk walk(*selection, tree);
    ASSERT_EQ(walk.run(), expected) << describe(spec, "a tree");
    pruned += walk.pruned();
    taken_whole += walk.taken_whole();
  }
  EXPECT_GT(pruned, 250U) << "the trees must have something to prune";
  EXPECT_GT(taken_whole, 100U) << "and something to take whole";
}

}  // namespace
}  // namespace holdfast::core
