#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/name.hpp"
#include "storecore/select/selection.hpp"

// The form in which a selection is stored with its capture.
namespace holdfast::core {
namespace {

using nlohmann::json;

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

std::optional<std::string> to_pattern(const json& value) {
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
    auto pattern = to_pattern(value);
    if (!pattern) return false;
    patterns.push_back(std::move(*pattern));
  }
  return true;
}

}  // namespace

std::string to_json(const SelectionSpec& spec) {
  return json{{"everything", spec.everything},
              {"include", to_value(spec.include)},
              {"exclude", to_value(spec.exclude)}}
      .dump();
}

std::optional<SelectionSpec> selection_from_json(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  // A member that this version does not know could change what the others mean.
  if (!object.is_object() || object.size() != 3) return std::nullopt;
  const auto everything = object.find("everything");
  if (everything == object.end() || !everything->is_boolean()) return std::nullopt;
  SelectionSpec spec;
  spec.everything = everything->get<bool>();
  if (!read_patterns(object, "include", spec.include)) return std::nullopt;
  if (!read_patterns(object, "exclude", spec.exclude)) return std::nullopt;
  return spec;
}

}  // namespace holdfast::core
