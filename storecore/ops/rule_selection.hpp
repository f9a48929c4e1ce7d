#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/people/note.hpp"
#include "storecore/rules/rule_book.hpp"
#include "storecore/rules/rule_files.hpp"
#include "storecore/select/selection.hpp"

/// From rule files and a captured system's people to a selection.
namespace holdfast::core {

struct RuleOptions {
  RuleSources sources;
  bool only_given = false;    ///< neither the built-in rules nor the site's
  std::string users = "all";  ///< --users: see UsersExpression
  /// Somebody asked for these rules: a store's own selection is compared with what they make.
  bool given = false;
  std::vector<std::string> exclude;  ///< patterns, beat all rules
  bool operator==(const RuleOptions&) const = default;
};

struct RuleSelection {
  SelectionSpec spec;
  std::vector<PresentComponent> components;
  std::vector<PeopleNote> notes;  ///< what was odd about the people
};

/// Reads rule files and the people of @p root, and resolves the rules for it.
///
/// Homes of people who were not chosen are left out by a rule of their own: others may speak of
/// `home/*`. What a user's places that lie outside of the home are is the user's own word, so
/// nothing is left out there.
/// @param root       borrowed
/// @param root_path  for messages
/// Errors: kUsage, rule files, users that nobody has, or ROOT is no system (it has no etc/passwd);
///         kFailed, what could not be read.
/// One thread.
[[nodiscard]] catalog::Result<RuleSelection> select_by_rules(DirFd root, std::string_view root_path,
                                                             const RuleOptions& options);

}  // namespace holdfast::core
