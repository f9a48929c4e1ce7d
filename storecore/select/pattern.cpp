#include "storecore/select/pattern.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storecore/select/selection.hpp"

// The language is gitignore's as git's wildmatch.c has it, bytes instead of locale. One matcher
// serves patterns and `find --name`: it interprets the pattern each time, without memory of its
// own, and a component without special bytes never reaches it.
namespace holdfast::core {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

bool in_range(unsigned char byte, unsigned char low, unsigned char high) noexcept {
  return byte >= low && byte <= high;
}

bool is_digit(unsigned char byte) noexcept { return in_range(byte, '0', '9'); }
bool is_lower(unsigned char byte) noexcept { return in_range(byte, 'a', 'z'); }
bool is_upper(unsigned char byte) noexcept { return in_range(byte, 'A', 'Z'); }
bool is_alpha(unsigned char byte) noexcept { return is_lower(byte) || is_upper(byte); }
bool is_alnum(unsigned char byte) noexcept { return is_alpha(byte) || is_digit(byte); }
bool is_graph(unsigned char byte) noexcept { return in_range(byte, 0x21, 0x7e); }
bool is_print(unsigned char byte) noexcept { return in_range(byte, 0x20, 0x7e); }
bool is_punct(unsigned char byte) noexcept { return is_graph(byte) && !is_alnum(byte); }
bool is_blank(unsigned char byte) noexcept { return byte == ' ' || byte == '\t'; }
bool is_space(unsigned char byte) noexcept { return byte == ' ' || in_range(byte, '\t', '\r'); }
bool is_cntrl(unsigned char byte) noexcept { return byte < 0x20 || byte == 0x7f; }
bool is_hex(unsigned char byte) noexcept {
  return is_digit(byte) || in_range(byte, 'a', 'f') || in_range(byte, 'A', 'F');
}

struct ByteClass {
  std::string_view name;
  bool (*holds)(unsigned char) noexcept;
};
constexpr auto kByteClasses = std::to_array<ByteClass>({{"alnum", is_alnum},
                                                        {"alpha", is_alpha},
                                                        {"blank", is_blank},
                                                        {"cntrl", is_cntrl},
                                                        {"digit", is_digit},
                                                        {"graph", is_graph},
                                                        {"lower", is_lower},
                                                        {"print", is_print},
                                                        {"punct", is_punct},
                                                        {"space", is_space},
                                                        {"upper", is_upper},
                                                        {"xdigit", is_hex}});

/// What one token of a pattern says of one byte, and where the next token begins.
struct GlobStep {
  std::size_t next = kNone;  ///< kNone: the pattern is malformed from here on
  bool matched = false;
};

/// "[:name:]" at @p at, inside brackets. nullopt: it is not one, the '[' stands for itself.
std::optional<GlobStep> match_byte_class(std::string_view pattern, std::size_t at,
                                         unsigned char byte) noexcept {
  if (!pattern.substr(at).starts_with("[:")) return std::nullopt;
  const std::size_t close = pattern.find(']', at + 2);
  if (close == kNone) return GlobStep{};
  if (close < at + 3 || pattern[close - 1] != ':') return std::nullopt;
  const std::string_view name = pattern.substr(at + 2, close - at - 3);
  const auto found = std::ranges::find(kByteClasses, name, &ByteClass::name);
  if (found == kByteClasses.end()) return GlobStep{};
  return GlobStep{.next = close + 1, .matched = found->holds(byte)};
}

/// One member of a bracket: a byte, an escaped byte, a range or a named class.
GlobStep match_member(std::string_view pattern, std::size_t at, unsigned char byte) noexcept {
  if (const auto named = match_byte_class(pattern, at, byte)) return *named;
  const auto read = [&](std::size_t& position) -> std::optional<unsigned char> {
    if (position < pattern.size() && pattern[position] == '\\') ++position;
    if (position >= pattern.size()) return std::nullopt;
    return static_cast<unsigned char>(pattern[position++]);
  };
  const auto low = read(at);
  if (!low) return {};
  const bool is_range = at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']';
  if (!is_range) return {.next = at, .matched = byte == *low};
  ++at;
  const auto high = read(at);
  if (!high) return {};
  return {.next = at, .matched = in_range(byte, *low, *high)};
}

/// "[...]" at @p at. A ']' right behind the opening stands for itself.
GlobStep match_bracket(std::string_view pattern, std::size_t at, unsigned char byte) noexcept {
  ++at;
  const bool negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  if (negated) ++at;
  bool matched = false;
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) return {.next = at + 1, .matched = matched != negated};
    const GlobStep member = match_member(pattern, at, byte);
    if (member.next == kNone) return {};
    matched = matched || member.matched;
    at = member.next;
  }
  return {};
}

