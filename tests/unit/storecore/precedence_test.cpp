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

constexpr Verdict kTaken = Verdict::kSelected;
constexpr Verdict kEntered = Verdict::kEnter;
constexpr Verdict kLeft = Verdict::kUnselected;

struct Row {
  std::string_view rules;  ///< as parse_terse() reads them
  std::string_view path;   ///< a trailing slash: a directory
  Verdict expected;
  std::string_view decided_by;  ///< one of the rules, as it is written in `rules`; empty: none
};

constexpr Row kRows[]{
    // No match, and the plain cases.
    {"", "home", kLeft, ""},
    {"", "home/", kLeft, ""},
    {"", "/", kEntered, ""},
    {"+home", "/", kEntered, ""},
    {"--everything -home", "/", kTaken, "--everything"},
    {"+home", "home/", kTaken, "+home"},
    {"+home", "home", kTaken, "+home"},
    {"+home", "home/al/x", kTaken, "+home"},
    {"+home", "srv/", kLeft, ""},
    {"+home", "srv/home/", kLeft, ""},
    {"+/home", "home/al", kTaken, "+/home"},
    {"-home", "home/", kLeft, "-home"},
    {"-home", "srv", kLeft, ""},
    {"!home", "home/", kLeft, "!home"},
    {"+home -srv", "etc/x", kLeft, ""},
    {"+home/al", "home/", kEntered, ""},
    {"+home/al", "home", kLeft, ""},
    {"+home/al", "home/bo/", kLeft, ""},

    // Step 1: --exclude.
    {"+home --exclude=home", "home/", kLeft, "--exclude=home"},
    {"+home --exclude=home", "home/al/x", kLeft, "--exclude=home"},
    {"+home/al/x --exclude=home", "home/al/x", kLeft, "--exclude=home"},
    {"given+home/al/x --exclude=/home/al", "home/al/", kLeft, "--exclude=/home/al"},
    {"+home --exclude=*.o", "home/a.o", kLeft, "--exclude=*.o"},
    {"+home/a.o --exclude=*.o", "home/a.o", kLeft, "--exclude=*.o"},
    {"+home/a.o --exclude=*.o", "home/a.c", kLeft, ""},
    {"+home --exclude=*.o", "home/a.c", kTaken, "+home"},
    {"--include=home --exclude=home/al +home/al/x", "home/al/x", kLeft, "--exclude=home/al"},
    {"--everything --exclude=home +home", "home/", kLeft, "--exclude=home"},
    {"!home --exclude=home", "home/x", kLeft, "--exclude=home"},
    {"-home/x --exclude=home", "home/x", kLeft, "--exclude=home"},
    {"--exclude=home --exclude=x", "home/x", kLeft, "--exclude=x"},
    {"--exclude=x --exclude=*", "home/x", kLeft, "--exclude=x"},
    {"--exclude=tmp/ +home", "home/tmp", kTaken, "+home"},
    {"--exclude=tmp/ +home", "home/tmp/", kLeft, "--exclude=tmp/"},
    {"--exclude=tmp/ +home/tmp/x", "home/tmp/x", kLeft, "--exclude=tmp/"},

    // Step 2: --include and --everything.
    {"--include=home -home", "home/", kTaken, "--include=home"},
    {"--include=home -home/al", "home/al/x", kTaken, "--include=home"},
    {"--include=home !home/al", "home/al/x", kTaken, "--include=home"},
    {"--include=home given!**/x", "home/x", kTaken, "--include=home"},
    {"--include=home/al !home", "home/", kEntered, "!home"},
    {"--include=home/al !home", "home/al", kTaken, "--include=home/al"},
    {"--include=home/al !home", "home/bo/", kLeft, "!home"},
    {"--include=home/al -home", "home/", kEntered, "-home"},
    {"--include=home/al -home", "home/al/x/y", kTaken, "--include=home/al"},
    {"--include=home +srv", "srv/x", kTaken, "+srv"},
    {"--include=home +srv -srv/x", "srv/x", kLeft, "-srv/x"},
    {"--include=**/keep !cache", "cache/a/", kEntered, "!cache"},
    {"--include=**/keep !cache", "cache/a/keep/b", kTaken, "--include=**/keep"},
    {"--include=**/keep !cache", "cache/a", kLeft, "!cache"},
    {"--everything -home", "home/al", kTaken, "--everything"},
    {"--everything !home", "home/al", kTaken, "--everything"},
    {"--everything -home +home/al", "home/al/", kTaken, "--everything"},
    {"--everything", "any/thing", kTaken, "--everything"},
    {"--everything --include=any", "any/thing", kTaken, "--include=any"},
    {"--include=a --include=a/b", "a/b/c", kTaken, "--include=a/b"},
    {"--include=a/* --include=a/b", "a/b/c", kTaken, "--include=a/*"},

    // Step 3: always_exclude.
    {"+home !home/al", "home/al/", kLeft, "!home/al"},
    {"+home !home/al", "home/al/x/y", kLeft, "!home/al"},
    {"+home !home/al", "home/bo/", kTaken, "+home"},
    {"+home/al/x !home/al", "home/al/", kLeft, "!home/al"},
    {"+home/al/x !home/al", "home/al/x", kLeft, "!home/al"},
    {"given+home/al/x !home/al", "home/al/x", kLeft, "!home/al"},
    {"given+home/al !home/al", "home/al/", kLeft, "!home/al"},
    {"+home !**/node_modules/", "home/al/node_modules/", kLeft, "!**/node_modules/"},
    {"+home !**/node_modules/", "home/al/node_modules", kTaken, "+home"},
    {"+home !**/node_modules/", "home/al/node_modules/x", kLeft, "!**/node_modules/"},
    {"+home/al/keep !keep", "home/al/keep", kLeft, "!keep"},
    {"+home !keep", "home/al/keep/x", kLeft, "!keep"},
    {"!home given!home/al", "home/al", kLeft, "given!home/al"},
    {"!home/al given!home", "home/al", kLeft, "!home/al"},
    {"!home given!home", "home/al", kLeft, "given!home"},
    {"!* !home", "home/", kLeft, "!home"},
    {"-home/al/x !home", "home/al/x", kLeft, "!home"},
    {"+**/x !*.o", "a.o/x", kLeft, "!*.o"},
    {"+**/x !*.o", "a/x", kTaken, "+**/x"},
    {"+home !/al", "home/al", kTaken, "+home"},

    // Step 4: the nearest match.
    {"+home -home/al", "home/al/", kLeft, "-home/al"},
    {"+home -home/al", "home/al/x", kLeft, "-home/al"},
    {"+home -home/al", "home/bo", kTaken, "+home"},
    {"-home +home/al", "home/", kEntered, "-home"},
    {"-home +home/al", "home", kLeft, "-home"},
    {"-home +home/al", "home/al/x", kTaken, "+home/al"},
    {"-home +home/al", "home/bo/", kLeft, "-home"},
    {"given-home +home/al", "home/al", kTaken, "+home/al"},
    {"given-home +home/al", "home/", kEntered, "given-home"},
    {"given+home -home/al", "home/al", kLeft, "-home/al"},
    {"given+home site-*/al +home/al/x", "home/al/x", kTaken, "+home/al/x"},
    {"given+home site-*/al +home/al/x", "home/al/y", kLeft, "site-*/al"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/", kEntered, "-home/al/.cache"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/keep", kTaken,
     "+home/al/.cache/keep"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/other", kLeft,
     "-home/al/.cache"},
    {"+home -home/al/.cache +home/al/.cache/keep", "home/al/.cache/other/", kLeft,
     "-home/al/.cache"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/", kTaken, "+a"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/", kEntered, "-a/b"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/", kTaken, "+a/b/c"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/d/", kEntered, "-a/b/c/d"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/d/e/f", kTaken, "+a/b/c/d/e"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/d/x/", kLeft, "-a/b/c/d"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/c/x", kTaken, "+a/b/c"},
    {"+a -a/b +a/b/c -a/b/c/d +a/b/c/d/e", "a/b/x/", kLeft, "-a/b"},
    {"+a -a/**", "a/", kTaken, "+a"},
    {"+a -a/**", "a/b", kLeft, "-a/**"},
    {"+a -a/** +a/b/c", "a/b/c", kTaken, "+a/b/c"},
    {"+a -a/** +a/b/c", "a/b/c/d", kLeft, "-a/**"},
    {"+a/** -a/b", "a/b", kLeft, "-a/b"},
    {"+a/** -a/b", "a/b/c", kTaken, "+a/**"},
    {"+a/* -a/b", "a/b/c", kLeft, "-a/b"},
    {"-* +home", "home/x", kLeft, "-*"},
    {"-/* +home", "home/x", kTaken, "+home"},

    // Any-depth patterns.
    {"+home -**/.cache", "home/al/.cache/", kLeft, "-**/.cache"},
    {"+home -.cache", "home/al/.cache/", kLeft, "-.cache"},
    {"+home -.cache/", "home/al/.cache", kTaken, "+home"},
    {"+home -/.cache", "home/al/.cache", kTaken, "+home"},
    {"+home -al/.cache", "home/al/.cache", kTaken, "+home"},
    {"+home -*.o", "home/al/a.o", kLeft, "-*.o"},
    {"+home -*.o +home/al/a.o", "home/al/a.o", kTaken, "+home/al/a.o"},
    {"+home -.cache +**/keep", "home/.cache/", kEntered, "-.cache"},
    {"+home -.cache +**/keep", "home/.cache/keep/x", kTaken, "+**/keep"},
    {"+home -.cache +**/keep", "home/.cache/x", kLeft, "-.cache"},
    {"+**/Documents", "a/b/", kEntered, ""},
    {"+**/Documents", "a/b", kLeft, ""},
    {"+**/Documents", "a/b/Documents/c", kTaken, "+**/Documents"},
    {"+**/Documents -tmp", "tmp/", kEntered, "-tmp"},
    {"+**/Documents -tmp", "tmp/Documents/x", kTaken, "+**/Documents"},
    {"+**/Documents -tmp -tmp/Documents", "tmp/Documents/x", kLeft, "-tmp/Documents"},
    {"+home/**/notes", "home/", kEntered, ""},
    {"+home/**/notes", "home/notes", kTaken, "+home/**/notes"},
    {"+home/**/notes -home/al", "home/al/", kEntered, "-home/al"},
    {"+home/**/notes -home/al", "home/al/b/notes", kTaken, "+home/**/notes"},
    {"+home/**/notes", "srv/notes", kLeft, ""},
    {"+**", "f", kTaken, "+**"},
    {"+** -d", "d/f", kTaken, "+**"},
    {"+** -d", "d/", kEntered, "-d"},
    {"+**/a/b -b", "x/a/b", kTaken, "+**/a/b"},
    {"+**/a/b -b", "x/c/b", kLeft, "-b"},

    // Directories only.
    {"+home/", "home", kLeft, ""},
    {"+home/", "home/", kTaken, "+home/"},
    {"+home/", "home/x", kTaken, "+home/"},
    {"+home -home/tmp/", "home/tmp", kTaken, "+home"},
    {"+home -home/tmp/", "home/tmp/", kLeft, "-home/tmp/"},
    {"+home -home/tmp/", "home/tmp/x", kLeft, "-home/tmp/"},
    {"+home -**/tmp/ site+home/tmp", "home/tmp", kTaken, "site+home/tmp"},
    {"+a/**/ -a/b/", "a/b/", kEntered, "-a/b/"},
    {"+a/**/ -a/b/", "a/b/c", kLeft, "-a/b/"},
    {"+a/**/ -a/b/", "a/b/c/", kTaken, "+a/**/"},
    {"-a/b +a/b/", "a/b/", kLeft, "-a/b"},
    {"site+a/b/ -a/b", "a/b", kLeft, "-a/b"},
    {"site+a/b/ -a/b", "a/b/", kTaken, "site+a/b/"},

    // Step 5, the layer: given beats site beats builtin.
    {"-home site+home", "home/x", kTaken, "site+home"},
    {"+home site-home", "home/x", kLeft, "site-home"},
    {"site-home given+home", "home/x", kTaken, "given+home"},
    {"site+home given-home", "home/x", kLeft, "given-home"},
    {"-home given+home", "home/x", kTaken, "given+home"},
    {"-home site-home given+home", "home/x", kTaken, "given+home"},
    {"-home/al site+home/*", "home/al/", kTaken, "site+home/*"},
    {"-home/al/x given+**", "home/al/x", kTaken, "given+**"},
    {"given+** -home", "home/al/x", kTaken, "given+**"},
    {"site+*/* given-home/*", "home/al", kLeft, "given-home/*"},
    {"+home/al/x site-**/x", "home/al/x", kLeft, "site-**/x"},
    {"site-x +home/x given+**/x/", "home/x", kLeft, "site-x"},
    {"site-x +home/x given+**/x/", "home/x/", kTaken, "given+**/x/"},

    // Step 5, the last component: without a wildcard beats with one.
    {"-home/* +home/al", "home/al/", kTaken, "+home/al"},
    {"-home/* +home/al", "home/bo/", kLeft, "-home/*"},
    {"+home/* -*/al", "home/al/", kLeft, "-*/al"},
    {"-a/b/c/* +*/*/*/d", "a/b/c/d", kTaken, "+*/*/*/d"},
    {"-a/b/?.c +**/x.c", "a/b/x.c", kTaken, "+**/x.c"},
    {"-a/b/[x] +**/x", "a/b/x", kTaken, "+**/x"},
    {"-a/b/** +**/x", "a/b/x", kTaken, "+**/x"},
    {"-a/b/\\* +a/b/?", "a/b/*", kLeft, "-a/b/\\*"},
    {"-a/b/\\[x\\] +a/*/*", "a/b/[x]", kLeft, "-a/b/\\[x\\]"},
    {"+**/\\x -a/b/*", "a/b/x", kTaken, "+**/\\x"},

    // Step 5, the number of components without a wildcard.
    {"-**/x +a/**/x", "a/b/x", kTaken, "+a/**/x"},
    {"-**/x +a/**/x", "b/x", kLeft, "-**/x"},
    {"+a/*/x -*/*/x", "a/b/x", kTaken, "+a/*/x"},
    {"-a/*/x +a/b/x", "a/b/x", kTaken, "+a/b/x"},
    {"+*.c -a/*.c", "a/x.c", kLeft, "-a/*.c"},
    {"-*.c +a/*.c", "a/x.c", kTaken, "+a/*.c"},
    {"-a/b/* +a/**", "a/b/c", kLeft, "-a/b/*"},
    {"-a/** +a/b/**", "a/b/c", kTaken, "+a/b/**"},
    {"-x +*/x", "a/x", kLeft, "-x"},
    {"-**/b/x +a/**/b/**/x", "a/b/x", kTaken, "+a/**/b/**/x"},

    // Step 5, the effect: exclude beats include.
    {"+home -home", "home/", kLeft, "-home"},
    {"-home +home", "home/", kLeft, "-home"},
    {"+home/* -home/*", "home/al", kLeft, "-home/*"},
    {"+home/* -home/?l", "home/al", kLeft, "-home/?l"},
    {"+a/** -a/*", "a/b", kLeft, "-a/*"},
    {"+**/x -x", "a/x", kLeft, "-x"},
    {"+home@a:1 -home@z:99", "home/", kLeft, "-home@z:99"},
    {"+*/b -a/?/ -**/b", "a/b/", kLeft, "-**/b"},

    // Step 5, component and line: only the name changes.
    {"+home@b:1 +home@a:9", "home", kTaken, "+home@a:9"},
    {"+home@a:9 +home@b:1", "home", kTaken, "+home@a:9"},
    {"+home@a:9 +home@a:2", "home", kTaken, "+home@a:2"},
    {"+home@a:2:z +home@a:2:b", "home", kTaken, "+home@a:2:b"},
    {"+home@a:2:b:zoe +home@a:2:b:al", "home", kTaken, "+home@a:2:b:al"},
    {"-home@b:1 -home@a:9", "home", kLeft, "-home@a:9"},
    {"!home@b:1 !home@a:9", "home", kLeft, "!home@a:9"},
    {"+h*@a:1 +?ome@a:1", "home", kTaken, "+?ome@a:1"},

    // Components do not shield each other.
    {"+home@docs:1 -home/al@other:1", "home/al/x", kLeft, "-home/al@other:1"},
    {"-home@docs:1 +home/al@other:1", "home/al/x", kTaken, "+home/al@other:1"},
    {"+home@docs:1 !**/x@other:1", "home/al/x", kLeft, "!**/x@other:1"},

    // What may be below: entered or not.
    {"-home +home/al/x", "home/al/", kEntered, "-home"},
    {"-home +home/*/x", "home/bo/", kEntered, "-home"},
    {"-home +home/*/x", "home/bo/y/", kLeft, "-home"},
    {"-home +home/*/x/", "home/bo/x", kLeft, "-home"},
    {"-home +home/a*/x", "home/bo/", kLeft, "-home"},
    {"-home +home/[ab]*/x", "home/bo/", kEntered, "-home"},
    {"!home +home/al", "home/", kLeft, "!home"},
    {"!home/al +**/x", "home/al/", kLeft, "!home/al"},
    {"!home/al +**/x", "home/", kEntered, ""},
    {"-home +home", "home/x/", kLeft, "-home"},
    {"-home/al +home/**", "home/al/", kEntered, "-home/al"},
    {"-home/al -home/al/x +home/al/x/y", "home/al/x/", kEntered, "-home/al/x"},
    {"-home/al -home/al/x +home/al/x/y", "home/al/z/", kLeft, "-home/al"},

    // The examples of docs/rules.md.
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/letter", kTaken, "+home/al"},
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/.cache/", kEntered,
     "-home/al/.cache"},
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/.cache/thumbs", kLeft,
     "-home/al/.cache"},
    {"+home/al -home/al/.cache site+home/al/.cache/keep", "home/al/.cache/keep/a", kTaken,
     "site+home/al/.cache/keep"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso given+**/old.iso",
     "home/al/x.iso", kLeft, "-**/*.iso"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso given+**/old.iso",
     "home/al/images/x.iso", kTaken, "+home/al/images/*.iso"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso given+**/old.iso",
     "home/al/images/old.iso", kTaken, "given+**/old.iso"},
    {"+home/al -**/*.iso +home/al/images/*.iso -home/al/images/old.iso", "home/al/images/old.iso",
     kLeft, "-home/al/images/old.iso"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP", "home/al/work/CACHE.TMP/a", kLeft,
     "!**/CACHE.TMP/"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP --include=home/al/work",
     "home/al/work/CACHE.TMP/a", kTaken, "--include=home/al/work"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP --include=home/al/work --exclude=*.TMP",
     "home/al/work/CACHE.TMP/a", kLeft, "--exclude=*.TMP"},
    {"+home/al !**/CACHE.TMP/ given+home/al/work/CACHE.TMP", "home/al/CACHE.TMP", kTaken,
     "+home/al"},
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
