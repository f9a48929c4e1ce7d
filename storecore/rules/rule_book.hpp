#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/rules/rule_file.hpp"
#include "storecore/select/rule.hpp"

/// All rule files together, and what they say of one captured system. Pure but for what the caller
/// answers.
namespace holdfast::core {

/// Files whose components have different names.
class RuleBook {
 public:
  /// Errors: kUsage, a component of @p file is in the book already; both places are named, and
  ///         nothing of the file is added.
  [[nodiscard]] catalog::Status add(RuleFile file);
  /// In the order in which they were added.
  [[nodiscard]] std::span<const RuleFile> files() const noexcept { return files_; }

 private:
  std::vector<RuleFile> files_;
  std::map<std::string, std::string, std::less<>> places_;  ///< of components, by name
};

/// A component that has something to say of the captured system.
struct PresentComponent {
  std::string name;
  std::string title;
  std::string kind;
  std::string warning;
  /// For whom, in the order in which they were given: those for whom a rule was resolved, or whose
  /// own places `detect` speaks of and found. Empty for a part of the system.
  std::vector<std::string> users;
  bool operator==(const PresentComponent&) const = default;
};

struct Resolved {
  std::vector<SelectionRule> rules;
  std::vector<PresentComponent> components;  ///< those with a rule, in the order of the book
};

/// Whether something in the captured system matches @p pattern: one that compile_pattern() takes,
/// to be anchored at ROOT, without `**`.
using Exists = std::function<bool(std::string_view pattern)>;

/// The rules as the selection takes them: those of the system once, those with a variable for each
/// person who has that place. In the order of the book; of one component, the system's first, then
/// person by person. Two people who share a place get the rule twice.
///
/// A component with `detect` is there for a person when a pattern of it without a variable matches,
/// or one that was expanded for that person; rules without a variable are there when it is there
/// for anybody. @p exists is asked for patterns of `detect` alone, and no more often than it takes.
[[nodiscard]] Resolved resolve(const RuleBook& book, std::span<const UserPlaces> users,
                               const Exists& exists);

}  // namespace holdfast::core