/// Any token but '*' at @p at.
GlobStep match_token(std::string_view pattern, std::size_t at, unsigned char byte) noexcept {
  switch (pattern[at]) {
    case '?':
      return {.next = at + 1, .matched = true};
    case '[':
      return match_bracket(pattern, at, byte);
    case '\\':
      if (++at == pattern.size()) return {};
      [[fallthrough]];
    default:
      return {.next = at + 1, .matched = static_cast<unsigned char>(pattern[at]) == byte};
  }
}

/// One clause that says what is wrong; empty when nothing is.
std::string_view find_fault(std::string_view component) noexcept {
  for (std::size_t at = 0; at < component.size();) {
    if (component[at] == '*') {
      ++at;
      continue;
    }
    const GlobStep step = match_token(component, at, 0);
    if (step.next == kNone) {
      return component[at] == '[' ? "has a [ without its ], or an unknown class in it"
                                  : "ends a name in a backslash";
    }
    at = step.next;
  }
  return {};
}

PatternPart to_part(std::string_view component) {
  if (component == "**") return {.kind = PatternPart::Kind::kAnyDepth, .text = {}};
  PatternPart literal;
  for (std::size_t at = 0; at < component.size(); ++at) {
    if (std::string_view("*?[").contains(component[at])) {
      return {.kind = PatternPart::Kind::kGlob, .text = std::string(component)};
    }
    if (component[at] == '\\') ++at;  // find_fault() saw that something follows
    literal.text.push_back(component[at]);
  }
  return literal;
}

void append(std::vector<PatternPart>& parts, PatternPart part) {
  // "a/**/**" says no more than "a/**", and one of the two would have to match nothing at the end.
  const bool repeated = part.kind == PatternPart::Kind::kAnyDepth && !parts.empty() &&
                        parts.back().kind == PatternPart::Kind::kAnyDepth;
  if (!repeated) parts.push_back(std::move(part));
}

}  // namespace

bool PatternPart::matches(std::string_view name) const noexcept {
  switch (kind) {
    case Kind::kAnyDepth:
      return true;
    case Kind::kLiteral:
      return name == text;
    case Kind::kGlob:
      return glob_match(text, name);
  }
  return false;
}

std::expected<Pattern, std::string_view> compile_pattern(std::string_view source, Anchor anchor) {
  if (source.starts_with('!')) return std::unexpected("begins with !; a name that does is \\!");
  if (source.find('\0') != kNone) return std::unexpected("holds a NUL byte");
  Pattern pattern{.source = std::string(source), .parts = {}, .directories_only = false};
  std::string_view rest = source;
  while (rest.ends_with('/')) {
    pattern.directories_only = true;
    rest.remove_suffix(1);
  }
  if (anchor == Anchor::kNoSlash && rest.find('/') == kNone) {
    append(pattern.parts, {.kind = PatternPart::Kind::kAnyDepth, .text = {}});
  }
  bool names_something = false;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view component = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (component.empty() || component == ".") continue;
    if (component == "..") return std::unexpected("has .. in it");
    if (const std::string_view fault = find_fault(component); !fault.empty()) {
      return std::unexpected(fault);
    }
    append(pattern.parts, to_part(component));
    names_something = true;
  }
  if (!names_something) return std::unexpected("names nothing");
  return pattern;
}

bool glob_match(std::string_view pattern, std::string_view name) noexcept {
  std::size_t at = 0;
  std::size_t used = 0;
  std::size_t behind_star = kNone;  // of the last '*' seen: only it needs to be tried again
  std::size_t star_used = 0;
  while (used < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      behind_star = ++at;
      star_used = used;
      continue;
    }
    if (at < pattern.size()) {
      const GlobStep step = match_token(pattern, at, static_cast<unsigned char>(name[used]));
      if (step.next == kNone) return false;
      if (step.matched) {
        at = step.next;
        ++used;
        continue;
      }
    }
    if (behind_star == kNone) return false;
    at = behind_star;
    used = ++star_used;
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace holdfast::core
