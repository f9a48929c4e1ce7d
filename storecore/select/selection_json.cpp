#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/name.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

// The form in which a selection is stored with its capture.
namespace holdfast::core {
namespace {

using nlohmann::json;

constexpr std::size_t kRuleMembers = 8;

/// A pattern is bytes, JSON text is UTF-8: {"base64": "..."} is for the others.
json to_value(const std::string& pattern) {
  if (catalog::is_utf8(pattern)) return pattern;
  return json{{"base64", catalog::to_base64(pattern)}};
}

json to_value(const std::vector<std::string>& patterns) {
  json values = json::array();
  for (const std::string& pattern : patterns) values.push_back(to_value(pattern));
  return values;
}

json to_value(const SelectionRule& rule) {
  return {{"effect", to_word(rule.effect)},    {"layer", to_word(rule.layer)},
          {"pattern", to_value(rule.pattern)}, {"component", to_value(rule.component)},
          {"kind", to_value(rule.kind)},       {"user", to_value(rule.user)},
          {"file", to_value(rule.file)},       {"line", rule.line}};
}

std::optional<std::string> to_bytes(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object() || value.size() != 1) return std::nullopt;
  const auto encoded = value.find("base64");
  if (encoded == value.end() || !encoded->is_string()) return std::nullopt;
  return catalog::from_base64(encoded->get_ref<const std::string&>());
}

bool read_patterns(const json& object, const char* key, std::vector<std::string>& patterns) {
  const auto values = object.find(key);
  if (values == object.end() || !values->is_array()) return false;
  for (const json& value : *values) {
    auto pattern = to_bytes(value);
    if (!pattern) return false;
    patterns.push_back(std::move(*pattern));
  }
  return true;
}

bool read_bytes(const json& object, const char* key, std::string& bytes) {
  const auto value = object.find(key);
  if (value == object.end()) return false;
  auto read = to_bytes(*value);
  if (!read) return false;
  bytes = std::move(*read);
  return true;
}

template <class Enum>
bool read_word(const json& object, const char* key, std::span<const std::string_view> words,
               Enum& value) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return false;
  const auto word = std::ranges::find(words, found->get_ref<const std::string&>());
  if (word == words.end()) return false;
  value = static_cast<Enum>(word - words.begin());
  return true;
}

bool read_line(const json& object, std::uint32_t& line) {
  const auto value = object.find("line");
  if (value == object.end() || !value->is_number_unsigned()) return false;
  const auto number = value->get<std::uint64_t>();
  if (number > std::numeric_limits<std::uint32_t>::max()) return false;
  line = static_cast<std::uint32_t>(number);
  return true;
}

std::optional<SelectionRule> to_rule(const json& object) {
  if (!object.is_object() || object.size() != kRuleMembers) return std::nullopt;
  SelectionRule rule;
  const bool known = read_word(object, "effect", kEffectWords, rule.effect) &&
                     read_word(object, "layer", kLayerWords, rule.layer) &&
                     read_bytes(object, "pattern", rule.pattern) &&
                     read_bytes(object, "component", rule.component) &&
                     read_bytes(object, "kind", rule.kind) &&
                     read_bytes(object, "user", rule.user) &&
                     read_bytes(object, "file", rule.file) && read_line(object, rule.line);
  if (!known) return std::nullopt;
  return rule;
}

bool read_rules(const json& object, std::vector<SelectionRule>& rules) {
  const auto values = object.find("rules");
  // Without rules the member is not written.
  if (values == object.end() || !values->is_array() || values->empty()) return false;
  for (const json& value : *values) {
    auto rule = to_rule(value);
    if (!rule) return false;
    rules.push_back(std::move(*rule));
  }
  return true;
}

}  // namespace

std::string to_json(const SelectionSpec& spec) {
  json object{{"everything", spec.everything},
              {"include", to_value(spec.include)},
              {"exclude", to_value(spec.exclude)}};
  for (const SelectionRule& rule : spec.rules) object["rules"].push_back(to_value(rule));
  return object.dump();
}

std::optional<SelectionSpec> selection_from_json(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  // A member that this version does not know could change what the others mean.
  if (!object.is_object()) return std::nullopt;
  const bool has_rules = object.contains("rules");
  if (object.size() != (has_rules ? 4 : 3)) return std::nullopt;
  const auto everything = object.find("everything");
  if (everything == object.end() || !everything->is_boolean()) return std::nullopt;
  SelectionSpec spec;
  spec.everything = everything->get<bool>();
  if (!read_patterns(object, "include", spec.include)) return std::nullopt;
  if (!read_patterns(object, "exclude", spec.exclude)) return std::nullopt;
  if (has_rules && !read_rules(object, spec.rules)) return std::nullopt;
  return spec;
}

}  // namespace holdfast::core
