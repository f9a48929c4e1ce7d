#include "storecore/rules/rule_files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "fixture.hpp"
#include "storecore/rules/rule_book.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;

std::string text_of_component(std::string_view name) {
  return "[component." + std::string(name) +
         "]\ntitle = \"T\"\nkind = \"system\"\ninclude = [\"/x\"]\n";
}

/// Two directories, and what is found from them.
class RuleFiles : public ::testing::Test {
 protected:
  RuleFiles() {
    tree_.dir("lib");
    tree_.dir("etc");
  }

  [[nodiscard]] RuleSources sources(std::vector<std::string> given = {}) const {
    return {
        .builtin_dir = tree_.path("lib"), .site_dir = tree_.path("etc"), .given = std::move(given)};
  }
  /// Paths below the tree, with the layer's number.
  [[nodiscard]] std::vector<std::string> found(const RuleSources& where) const {
    const auto files = find_rule_files(where);
    if (!files) return {catalog::describe(files.error())};
    std::vector<std::string> lines;
    for (const FoundRuleFile& file : *files) {
      lines.push_back(file.path.substr(tree_.path().size() + 1) + " " +
                      std::to_string(static_cast<int>(file.layer)));
    }
    return lines;
  }
  /// What is wrong, with the tree's path cut away.
  [[nodiscard]] std::string failure(const RuleSources& where, catalog::Fault fault) const {
    const auto book = load_rules(where);
    if (book) return "nothing is";
    EXPECT_EQ(book.error().fault, fault) << catalog::describe(book.error());
    std::string text = catalog::describe(book.error());
    const std::string prefix = tree_.path() + "/";
    for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  }
  [[nodiscard]] std::string usage(const RuleSources& where) const {
    return failure(where, catalog::Fault::kUsage);
  }

  TempDir tree_;
};

TEST_F(RuleFiles, AreSortedByNameAndGivenOnesComeLast) {
  for (const char* name : {"lib/b.toml", "lib/a.toml", "etc/ab.toml", "z.toml", "0.toml"}) {
    tree_.file(name);
  }
  EXPECT_EQ(found(sources({tree_.path("z.toml"), tree_.path("0.toml")})),
            (std::vector<std::string>{"lib/a.toml 0", "etc/ab.toml 1", "lib/b.toml 0", "z.toml 2",
                                      "0.toml 2"}));
}

TEST_F(RuleFiles, OfTheSiteStandInForBuiltinOnesOfTheirName) {
  tree_.file("lib/a.toml", text_of_component("a"));
  tree_.file("lib/b.toml", text_of_component("b"));
  tree_.file("lib/c.toml", text_of_component("c"));
  tree_.file("etc/a.toml", text_of_component("a") + text_of_component("more"));
  tree_.file("etc/b.toml");
  tree_.symlink("/dev/null", "etc/c.toml");
  const auto book = load_rules(sources());
  ASSERT_TRUE(book) << catalog::describe(book.error());
  ASSERT_EQ(book->files().size(), 3U);
  EXPECT_EQ(book->files()[0].layer, RuleLayer::kSite);
  EXPECT_EQ(book->files()[0].name, "a.toml");
  EXPECT_EQ(book->files()[0].path, tree_.path("etc/a.toml"));
  EXPECT_EQ(book->files()[0].components.size(), 2U);
  EXPECT_TRUE(book->files()[1].components.empty());
  EXPECT_TRUE(book->files()[2].components.empty());
}

TEST_F(RuleFiles, AreThoseWithTheSuffix) {
  for (const char* name : {"lib/a.toml~", "lib/.a.toml", "lib/.toml", "lib/a.tomlx", "lib/README",
                           "lib/a.toml.dpkg-new"}) {
    tree_.file(name, "no TOML");
  }
  tree_.dir("lib/sub");
  tree_.file("lib/sub/a.toml");
  EXPECT_EQ(found(sources()), std::vector<std::string>{});
}

TEST_F(RuleFiles, MayBeNamedWithoutASuffix) {
  tree_.file("mine", text_of_component("x"));
  const auto book = load_rules({.builtin_dir = {}, .site_dir = {}, .given = {tree_.path("mine")}});
  ASSERT_TRUE(book);
  ASSERT_EQ(book->files().size(), 1U);
  EXPECT_EQ(book->files()[0].layer, RuleLayer::kGiven);
}

