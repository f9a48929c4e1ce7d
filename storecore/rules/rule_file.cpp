#include "storecore/rules/rule_file.hpp"

// The parser is compiled into this source alone, as source: so the sanitizers and the fuzzer see
// into it, and the program needs no further shared library. Its assertions are off, and with NDEBUG
// they would be told to the optimizer as facts: "[=" fails one (3.3.0), three lines before the code
// that finds the error. A rule file nests values once.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) static_assert(true)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 8
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/nearest.hpp"
#include "catalog/utf8.hpp"
#include "storecore/rules/place_pattern.hpp"
#include "storecore/select/pattern.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {
namespace {

using catalog::Result;
using catalog::Status;

constexpr auto kKeys = std::to_array<std::string_view>(
    {"title", "kind", "detect", "include", "exclude", "always_exclude", "warning"});
constexpr auto kKinds =
    std::to_array<std::string_view>({"user", "system", "application", "documents"});

/// A key of a.b.c makes a table in a table in a table, and the parser's tables take each other down
/// recursively: a line of dots would end in the end of the stack.
constexpr std::ptrdiff_t kMostDots = 256;

/// One member of a table, in a form that can be sorted.
struct Member {
  TextPosition position;
  std::string_view key;
  const toml::node* value;
};

TextPosition to_position(const toml::source_position& position) noexcept {
  return {.line = position.line, .column = position.column};
}

/// Tables are sorted by key; a person reads from top to bottom.
std::vector<Member> members_of(const toml::table& table) {
  std::vector<Member> members;
  for (const auto& [key, value] : table) {
    members.push_back(
        {.position = to_position(key.source().begin), .key = key.str(), .value = &value});
  }
  std::ranges::sort(members, {}, &Member::position);
  return members;
}

std::string_view type_word(const toml::node& node) noexcept {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::boolean:
      return "a truth value";
    case toml::node_type::integer:
    case toml::node_type::floating_point:
      return "a number";
    default:
      return "a date or time";
  }
}

