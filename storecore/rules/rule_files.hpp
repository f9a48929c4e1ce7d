#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/rules/rule_book.hpp"
#include "storecore/select/rule.hpp"

/// Rule files on disk. Called at the start of a command, by one thread.
namespace holdfast::core {

inline constexpr std::size_t kMaxRuleFileBytes = 1024UL * 1024UL;

/// Where rules come from. An empty directory name: none are wanted from there.
struct RuleSources {
  std::string builtin_dir;         ///< installed with the program; must be there
  std::string site_dir;            ///< the administrator's; may be missing
  std::vector<std::string> given;  ///< files named on the command line
};

struct FoundRuleFile {
  std::string path;
  RuleLayer layer = RuleLayer::kBuiltin;
  bool operator==(const FoundRuleFile&) const = default;
};

/// The `*.toml` of both directories, sorted by name, then the given files in their order. A file of
/// the site stands in for the built-in one of its name; hidden files are none.
/// Errors: kUsage, a directory that is none or must not be read; kFailed, the built-in directory is
///         missing, or the system failed.
[[nodiscard]] catalog::Result<std::vector<FoundRuleFile>> find_rule_files(
    const RuleSources& sources);

/// The text of a rule file. Symlinks are followed, and /dev/null is an empty file: a link to it
/// switches a built-in file off. Cannot hang.
/// Errors: kUsage, no such file, no regular file, larger than kMaxRuleFileBytes, or must not be
///         read; kFailed, the system failed.
[[nodiscard]] catalog::Result<std::string> read_rule_file(const std::string& path);

/// Finds, reads and parses them all, up to the first error.
[[nodiscard]] catalog::Result<RuleBook> load_rules(const RuleSources& sources);

}  // namespace holdfast::core
