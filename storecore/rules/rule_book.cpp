#include "storecore/rules/rule_book.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/rules/rule_file.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {
namespace {

/// Where a component is there.
struct Presence {
  bool for_system = false;
  std::vector<bool> for_user;
};

class Resolver {
 public:
  Resolver(std::span<const UserPlaces> users, const Exists& exists)
      : users_(users), exists_(exists) {}

  void add(const RuleFile& file, const RuleComponent& component);
  [[nodiscard]] Resolved take() && { return std::move(resolved_); }

 private:
  [[nodiscard]] Presence find_presence(const RuleComponent& component) const;
  [[nodiscard]] bool is_found(const RuleComponent& component, const UserPlaces& user) const;
  /// The rules with a variable for @p user, or those without for nullptr.
  /// @return true when there were any
  bool add_rules(const RuleFile& file, const RuleComponent& component, const UserPlaces* user);

  std::span<const UserPlaces> users_;
  const Exists& exists_;
  Resolved resolved_;
};

bool speaks_of_people(const std::vector<PlacePattern>& patterns) {
  return std::ranges::any_of(patterns,
                             [](const PlacePattern& pattern) { return !pattern.place.empty(); });
}

bool Resolver::is_found(const RuleComponent& component, const UserPlaces& user) const {
  return std::ranges::any_of(component.detect, [&](const PlacePattern& pattern) {
    if (pattern.place.empty()) return false;
    const auto expanded = expand(pattern, user);
    return expanded && exists_(*expanded);
  });
}

Presence Resolver::find_presence(const RuleComponent& component) const {
  const bool everywhere = component.detect.empty() ||
                          std::ranges::any_of(component.detect, [&](const PlacePattern& pattern) {
                            return pattern.place.empty() && exists_(pattern.rest);
                          });
  Presence presence{.for_system = everywhere, .for_user = {}};
  for (const UserPlaces& user : users_) {
    const bool is_there = everywhere || is_found(component, user);
    presence.for_user.push_back(is_there);
    presence.for_system = presence.for_system || is_there;
  }
  return presence;
}

bool Resolver::add_rules(const RuleFile& file, const RuleComponent& component,
                         const UserPlaces* user) {
  static const UserPlaces nobody;
  const std::size_t before = resolved_.rules.size();
  for (const ComponentRule& rule : component.rules) {
    if (rule.pattern.place.empty() != (user == nullptr)) continue;
    const UserPlaces& whose = user == nullptr ? nobody : *user;
    auto pattern = expand(rule.pattern, whose);
    if (!pattern) continue;
    resolved_.rules.push_back({.effect = rule.effect,
                               .layer = file.layer,
                               .pattern = std::move(*pattern),
                               .component = component.name,
                               .kind = component.kind,
                               .user = whose.user,
                               .file = file.name,
                               .line = rule.pattern.position.line});
  }
  return resolved_.rules.size() > before;
}

void Resolver::add(const RuleFile& file, const RuleComponent& component) {
  const Presence presence = find_presence(component);
  PresentComponent present{.name = component.name,
                           .title = component.title,
                           .kind = component.kind,
                           .warning = component.warning,
                           .users = {}};
  bool has_rules = presence.for_system && add_rules(file, component, nullptr);
  const bool detects_people = speaks_of_people(component.detect);
  for (std::size_t i = 0; i < users_.size(); ++i) {
    if (!presence.for_user[i]) continue;
    const bool has_own = add_rules(file, component, &users_[i]);
    has_rules = has_rules || has_own;
    if (has_own || detects_people) present.users.push_back(users_[i].user);
  }
  if (has_rules) resolved_.components.push_back(std::move(present));
}

}  // namespace

catalog::Status RuleBook::add(RuleFile file) {
  std::map<std::string, std::string, std::less<>> places;
  for (const RuleComponent& component : file.components) {
    const std::string place = place_of(file.path, component.position);
    const auto elsewhere = places_.find(component.name);
    const auto here = places.find(component.name);
    if (elsewhere != places_.end() || here != places.end()) {
      const std::string& first = elsewhere != places_.end() ? elsewhere->second : here->second;
      return catalog::fail(
          catalog::Fault::kUsage, place,
          "component " + component.name + " is already at " + catalog::escape_name(first),
          "a file of the site replaces the one of the same name; two files do not "
          "share a component");
    }
    places.emplace(component.name, place);
  }
  places_.merge(places);
  files_.push_back(std::move(file));
  return {};
}

Resolved resolve(const RuleBook& book, std::span<const UserPlaces> users, const Exists& exists) {
  Resolver resolver(users, exists);
  for (const RuleFile& file : book.files()) {
    for (const RuleComponent& component : file.components) resolver.add(file, component);
  }
  return std::move(resolver).take();
}

}  // namespace holdfast::core