std::string one_of(std::span<const std::string_view> words) {
  std::string text = "it is ";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

std::optional<RuleEffect> effect_of(std::string_view key) noexcept {
  if (key == "include") return RuleEffect::kInclude;
  if (key == "exclude") return RuleEffect::kExclude;
  if (key == "always_exclude") return RuleEffect::kAlwaysExclude;
  return std::nullopt;
}

bool is_component_name(std::string_view name) noexcept {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

/// Where @p text first holds no UTF-8.
std::optional<TextPosition> find_stray_byte(std::string_view text) {
  TextPosition at{.line = 1, .column = 1};
  while (!text.empty()) {
    const auto character = catalog::first_code_point(text);
    if (!character) return at;
    if (character->value == U'\n') {
      at = {.line = at.line + 1, .column = 1};
    } else {
      ++at.column;
    }
    text.remove_prefix(character->bytes);
  }
  return std::nullopt;
}

/// The first line that could nest tables too deep.
std::optional<TextPosition> find_dotted_line(std::string_view text) {
  for (std::uint32_t line = 1; !text.empty(); ++line) {
    const std::string_view one = text.substr(0, text.find('\n'));
    if (std::ranges::count(one, '.') > kMostDots) return TextPosition{.line = line, .column = 1};
    text.remove_prefix(std::min(one.size() + 1, text.size()));
  }
  return std::nullopt;
}

/// True for what can be printed as it is, on one line.
bool is_plain(std::string_view text) {
  while (!text.empty()) {
    const auto character = catalog::first_code_point(text);
    if (!character || catalog::is_control(character->value)) return false;
    text.remove_prefix(character->bytes);
  }
  return true;
}

/// The parser's own words, without its preamble.
std::string what_is_wrong(const toml::parse_error& error) {
  std::string_view text = error.description();
  constexpr std::string_view preamble = "Error while parsing ";
  if (text.starts_with(preamble)) text.remove_prefix(preamble.size());
  return "TOML: " + (is_plain(text) ? std::string(text) : catalog::escape_name(text));
}

class FileReader {
 public:
  explicit FileReader(std::string_view name) : name_(name) {}

  [[nodiscard]] Result<std::vector<RuleComponent>> read(const toml::table& root) const;
  [[nodiscard]] std::unexpected<catalog::Error> wrong(TextPosition position,
                                                      std::string_view reason,
                                                      std::string_view hint = {}) const {
    return catalog::fail(catalog::Fault::kUsage, place_of(name_, position), reason, hint);
  }

 private:
  [[nodiscard]] std::unexpected<catalog::Error> unknown_key(
      const Member& member, std::span<const std::string_view> known) const;
  [[nodiscard]] std::unexpected<catalog::Error> wrong_type(const Member& member,
                                                           std::string_view wanted) const;
  [[nodiscard]] Result<RuleComponent> read_component(const Member& member) const;
  [[nodiscard]] Status read_member(const Member& member, RuleComponent& component) const;
  [[nodiscard]] Result<std::string> read_text(const Member& member) const;
  [[nodiscard]] Result<std::string> read_kind(const Member& member) const;
  [[nodiscard]] Result<std::vector<PlacePattern>> read_patterns(const Member& member) const;
  [[nodiscard]] Result<std::vector<PlacePattern>> read_detect(const Member& member) const;

  std::string_view name_;
};

Result<std::vector<RuleComponent>> FileReader::read(const toml::table& root) const {
  static constexpr auto known = std::to_array<std::string_view>({"component"});
  std::vector<RuleComponent> components;
  for (const Member& top : members_of(root)) {
    if (top.key != known.front()) return unknown_key(top, known);
    const toml::table* const all = top.value->as_table();
    if (all == nullptr) return wrong_type(top, "a table");
    for (const Member& member : members_of(*all)) {
      auto component = read_component(member);
      if (!component) return std::unexpected(std::move(component.error()));
      components.push_back(std::move(*component));
    }
  }
  return components;
}

std::unexpected<catalog::Error> FileReader::unknown_key(
    const Member& member, std::span<const std::string_view> known) const {
  const auto close = catalog::nearest(member.key, known);
  return wrong(member.position, "unknown key " + catalog::escape_name(member.key),
               close ? std::string("did you mean ").append(*close) + "?" : std::string());
}

std::unexpected<catalog::Error> FileReader::wrong_type(const Member& member,
                                                       std::string_view wanted) const {
  return wrong(member.position, catalog::escape_name(member.key)
                                    .append(" is ")
                                    .append(type_word(*member.value))
                                    .append(" and must be ")
                                    .append(wanted));
}

Result<RuleComponent> FileReader::read_component(const Member& member) const {
  if (!is_component_name(member.key)) {
    return wrong(member.position,
                 "'" + catalog::escape_name(member.key) + "' is no name for a component",
                 "names are made of a to z, 0 to 9 and -");
  }
  const toml::table* const table = member.value->as_table();
  if (table == nullptr) return wrong_type(member, "a table");
  RuleComponent component;
  component.name = member.key;
  component.position = member.position;
  for (const Member& inner : members_of(*table)) {
    if (auto read = read_member(inner, component); !read) {
      return std::unexpected(std::move(read.error()));
    }
  }
  const std::string subject = "component " + component.name;
  if (component.title.empty()) return wrong(component.position, subject + " has no title");
  if (component.kind.empty()) {
    return wrong(component.position, subject + " has no kind", one_of(kKinds));
  }
  if (component.rules.empty()) {
    return wrong(component.position, subject + " names nothing",
                 "it needs an include, an exclude or an always_exclude");
  }
  return component;
}

Status FileReader::read_member(const Member& member, RuleComponent& component) const {
  const auto store = [](auto read, auto& target) -> Status {
    if (!read) return std::unexpected(std::move(read.error()));
    target = std::move(*read);
    return {};
  };
  if (member.key == "title") return store(read_text(member), component.title);
  if (member.key == "kind") return store(read_kind(member), component.kind);
  if (member.key == "warning") return store(read_text(member), component.warning);
  if (member.key == "detect") return store(read_detect(member), component.detect);
  const auto effect = effect_of(member.key);
  if (!effect) return unknown_key(member, kKeys);
  auto patterns = read_patterns(member);
  if (!patterns) return std::unexpected(std::move(patterns.error()));
  for (PlacePattern& pattern : *patterns) {
    component.rules.push_back({.effect = *effect, .pattern = std::move(pattern)});
  }
  return {};
}

Result<std::string> FileReader::read_text(const Member& member) const {
  const toml::value<std::string>* const text = member.value->as_string();
  if (text == nullptr) return wrong_type(member, "a text");
  if (text->get().empty() || !is_plain(text->get())) {
    const std::string_view fault =
        text->get().empty() ? " is empty" : " has a line break or another control character in it";
    return wrong(to_position(text->source().begin), std::string(member.key).append(fault));
  }
  return text->get();
}

Result<std::string> FileReader::read_kind(const Member& member) const {
  const toml::value<std::string>* const text = member.value->as_string();
  if (text == nullptr) return wrong_type(member, "a text");
  if (std::ranges::find(kKinds, text->get()) == kKinds.end()) {
    return wrong(to_position(text->source().begin),
                 "unknown kind '" + catalog::escape_name(text->get()) + "'", one_of(kKinds));
  }
  return text->get();
}

Result<std::vector<PlacePattern>> FileReader::read_patterns(const Member& member) const {
  const toml::array* const list = member.value->as_array();
  if (list == nullptr) return wrong_type(member, "a list of texts");
  std::vector<PlacePattern> patterns;
  for (const toml::node& item : *list) {
    const TextPosition position = to_position(item.source().begin);
    const toml::value<std::string>* const text = item.as_string();
    if (text == nullptr) {
      return wrong(position, std::string(member.key)
                                 .append(" holds ")
                                 .append(type_word(item))
                                 .append(" and must be a list of texts"));
    }
    auto pattern = parse_place_pattern(text->get());
    if (!pattern) {
      return wrong(position,
                   "'" + catalog::escape_name(text->get()) + "': " + pattern.error().reason,
                   pattern.error().hint);
    }
    pattern->position = position;
    patterns.push_back(std::move(*pattern));
  }
  return patterns;
}

Result<std::vector<PlacePattern>> FileReader::read_detect(const Member& member) const {
  auto patterns = read_patterns(member);
  if (!patterns) return patterns;
  if (patterns->empty()) {
    return wrong(member.position, "detect is an empty list",
                 "leave it out for a component that is always there");
  }
  for (const PlacePattern& pattern : *patterns) {
    const auto compiled = compile_pattern("/" + pattern.place + pattern.rest, Anchor::kRoot);
    if (compiled && std::ranges::any_of(compiled->parts, [](const PatternPart& part) {
          return part.kind == PatternPart::Kind::kAnyDepth;
        })) {
      return wrong(pattern.position, "detect has ** in it, which would search the whole volume");
    }
  }
  return patterns;
}

}  // namespace

std::string place_of(std::string_view name, TextPosition position) {
  return std::string(name) + ":" + std::to_string(position.line) + ":" +
         std::to_string(position.column);
}

Result<RuleFile> parse_rules(std::string_view text, std::string_view name, RuleLayer layer) {
  const FileReader reader(name);
  if (const auto at = find_stray_byte(text)) return reader.wrong(*at, "the text is not UTF-8");
  if (const auto at = find_dotted_line(text)) {
    return reader.wrong(*at, "more than 256 dots in one line", "spread the list over more lines");
  }
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return reader.wrong(to_position(error.source().begin), what_is_wrong(error));
  }
  auto components = reader.read(root);
  if (!components) return std::unexpected(std::move(components.error()));
  return RuleFile{.path = std::string(name),
                  .name = std::string(name.substr(name.rfind('/') + 1)),
                  .layer = layer,
                  .components = std::move(*components)};
}

}  // namespace holdfast::core
