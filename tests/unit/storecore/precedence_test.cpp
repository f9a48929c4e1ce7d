#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "precedence_reference.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/selection.hpp"

// docs/rules.md "Which rule decides", case by case. Each row is asked three ways: by a walk, of
// explain(), and of a reference that knows nothing but the document.
namespace holdfast::core {
namespace {

using test::parse_terse;
using test::reference;
using test::show;
using test::walked;
using Verdict = Selection::Verdict;

constexpr Verdict kYes = Verdict::kSelected;
constexpr Verdict kEnter = Verdict::kEnter;
constexpr Verdict kNo = Verdict::kUnselected;

struct Row {
  std::string_view rules;  ///< as parse_terse() reads them
  std::string_view path;   ///< a trailing slash: a directory
  Verdict expected;
  std::string_view decided_by;  ///< one of the rules, as it is written in `rules`; empty: none
};

constexpr Row kRows[]{
    // No match, and the plain cases.
    {"", "home", kNo, ""},
    {"", "home/", kNo, ""},
    {"", "/", kEnter, ""},
    {"+home", "/", kEnter, ""},
    {"--everything -home", "/", kYes, "--everything"},
    {"+home", "home/", kYes, "+home"},
    {"+home", "home", kYes, "+home"},
    {"+home", "home/al/x", kYes, "+home"},
    {"+home", "srv/", kNo, ""},
    {"+home", "srv/home/", kNo, ""},
    {"+/home", "home/al", kYes, "+/home"},
    {"-home", "home/", kNo, "-home"},
    {"-home", "srv", kNo, ""},
    {"!home", "home/", kNo, "!home"},
    {"+home -srv", "etc/x", kNo, ""},
    {"+home/al", "home/", kEnter, ""},
    {"+home/al", "home", kNo, ""},
    {"+home/al", "home/bo/", kNo, ""},

    // Step 1: --exclude.
    {"+home --exclude=home", "home/", kNo, "--exclude=home"},
    {"+home --exclude=home", "home/al/x", kNo, "--exclude=home"},
    {"+home/al/x --exclude=home", "home/al/x", kNo, "--exclude=home"},
    {"given+home/al/x --exclude=/home/al", "home/al/", kNo, "--exclude=/home/al"},
    {"+home --exclude=*.o", "home/a.o", kNo, "--exclude=*.o"},
    {"+home/a.o --exclude=*.o", "home/a.o", kNo, "--exclude=*.o"},
    {"+home/a.o --exclude=*.o", "home/a.c", kNo, ""},
    {"+home --exclude=*.o", "home/a.c", kYes, "+home"},
    {"--include=home --exclude=home/al +home/al/x", "home/al/x", kNo, "--exclude=home/al"},
    {"--everything --exclude=home +home", "home/", kNo, "--exclude=home"},
    {"!home --exclude=home", "home/x", kNo, "--exclude=home"},
    {"-home/x --exclude=home", "home/x", kNo, "--exclude=home"},
    {"--exclude=home --exclude=x", "home/x", kNo, "--exclude=x"},
    {"--exclude=x --exclude=*", "home/x", kNo, "--exclude=x"},
    {"--exclude=tmp/ +home", "home/tmp", kYes, "+home"},
    {"--exclude=tmp/ +home", "home/tmp/", kNo, "--exclude=tmp/"},
    {"--exclude=tmp/ +home/tmp/x", "home/tmp/x", kNo, "--exclude=tmp/"},

    // Step 2: --include and --everything.
    {"--include=home -home", "home/", kYes, "--include=home"},
    {"--include=home -home/al", "home/al/x", kYes, "--include=home"},
    {"--include=home !home/al", "home/al/x", kYes, "--include=home"},
    {"--include=home given!**/x", "home/x", kYes, "--include=home"},
    {"--include=home/al !home", "home/", kEnter, "!home"},
    {"--include=home/al !home", "home/al", kYes, "--include=home/al"},
    {"--include=home/al !home", "home/bo/", kNo, "!home"},
    {"--include=home/al -home", "home/", kEnter, "-home"},
    {"--include=home/al -home", "home/al/x/y", kYes, "--include=home/al"},
    {"--include=home +srv", "srv/x", kYes, "+srv"},
    {"--include=home +srv -srv/x", "srv/x", kNo, "-srv/x"},
    {"--include=**/keep !cache", "cache/a/", kEnter, "!cache"},
    {"--include=**/keep !cache", "cache/a/keep/b", kYes, "--include=**/keep"},
    {"--include=**/keep !cache", "cache/a", kNo, "!cache"},
    {"--everything -home", "home/al", kYes, "--everything"},
    {"--everything !home", "home/al", kYes, "--everything"},
    {"--everything -home +home/al", "home/al/", kYes, "--everything"},
    {"--everything", "any/thing", kYes, "--everything"},
    {"--everything --include=any", "any/thing", kYes, "--include=any"},
    {"--include=a --include=a/b", "a/b/c", kYes, "--include=a/b"},
    {"--include=a/* --include=a/b", "a/b/c", kYes, "--include=a/*"},

    // Step 3: always_exclude.
    {"+home !home/al", "home/al/", kNo, "!home/al"},
    {"+home !home/al", "home/al/x/y", kNo, "!home/al"},
    {"+home !home/al", "home/bo/", kYes, "+home"},
    {"+home/al/x !home/al", "home/al/", kNo, "!home/al"},
    {"+home/al/x !home/al", "home/al/x", kNo, "!home/al"},
    {"given+home/al/x !home/al", "home/al/x", kNo, "!home/al"},
    {"given+home/al !home/al", "home/al/", kNo, "!home/al"},
    {"+home !**/node_modules/", "home/al/node_modules/", kNo, "!**/node_modules/"},
    {"+home !**/node_modules/", "home/al/node_modules", kYes, "+home"},
    {"+home !**/node_modules/", "home/al/node_modules/x", kNo, "!**/node_modules/"},
    {"+home/al/keep !keep", "home/al/keep", kNo, "!keep"},
    {"+home !keep", "home/al/keep/x", kNo, "!keep"},
    {"!home given!home/al", "home/al", kNo, "given!home/al"},
    {"!home/al given!home", "home/al", kNo, "!home/al"},
    {"!home given!home", "home/al", kNo, "given!home"},
    {"!* !home", "home/", kNo, "!home"},
    {"-home/al/x !home", "home/al/x", kNo, "!home"},
    {"+**/x !*.o", "a.o/x", kNo, "!*.o"},
    {"+**/x !*.o", "a/x", kYes, "+**/x"},
    {"+home !/al", "home/al", kYes, "+home"},

    // Step 4: the nearest match.
    {"+home -home/al", "home/al/", kNo, "-home/al"},
    {"+home -home/al", "home/al/x", kNo, "-home/al"},
    {"+home -home/al", "home/bo", kYes, "+home"},
    {"-home +home/al", "home/", kEnter, "-home"},
    {"-home +home/al", "home", kNo, "-home"},
    {"-home +home/al", "home/al/x", kYes, "+home/al"},
    {"-home +home/al", "home/bo/", kNo, "-home"},
    {"given-home +home/al", "home/al", kYes, "+home/al"},
    {"given-home +home/al", "home/", kEnter, "given-home"},
    {"given+home -home/al", "home/al", kNo, "-home/al"},
    {"given+home site-*/al +home/al/x", "home/al/x", kYes, "+home/al/x"},
    {"given+home site-*/al +home/al/x", "home/al/y", kNo, "site-*/al"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/", kEnter, "-home/al/.cache"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/keep", kYes,
     "+home/al/.cache/keep"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/other", kNo, "-home/al/.cache"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/other/", kNo, "-home/al/.cache"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/", kYes, "+a"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/", kEnter, "-a/b"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/", kYes, "+a/b/c"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/d/", kEnter, "-a/b/c/d"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/d/e/f", kYes, "+a/b/c/d/e"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/d/x/", kNo, "-a/b/c/d"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/x", kYes, "+a/b/c"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/x/", kNo, "-a/b"},
    {"+a -a/**", "a/", kYes, "+a"},
    {"+a -a/**", "a/b", kNo, "-a/**"},
    {"+a -a/** +a/b/c", "a/b/c", kYes, "+a/b/c"},
    {"+a -a/** +a/b/c", "a/b/c/d", kNo, "-a/**"},
    {"+a/** -a/b", "a/b", kNo, "-a/b"},
    {"+a/** -a/b", "a/b/c", kYes, "+a/**"},
    {"+a/* -a/b", "a/b/c", kNo, "-a/b"},
    {"-* +home", "home/x", kNo, "-*"},
    {"-/* +home", "home/x", kYes, "+home"},

    // Any-depth patterns.
    {"+home -**/.cache", "home/al/.cache/", kNo, "-**/.cache"},
    {"+home -.cache", "home/al/.cache/", kNo, "-.cache"},
    {"+home -.cache/", "home/al/.cache", kYes, "+home"},
    {"+home -/.cache", "home/al/.cache", kYes, "+home"},
    {"+home -al/.cache", "home/al/.cache", kYes, "+home"},
    {"+home -*.o", "home/al/a.o", kNo, "-*.o"},
    {"+home -*.o +home/al/a.o", "home/al/a.o", kYes, "+home/al/a.o"},
    {"+home -.cache +**/keep", "home/.cache/", kEnter, "-.cache"},
    {"+home -.cache +**/keep", "home/.cache/keep/x", kYes, "+**/keep"},
    {"+home -.cache +**/keep", "home/.cache/x", kNo, "-.cache"},
    {"+**/Documents", "a/b/", kEnter, ""},
    {"+**/Documents", "a/b", kNo, ""},
    {"+**/Documents", "a/b/Documents/c", kYes, "+**/Documents"},
    {"+**/Documents -tmp", "tmp/", kEnter, "-tmp"},
    {"+**/Documents -tmp", "tmp/Documents/x", kYes, "+**/Documents"},
    {"+**/Documents -tmp -tmp/Documents", "tmp/Documents/x", kNo, "-tmp/Documents"},
    {"+home/**/notes", "home/", kEnter, ""},
    {"+home/**/notes", "home/notes", kYes, "+home/**/notes"},
    {"+home/**/notes -home/al", "home/al/", kEnter, "-home/al"},
    {"+home/**/notes -home/al", "home/al/b/notes", kYes, "+home/**/notes"},
    {"+home/**/notes", "srv/notes", kNo, ""},
    {"+**", "f", kYes, "+**"},
    {"+** -d", "d/f", kYes, "+**"},
    {"+** -d", "d/", kEnter, "-d"},
    {"+**/a/b -b", "x/a/b", kYes, "+**/a/b"},
    {"+**/a/b -b", "x/c/b", kNo, "-b"},

    // Directories only.
    {"+home/", "home", kNo, ""},
    {"+home/", "home/", kYes, "+home/"},
    {"+home/", "home/x", kYes, "+home/"},
    {"+home -home/tmp/", "home/tmp", kYes, "+home"},
    {"+home -home/tmp/", "home/tmp/", kNo, "-home/tmp/"},
    {"+home -home/tmp/", "home/tmp/x", kNo, "-home/tmp/"},
    {"+home -**/tmp/ site+home/tmp", "home/tmp", kYes, "site+home/tmp"},
    {"+a/**/ -a/b/", "a/b/", kEnter, "-a/b/"},
    {"+a/**/ -a/b/", "a/b/c", kNo, "-a/b/"},
    {"+a/**/ -a/b/", "a/b/c/", kYes, "+a/**/"},
    {"-a/b +a/b/", "a/b/", kNo, "-a/b"},
    {"site+a/b/ -a/b", "a/b", kNo, "-a/b"},
    {"site+a/b/ -a/b", "a/b/", kYes, "site+a/b/"},

    // Step 5, the layer: given beats site beats builtin.
    {"-home site+home", "home/x", kYes, "site+home"},
    {"+home site-home", "home/x", kNo, "site-home"},
    {"site-home given+home", "home/x", kYes, "given+home"},
    {"site+home given-home", "home/x", kNo, "given-home"},
    {"-home given+home", "home/x", kYes, "given+home"},
    {"-home site-home given+home", "home/x", kYes, "given+home"},
    {"-home/al site+home/*", "home/al/", kYes, "site+home/*"},
    {"-home/al/x given+**", "home/al/x", kYes, "given+**"},
    {"given+** -home", "home/al/x", kYes, "given+**"},
    {"site+*/* given-home/*", "home/al", kNo, "given-home/*"},
    {"+home/al/x site-**/x", "home/al/x", kNo, "site-**/x"},
    {"site-x +home/x given+**/x/", "home/x", kNo, "site-x"},
    {"site-x +home/x given+**/x/", "home/x/", kYes, "given+**/x/"},

    // Step 5, the last component: without a wildcard beats with one.
    {"-home/* +home/al", "home/al/", kYes, "+home/al"},
    {"-home/* +home/al", "home/bo/", kNo, "-home/*"},
    {"+home/* -*/al", "home/al/", kNo, "-*/al"},
    {"-a/b/c/* +*/*/*/d", "a/b/c/d", kYes, "+*/*/*/d"},
    {"-a/b/?.c +**/x.c", "a/b/x.c", kYes, "+**/x.c"},
    {"-a/b/[x] +**/x", "a/b/x", kYes, "+**/x"},
    {"-a/b/** +**/x", "a/b/x", kYes, "+**/x"},
    {"-a/b/\\* +a/b/?", "a/b/*", kNo, "-a/b/\\*"},
    {"-a/b/\\[x\\] +a/*/*", "a/b/[x]", kNo, "-a/b/\\[x\\]"},
    {"+**/\\x -a/b/*", "a/b/x", kYes, "+**/\\x"},

    // Step 5, the number of components without a wildcard.
    {"-**/x +a/**/x", "a/b/x", kYes, "+a/**/x"},
    {"-**/x +a/**/x", "b/x", kNo, "-**/x"},
    {"+a/*/x -*/*/x", "a/b/x", kYes, "+a/*/x"},
    {"-a/*/x +a/b/x", "a/b/x", kYes, "+a/b/x"},
    {"+*.c -a/*.c", "a/x.c", kNo, "-a/*.c"},
    {"-*.c +a/*.c", "a/x.c", kYes, "+a/*.c"},
    {"-a/b/* +a/**", "a/b/c", kNo, "-a/b/*"},
    {"-a/** +a/b/**", "a/b/c", kYes, "+a/b/**"},
    {"-x +*/x", "a/x", kNo, "-x"},
    {"-**/b/x +a/**/b/**/x", "a/b/x", kYes, "+a/**/b/**/x"},

    // Step 5, the effect: exclude beats include.
    {"+home -home", "home/", kNo, "-home"},
    {"-home +home", "home/", kNo, "-home"},
    {"+home/* -home/*", "home/al", kNo, "-home/*"},
    {"+home/* -home/?l", "home/al", kNo, "-home/?l"},
    {"+a/** -a/*", "a/b", kNo, "-a/*"},
    {"+**/x -x", "a/x", kNo, "-x"},
    {"+home@a:1 -home@z:99", "home/", kNo, "-home@z:99"},
    {"+*/b -a/?/ -**/b", "a/b/", kNo, "-**/b"},

    // Step 5, component and line: only the name changes.
    {"+home@b:1 +home@a:9", "home", kYes, "+home@a:9"},
    {"+home@a:9 +home@b:1", "home", kYes, "+home@a:9"},
    {"+home@a:9 +home@a:2", "home", kYes, "+home@a:2"},
    {"+home@a:2:z +home@a:2:b", "home", kYes, "+home@a:2:b"},
    {"+home@a:2:b:zoe +home@a:2:b:al", "home", kYes, "+home@a:2:b:al"},
    {"-home@b:1 -home@a:9", "home", kNo, "-home@a:9"},
    {"!home@b:1 !home@a:9", "home", kNo, "!home@a:9"},
    {"+h*@a:1 +?ome@a:1", "home", kYes, "+?ome@a:1"},

    // Components do not shield each other.
    {"+home@docs:1 -home/al@other:1", "home/al/x", kNo, "-home/al@other:1"},
    {"-home@docs:1 +home/al@other:1", "home/al/x", kYes, "+home/al@other:1"},
    {"+home@docs:1 !**/x@other:1", "home/al/x", kNo, "!**/x@other:1"},

    // What may be below: entered or not.
    {"-home +home/al/x", "home/al/", kEnter, "-home"},
    {"-home +home/*/x", "home/bo/", kEnter, "-home"},
    {"-home +home/*/x", "home/bo/y/", kNo, "-home"},
    {"-home +home/*/x/", "home/bo/x", kNo, "-home"},
    {"-home +home/a*/x", "home/bo/", kNo, "-home"},
    {"-home +home/[ab]*/x", "home/bo/", kEnter, "-home"},
    {"!home +home/al", "home/", kNo, "!home"},
    {"!home/al +**/x", "home/al/", kNo, "!home/al"},
    {"!home/al +**/x", "home/", kEnter, ""},
    {"-home +home", "home/x/", kNo, "-home"},
    {"-home/al +home/**", "home/al/", kEnter, "-home/al"},
    {"-home/al -home/al/x +home/al/x/y", "home/al/x/", kEnter, "-home/al/x"},
    {"-home/al -home/al/x +home/al/x/y", "home/al/z/", kNo, "-home/al"},

    // The examples of docs/rules.md.
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/letter", kYes, "+home/al"},
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/.cache/", kEnter,
     "-home/al/.cache"},
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/.cache/thumbs", kNo,
     "-home/al/.cache"},
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/.cache/keep/a", kYes,
     "site+home/al/.cache/keep"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso given+**/old.iso",
     "home/al/x.iso", kNo, "-**/*.iso"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso given+**/old.iso",
     "home/al/images/x.iso", kYes, "+home/al/images/*.iso"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso given+**/old.iso",
     "home/al/images/old.iso", kYes, "given+**/old.iso"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso", "home/al/images/old.iso",
     kNo, "-home/al/images/old.iso"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP", "home/al/work/CACHE.TMP/a", kNo,
     "!**/CACHE.TMP/"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP --include=home/al/work",
     "home/al/work/CACHE.TMP/a", kYes, "--include=home/al/work"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP --include=home/al/work --exclude=*.TMP",
     "home/al/work/CACHE.TMP/a", kNo, "--exclude=*.TMP"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP", "home/al/CACHE.TMP", kYes, "+home/al"},
};
static_assert(std::size(kRows) >= 150);

