#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/select/rule.hpp"

/// One rule file, as docs/rules.md "Writing a rule file" describes it. Pure.
namespace holdfast::core {

struct ComponentRule {
  RuleEffect effect = RuleEffect::kInclude;
  PlacePattern pattern;
};

/// What belongs together, for a person: an application, a part of the system.
struct RuleComponent {
  std::string name;  ///< "firefox": letters, digits, hyphens
  std::string title;
  std::string kind;                  ///< "user" "system" "application" "documents"
  std::string warning;               ///< empty: none
  std::vector<PlacePattern> detect;  ///< empty: always present. No `**` in them
  std::vector<ComponentRule> rules;  ///< never empty; in the order of the file
  TextPosition position;             ///< of its name
};

struct RuleFile {
  std::string path;  ///< as messages name it
  std::string name;  ///< its last component
  RuleLayer layer = RuleLayer::kBuiltin;
  std::vector<RuleComponent> components;  ///< in the order of the file, each name once
};

/// Reads a rule file. One without components is right: it stands in for one of the same name.
/// @param name  a path or a name, for messages; what rules keep is its last component
/// Errors: kUsage, with "NAME:LINE:COLUMN" as place: not UTF-8, not TOML, a key that nobody knows,
///         a value of the wrong type, a pattern or a variable that makes no sense, a component that
///         lacks something. The first in the file, but that a file that is no TOML has no others.
[[nodiscard]] catalog::Result<RuleFile> parse_rules(std::string_view text, std::string_view name,
                                                    RuleLayer layer);

/// "NAME:LINE:COLUMN"
[[nodiscard]] std::string place_of(std::string_view name, TextPosition position);

}  // namespace holdfast::core