TEST_F(RuleFiles, MayBeLinks) {
  tree_.file("real", text_of_component("x"));
  tree_.symlink("../real", "etc/a.toml");
  const auto book = load_rules(sources());
  ASSERT_TRUE(book);
  EXPECT_EQ(book->files()[0].name, "a.toml");
  EXPECT_EQ(book->files()[0].components.size(), 1U);
}

TEST_F(RuleFiles, NeedNoSite) {
  tree_.file("lib/a.toml");
  RuleSources where = sources();
  where.site_dir = tree_.path("nothing/here");
  EXPECT_EQ(found(where), std::vector<std::string>{"lib/a.toml 0"});
}

TEST_F(RuleFiles, AreMissedWhenTheBuiltinFolderIsGone) {
  RuleSources where = sources();
  where.builtin_dir = tree_.path("gone");
  EXPECT_EQ(failure(where, catalog::Fault::kFailed),
            "gone: the folder of the built-in rules is missing");
}

TEST_F(RuleFiles, AreNotLookedForInAFile) {
  tree_.file("file");
  RuleSources where = sources();
  where.site_dir = tree_.path("file");
  EXPECT_EQ(usage(where), "file: Not a directory");
  where = sources();
  where.builtin_dir = tree_.path("file");
  EXPECT_EQ(usage(where), "file: Not a directory");
}

TEST_F(RuleFiles, ThatCannotBeReadAreNamed) {
  EXPECT_EQ(usage(sources({tree_.path("gone.toml")})), "gone.toml: No such file or directory");
  EXPECT_EQ(usage(sources({tree_.path("etc")})), "etc: is a directory");
  tree_.fifo("fifo");
  EXPECT_EQ(usage(sources({tree_.path("fifo")})), "fifo: is no regular file");
  EXPECT_EQ(usage(sources({"/dev/zero"})), "/dev/zero: is no regular file");
  tree_.symlink("loop", "loop");
  EXPECT_EQ(usage(sources({tree_.path("loop")})), "loop: Too many levels of symbolic links");
  tree_.dir("lib/d.toml");
  EXPECT_EQ(usage(sources()), "lib/d.toml: is a directory");
}

TEST_F(RuleFiles, OfTheSiteThatLeadNowhereAreNamed) {
  tree_.symlink("gone", "etc/a.toml");
  EXPECT_EQ(usage(sources()), "etc/a.toml: No such file or directory");
}

TEST_F(RuleFiles, ThatMayNotBeReadAreNamed) {
  tree_.file("lib/a.toml");
  ASSERT_EQ(chmod(tree_.path("lib/a.toml").c_str(), 0), 0);
  const std::string wrong = test::in_child([&]() -> std::string {
    if (test::is_root() && (chmod(tree_.path().c_str(), 0755) != 0 || setuid(65534) != 0)) {
      return "cannot become another user";
    }
    const std::string message = usage(sources());
    return message == "lib/a.toml: Permission denied" ? "" : message;
  });
  EXPECT_EQ(wrong, "");
}

TEST_F(RuleFiles, AreNoLargerThanTheyShould) {
  tree_.file("lib/a.toml", std::string(kMaxRuleFileBytes, '\n'));
  EXPECT_TRUE(load_rules(sources()));
  tree_.file("lib/b.toml", std::string(kMaxRuleFileBytes + 1, '\n'));
  EXPECT_EQ(usage(sources()), "lib/b.toml: is larger than 1 MiB, too large for a rule file");
}

TEST_F(RuleFiles, AreNamedByTheirPathsInErrors) {
  tree_.file("lib/a.toml", text_of_component("x"));
  tree_.file("etc/b.toml", "\n" + text_of_component("x"));
  EXPECT_EQ(usage(sources()), "etc/b.toml:2:12: component x is already at lib/a.toml:1:12");
  tree_.file("etc/b.toml", "[component.y]\ntitel = 1\n");
  EXPECT_EQ(usage(sources()), "etc/b.toml:2:1: unknown key titel");
}

}  // namespace
}  // namespace holdfast::core
