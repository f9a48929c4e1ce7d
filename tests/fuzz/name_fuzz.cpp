// Names and paths: what is checked, split, joined, shown and written down.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/name.hpp"
#include "fuzz.hpp"

using namespace holdfast::catalog;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::Exact;
using holdfast::fuzz::require;

namespace {

int hex_digit(char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; }

/// The inverse of escape_name(), written from its description alone.
std::string unescape(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    require(i + 1 < text.size(), "an escaped name does not end in the middle");
    switch (text[++i]) {
      case '\\':
        bytes += '\\';
        break;
      case 'n':
        bytes += '\n';
        break;
      case 't':
        bytes += '\t';
        break;
      case 'r':
        bytes += '\r';
        break;
      case 'x':
        require(i + 2 < text.size(), "an escaped byte has two digits");
        bytes += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
        i += 2;
        break;
      default:
        require(false, "a backslash stands before \\, n, t, r or x");
    }
  }
  return bytes;
}

void check_split(std::string_view path) {
  const auto components = split_path(path);
  if (!components) {
    require(!is_clean_path(path), "a clean path can be split");
    return;
  }
  std::string joined;
  for (const std::string& component : *components) {
    require(is_component(component), "a path is split into components");
    joined = join_path(joined, component);
  }
  require(split_path(joined) == components, "components joined are split as before");
  require(is_clean_path(joined), "components joined are a clean path");
  require(is_clean_path(path) == (joined == path), "a clean path is one that joining gives");
}

void check_escape(std::string_view bytes) {
  const std::string shown = escape_name(bytes);
  require(is_utf8(shown), "an escaped name is UTF-8");
  require(std::ranges::none_of(shown, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }),
          "an escaped name has no control bytes");
  require(unescape(shown) == bytes, "an escaped name can be read back");
}

void check_base64(std::string_view bytes) {
  require(from_base64(to_base64(bytes)) == bytes, "base64 comes back");
  if (const auto decoded = from_base64(bytes))
    require(to_base64(*decoded) == bytes, "bytes have one base64");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Exact input(holdfast::fuzz::Bytes(data, size).rest());
  const std::string_view bytes = input.view();
  if (is_component(bytes)) {
    require(split_path(bytes) == std::vector<std::string>{std::string(bytes)},
            "a component is a path of itself");
    require(bytes != "." && bytes != ".." && bytes.find('/') == std::string_view::npos,
            "a component leads nowhere");
  }
  check_split(bytes);
  check_escape(bytes);
  check_base64(bytes);
  return 0;
}