std::string_view text_of(const test::Terse& terse, const Explanation::Match& match) {
  switch (match.by) {
    case Explanation::By::kExclude:
      return terse.spec.exclude[match.index];
    case Explanation::By::kInclude:
      return terse.spec.include[match.index];
    case Explanation::By::kEverything:
      return "--everything";
    case Explanation::By::kRule:
      return terse.rules[match.index];
  }
  return {};
}

std::string decider(const test::Terse& terse, const Explanation& explanation) {
  const Explanation::Match* first = explanation.decided_by();
  if (first == nullptr) return "";
  std::string text(text_of(terse, *first));
  if (first->by == Explanation::By::kExclude) return "--exclude=" + text;
  if (first->by == Explanation::By::kInclude) return "--include=" + text;
  return text;
}

TEST(Precedence, IsAsTheTableSays) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(std::string(row.rules) + " on " + std::string(row.path));
    const auto terse = parse_terse(row.rules);
    const auto selection = Selection::compile(terse.spec);
    ASSERT_TRUE(selection);
    EXPECT_EQ(walked(*selection, row.path), row.expected);

    const auto explained = selection->explain(row.path, row.path.ends_with('/'));
    EXPECT_EQ(explained.verdict, row.expected) << show(explained);
    EXPECT_EQ(decider(terse, explained), row.decided_by) << show(explained);

    const auto expected = reference(terse.spec, row.path);
    EXPECT_EQ(expected.verdict, row.expected) << show(expected);
    EXPECT_EQ(decider(terse, expected), row.decided_by) << show(expected);
    EXPECT_EQ(show(explained), show(expected));
  }
}

