#include "storecore/ops/rule_selection.hpp"

#include <algorithm>
#include <cerrno>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/people/people.hpp"
#include "storecore/people/users_expression.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/rules/rule_book.hpp"
#include "storecore/rules/rule_files.hpp"
#include "storecore/select/pattern.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {

using catalog::Result;

namespace {

/// Whether something below @p dir matches @p parts. Links are not followed. What cannot be looked
/// at may be there: a component too many takes files that are wanted, one too few loses them.
bool is_there(DirFd dir, std::span<const PatternPart> parts, bool directories_only) {
  const PatternPart& part = parts.front();
  const auto rest = parts.subspan(1);
  const auto has = [&](const std::string& name) {
    if (rest.empty()) {
      const auto stat = stat_at(dir, name);
      if (stat) return !directories_only || stat->is_directory();
      return stat.error().value() != ENOENT;
    }
    const auto below = open_dir_at(dir, name.c_str());
    if (below) return is_there(*below, rest, directories_only);
    const int error = below.error().value();
    return error != ENOENT && error != ENOTDIR && error != ELOOP;
  };
  if (part.kind == PatternPart::Kind::kLiteral) return has(part.text);
  const auto names = list_names(dir);
  if (!names) return true;
  return std::ranges::any_of(
      *names, [&](const std::string& name) { return part.matches(name) && has(name); });
}

bool exists(DirFd root, std::string_view source) {
  const auto pattern = compile_pattern(source, Anchor::kRoot);
  return pattern && is_there(root, pattern->parts, pattern->directories_only);
}

/// As an anchored pattern that stands for this path alone.
std::string literal_pattern(std::string_view path) { return "/" + escape_pattern(path); }

/// True for a rule that leaves something out where its user only says that a place is.
bool speaks_for_others(const SelectionRule& rule, std::span<const UserPlaces> users) {
  if (rule.effect == RuleEffect::kInclude || rule.user.empty()) return false;
  const auto user = std::ranges::find(users, rule.user, &UserPlaces::user);
  if (user == users.end()) return false;
  const std::string home = literal_pattern(user->home);
  return rule.pattern != home && !rule.pattern.starts_with(home + "/");
}

SelectionRule leave_home(const UserHome& home) {
  return {.effect = RuleEffect::kExclude,
          .layer = RuleLayer::kGiven,
          .pattern = literal_pattern(home.home) + "/",
          .component = "users",
          .kind = "user",
          .user = home.user,
          .file = "--users",
          .line = 0};
}

}  // namespace

Result<RuleSelection> select_by_rules(DirFd root, std::string_view root_path,
                                      const RuleOptions& options) {
  const auto chosen = UsersExpression::parse(options.users);
  if (!chosen) return std::unexpected(chosen.error());
  auto people = read_people(root, *chosen);
  if (!people) return std::unexpected(people.error());
  if (!people->is_system)
    return catalog::fail(catalog::Fault::kUsage, root_path,
                         "no etc/passwd: this is no system, and rules do not know its people",
                         "--everything, or --include PATTERN as often as needed");
  const auto book = load_rules(options.sources);
  if (!book) return std::unexpected(book.error());
  auto resolved = resolve(*book, people->users,
                          [&](std::string_view pattern) { return exists(root, pattern); });
  std::erase_if(resolved.rules,
                [&](const SelectionRule& rule) { return speaks_for_others(rule, people->users); });
  RuleSelection selection;
  selection.spec.exclude = options.exclude;
  selection.spec.rules = std::move(resolved.rules);
  for (const UserHome& home : people->homes) {
    const bool taken = std::ranges::any_of(
        people->users, [&](const UserPlaces& user) { return user.home == home.home; });
    if (!taken) selection.spec.rules.push_back(leave_home(home));
  }
  selection.components = std::move(resolved.components);
  selection.notes = std::move(people->notes);
  return selection;
}

}  // namespace holdfast::core
