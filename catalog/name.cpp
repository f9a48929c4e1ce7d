#include "catalog/name.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/utf8.hpp"

namespace holdfast::catalog {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::uint32_t octet(char c) noexcept { return static_cast<unsigned char>(c); }

void append_hex_escapes(std::string& out, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char c : bytes) {
    out += "\\x";
    out += digits[octet(c) >> 4U];
    out += digits[octet(c) & 15U];
  }
}

// Controls that have no letter of their own after the backslash.
bool is_unnamed_control(char32_t c) noexcept {
  return is_control(c) && c != U'\n' && c != U'\t' && c != U'\r';
}

constexpr std::uint64_t in_each_byte(std::uint64_t byte) noexcept {
  return byte * 0x0101010101010101U;
}

// A high bit somewhere if some byte of @p word is below @p limit (at most 0x80). Which one is not
// certain: a borrow runs upwards.
// https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord
constexpr std::uint64_t below(std::uint64_t word, std::uint64_t limit) noexcept {
  return (word - in_each_byte(limit)) & ~word;
}

constexpr std::uint64_t equal(std::uint64_t word, char c) noexcept {
  return below(word ^ in_each_byte(static_cast<unsigned char>(c)), 1);
}

constexpr bool is_plain(std::uint64_t word) noexcept {
  const std::uint64_t other =
      word | below(word, ' ') | equal(word, '"') | equal(word, '\\') | equal(word, '\x7f');
  return (other & in_each_byte(0x80)) == 0;
}

constexpr bool is_plain(char c) noexcept { return c >= ' ' && c < '\x7f' && c != '"' && c != '\\'; }

constexpr std::array<std::int8_t, 256> base64_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kBase64.size(); ++i) {
    values[static_cast<unsigned char>(kBase64[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}

}  // namespace

std::optional<CodePoint> first_code_point(std::string_view text) noexcept {
  if (text.empty()) {
    return std::nullopt;
  }
  const std::uint32_t lead = octet(text[0]);
  if (lead < 0x80) {
    return CodePoint{static_cast<char32_t>(lead), 1};
  }
  std::size_t bytes = 0;
  std::uint32_t value = 0;
  std::uint32_t least = 0;  // below it the form is overlong
  if (lead >= 0xc2 && lead <= 0xdf) {
    bytes = 2;
    value = lead & 0x1fU;
    least = 0x80;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    bytes = 3;
    value = lead & 0x0fU;
    least = 0x800;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    bytes = 4;
    value = lead & 0x07U;
    least = 0x10000;
  }
  if (bytes == 0 || text.size() < bytes) {
    return std::nullopt;
  }
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((octet(text[i]) & 0xc0U) != 0x80U) {
      return std::nullopt;
    }
    value = (value << 6U) | (octet(text[i]) & 0x3fU);
  }
  if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    return std::nullopt;
  }
  return CodePoint{static_cast<char32_t>(value), bytes};
}

std::size_t plain_bytes(std::string_view text) noexcept {
  std::size_t at = 0;
  for (std::uint64_t word = 0; text.size() - at >= sizeof word; at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if (!is_plain(word)) {
      break;
    }
  }
  while (at < text.size() && is_plain(text[at])) {
    ++at;
  }
  return at;
}

bool is_component(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxNameBytes || name == "." || name == "..") {
    return false;
  }
  return name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::optional<std::vector<std::string>> split_path(std::string_view path) {
  std::vector<std::string> components;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (component.empty() || component == ".") {
      continue;
    }
    if (!is_component(component)) {
      return std::nullopt;
    }
    components.emplace_back(component);
  }
  return components;
}

bool is_clean_path(std::string_view path) {
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (!is_component(path.substr(0, end)) || end + 1 == path.size()) {
      return false;
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

std::string join_path(std::string_view parent, std::string_view name) {
  std::string path(parent);
  if (!path.empty() && !name.empty() && path.back() != '/') {
    path += '/';
  }
  path += name;
  return path;
}

std::string escape_name(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    if (const std::size_t plain = plain_bytes(bytes); plain != 0) {
      out += bytes.substr(0, plain);
      bytes.remove_prefix(plain);
      continue;
    }
    const auto point = first_code_point(bytes);
    const std::size_t length = point ? point->bytes : 1;
    const std::string_view piece = bytes.substr(0, length);
    bytes.remove_prefix(length);
    if (!point || is_unnamed_control(point->value)) {
      append_hex_escapes(out, piece);
    } else if (point->value == U'\\') {
      out += "\\\\";
    } else if (point->value == U'\n') {
      out += "\\n";
    } else if (point->value == U'\t') {
      out += "\\t";
    } else if (point->value == U'\r') {
      out += "\\r";
    } else {
      out += piece;
    }
  }
  return out;
}

bool is_utf8(std::string_view bytes) noexcept {
  bytes.remove_prefix(plain_bytes(bytes));
  while (!bytes.empty()) {
    const auto point = first_code_point(bytes);
    if (!point) {
      return false;
    }
    bytes.remove_prefix(point->bytes);
    bytes.remove_prefix(plain_bytes(bytes));
  }
  return true;
}

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = octet(bytes[i]) << 16U;
    group |= have > 1 ? octet(bytes[i + 1]) << 8U : 0U;
    group |= have > 2 ? octet(bytes[i + 2]) : 0U;
    text += kBase64[group >> 18U];
    text += kBase64[(group >> 12U) & 63U];
    text += have > 1 ? kBase64[(group >> 6U) & 63U] : '=';
    text += have > 2 ? kBase64[group & 63U] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  static constexpr std::array<std::int8_t, 256> values = base64_values();
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t padding = !last || text[i + 3] != '=' ? 0U : text[i + 2] != '=' ? 1U : 2U;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const int value = j < 4 - padding ? values[static_cast<unsigned char>(text[i + j])] : 0;
      if (value < 0) {
        return std::nullopt;
      }
      group = (group << 6U) | static_cast<std::uint32_t>(value);
    }
    // Bits that the padding cuts off must be zero, so that every byte string has one text.
    if ((group & ((1U << (8U * padding)) - 1U)) != 0) {
      return std::nullopt;
    }
    for (std::size_t j = 0; j < 3 - padding; ++j) {
      bytes += static_cast<char>((group >> (16U - 8U * j)) & 0xffU);
    }
  }
  return bytes;
}

}  // namespace holdfast::catalog