struct TakesAllRow {
  std::string_view rules;
  std::string_view directory;  ///< empty: ROOT
  bool expected;
};

constexpr TakesAllRow kTakesAll[]{
    {"--everything", "", true},
    {"--everything -home !srv +etc", "", true},  // no rule can change it
    {"--everything --exclude=x -home", "", false},
    {"+home", "", false},
    {"+home", "home", true},
    {"+home", "home/al", true},
    {"+home -home/al", "home", false},
    {"+home -home/al", "home/bo", true},
    {"+home !home/al", "home", false},
    {"+home !home/al", "home/bo", true},
    {"+home +home/al", "home", true},
    {"+home +home/al -/srv", "home", true},
    {"+home -/srv", "home", true},
    {"+home -**/x", "home/al", false},
    {"+home !x", "home/al", false},
    {"+home --exclude=x", "home/al", false},
    {"+home --exclude=/home/al/x", "home/al", false},
    {"+home --exclude=/home/al/x", "home/bo", true},
    {"+home -home/al +home/al/x", "home/al", false},
    {"+home -home/al +home/al/x", "home/al/x", true},
    {"+home/**", "home", false},
    {"+home/**", "home/al", true},
    {"+home/** -home/*/x", "home/al", false},
    {"+home/** -home/*/x", "home/al/y", true},
    {"+home -home/**", "home", false},
    {"--include=home -home/al !**/x", "home", true},
    {"--include=home -home/al !**/x", "home/al", true},
    {"+home --include=home/al", "home", false},  // the include would be called unmatched
    {"-home +home/al", "home", false},
};

