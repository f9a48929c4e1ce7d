#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "catalog/name.hpp"
#include "fixture.hpp"
#include "storecore/select/selection.hpp"

// Excludes promise gitignore's semantics: git itself is asked what that means.
namespace holdfast::core {
namespace {

using test::run_program;
using test::TempDir;

struct Path {
  std::string name;
  bool is_directory;
};

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}

  std::string pattern() {
    std::string text = chance(4) ? "/" : "";
    const std::size_t parts = 1 + below(3);
    for (std::size_t i = 0; i < parts; ++i) {
      if (i > 0) text += "/";
      text += one_of(pattern_parts_);
    }
    if (chance(4)) text += "/";
    return text;
  }

  /// A tree three levels deep in which names repeat, so that patterns meet them at every depth.
  std::vector<Path> tree() {
    std::vector<Path> paths;
    grow("", 0, paths);
    return paths;
  }

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

 private:
  using Words = std::vector<std::string>;
  bool chance(std::size_t one_in) { return below(one_in) == 0; }
  const std::string& one_of(const Words& words) { return words[below(words.size())]; }

  void grow(const std::string& parent, int depth, std::vector<Path>& paths) {
    std::set<std::string> used;
    for (int i = 0; i < 5; ++i) {
      const std::string& name = one_of(names_);
      if (!used.insert(name).second) continue;
      const bool is_directory = depth < 3 && chance(2);
      paths.push_back({parent + name, is_directory});
      if (is_directory) grow(parent + name + "/", depth + 1, paths);
    }
  }

  const Words names_{"a", "b",   "ab", "a.c", "b.c", "x y",     "[z]",
                     "*", "a-b", "B",  "7",   ".h",  "\xc3\xa4"};
  const Words pattern_parts_{
      "a",        "b",           "ab",           "*",     "?",     "a*", "*.c", "*b",    "[ab]",
      "[!a]",     "[a-b]",       "**",           "**",    "a**b",  "a?", "\\a", "\\[z]", "\\*",
      "x y",      "[[:alpha:]]", "[[:digit:]]*", "*a*",   "[^b]*", ".*", "a.c", "[]a]",  "?\\.c",
      "\xc3\xa4", "[a-]*",       "[\\]z]",       "[[:x]*"};
  std::mt19937 random_;
};

bool is_excluded(const Selection& selection, const Path& path) {
  Selection::State state = selection.root();
  const auto components = catalog::split_path(path.name).value_or(std::vector<std::string>{});
  for (std::size_t i = 0; i < components.size(); ++i) {
    const bool is_last = i + 1 == components.size();
    const std::string& name = components[i];
    const auto verdict = selection.judge(state, name, !is_last || path.is_directory);
    if (verdict == Selection::Verdict::kUnselected) return true;
    if (!is_last) state = selection.enter(state, name);
  }
  return false;
}

std::set<std::string> ask_git(const TempDir& repository, const std::vector<Path>& paths) {
  std::string input;
  for (const Path& path : paths) input += path.name + '\0';
  std::string output;
  const int code =
      run_program({"env", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "git", "-C",
                   repository.path(), "-c", "core.ignoreCase=false", "-c",
                   "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin"},
                  input, &output);
  EXPECT_TRUE(code == 0 || code == 1) << code;  // 1: none is ignored
  std::set<std::string> ignored;
  for (std::size_t at = 0; at < output.size();) {
    const std::string name(output.c_str() + at);
    at += name.size() + 1;
    ignored.insert(name);
  }
  return ignored;
}

TEST(Selection, ExcludesWhatGitIgnores) {
  const TempDir repository;
  if (run_program({"git", "init", "-q", repository.path()}) != 0) GTEST_SKIP() << "git is missing";
  Generator generator(20'240'607);
  std::vector<Path> paths = generator.tree();
  for (const Path& path : paths) {
    if (path.is_directory) {
      repository.dir(path.name);
    } else {
      repository.file(path.name);
    }
  }
  ASSERT_GT(paths.size(), 25U);

  constexpr int rounds = 300;
  std::size_t excluded = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::string> patterns;
    std::string text;
    for (std::size_t left = 1 + generator.below(2); left > 0; --left) {
      patterns.push_back(generator.pattern());
      text += patterns.back() + "\n";
    }
    repository.file(".gitignore", text);
    const auto selection =
        Selection::compile({.everything = true, .include = {}, .exclude = patterns});
    ASSERT_TRUE(selection) << text;
    const auto ignored = ask_git(repository, paths);
    excluded += ignored.size();
    for (const Path& path : paths) {
      EXPECT_EQ(is_excluded(*selection, path), ignored.contains(path.name))
          << path.name << (path.is_directory ? "/" : "") << " with\n"
          << text;
    }
  }
  // The comparison means something only where both verdicts are common.
  EXPECT_GT(excluded, rounds * paths.size() / 10);
  EXPECT_LT(excluded, rounds * paths.size() * 9 / 10);
}

}  // namespace
}  // namespace holdfast::core