TEST(Precedence, TakesAllOnlyWhereNothingCanChangeBelow) {
  for (const TakesAllRow& row : kTakesAll) {
    const auto selection = Selection::compile(parse_terse(row.rules).spec);
    ASSERT_TRUE(selection);
    Selection::State state = selection->root();
    std::string_view rest = row.directory;
    while (!rest.empty()) {
      const std::string_view name = rest.substr(0, rest.find('/'));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      state = selection->enter(state, name);
    }
    EXPECT_EQ(state.takes_all(), row.expected) << row.rules << " in " << row.directory;
  }
}

TEST(Precedence, IsTheSameInWhateverOrderRulesStand) {
  const auto spec =
      parse_terse("+home site-home/* +home/al@b:1 -**/al@a:1 !tmp given+home/*/x").spec;
  auto turned = spec;
  for (std::size_t i = 0; i < spec.rules.size(); ++i) {
    std::rotate(turned.rules.begin(), turned.rules.begin() + 1, turned.rules.end());
    const auto one = Selection::compile(spec);
    const auto other = Selection::compile(turned);
    ASSERT_TRUE(one && other);
    for (const std::string_view path : {"home/", "home/al/", "home/al/x", "home/tmp/", "home/bo"}) {
      const auto a = one->explain(path, true);
      const auto b = other->explain(path, true);
      EXPECT_EQ(a.verdict, b.verdict) << path;
      ASSERT_EQ(a.matches.size(), b.matches.size()) << path;
      for (std::size_t k = 0; k < a.matches.size(); ++k)
        EXPECT_EQ(spec.rules[a.matches[k].index], turned.rules[b.matches[k].index]) << path;
    }
  }
}

}  // namespace
}  // namespace holdfast::core
