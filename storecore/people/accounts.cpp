#include "storecore/people/accounts.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace holdfast::core {
namespace {

constexpr std::size_t kPasswdFields = 6;  // the seventh, the shell, may be missing
constexpr std::size_t kGroupFields = 3;   // the fourth, the members, may be missing
constexpr std::uint32_t kNoId = std::numeric_limits<std::uint32_t>::max();  // (uid_t)-1

std::string_view without_blanks(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

/// Nothing that speaks of an entry of its own.
bool is_silent(std::string_view line) noexcept {
  return line.empty() || std::string_view("#+-").contains(line.front());
}

/// Cuts at @p separator, into at most @p most parts: the last one keeps what is left.
std::vector<std::string_view> cut(std::string_view text, char separator, std::size_t most) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < most) {
    const std::size_t end = text.find(separator);
    if (end == std::string_view::npos) break;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

/// @param base  0: as in C, by what is in front
std::optional<std::uint32_t> to_id(std::string_view text, int base = 10) noexcept {
  if (base == 0) {
    const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
    base = is_hex ? 16 : text.size() > 1 && text.starts_with('0') ? 8 : 10;
    if (is_hex) text.remove_prefix(2);
  }
  std::uint32_t id = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), id, base);
  if (error != std::errc() || stop != text.data() + text.size() || id == kNoId) return std::nullopt;
  return id;
}

Password password_of(std::string_view field) noexcept {
  if (field == "x") return Password::kUnknown;
  if (field.empty()) return Password::kEmpty;
  return field.front() == '!' || field.front() == '*' ? Password::kLocked : Password::kUsable;
}

/// What is wrong with the fields that both files begin with; empty when nothing is.
std::string_view fault_of(std::string_view line, const std::vector<std::string_view>& fields,
                          std::size_t least) noexcept {
  if (line.contains('\0')) return "holds a NUL byte";
  if (fields.size() < least) return "has too few fields";
  if (fields[0].empty()) return "has no name";
  return {};
}

std::string_view read_entry(std::string_view line, Account& account) {
  const auto fields = cut(line, ':', kPasswdFields + 1);
  if (const auto fault = fault_of(line, fields, kPasswdFields); !fault.empty()) return fault;
  const auto uid = to_id(fields[2]);
  const auto gid = to_id(fields[3]);
  if (!uid || !gid) return uid ? "has no number as its group" : "has no number as its user id";
  account.name = fields[0];
  account.password = password_of(fields[1]);
  account.uid = *uid;
  account.gid = *gid;
  account.comment = fields[4];
  account.home = fields[5];
  if (fields.size() > kPasswdFields) account.shell = fields[6];
  return {};
}

std::string_view read_entry(std::string_view line, Group& group) {
  const auto fields = cut(line, ':', kGroupFields + 1);
  if (const auto fault = fault_of(line, fields, kGroupFields); !fault.empty()) return fault;
  const auto gid = to_id(fields[2]);
  if (!gid) return "has no number as its group id";
  group.name = fields[0];
  group.gid = *gid;
  if (fields.size() == kGroupFields) return {};
  for (const std::string_view member : cut(fields[3], ',', kNoId)) {
    if (!member.empty()) group.members.emplace_back(member);
  }
  return {};
}

template <class Entry>
NameFile<Entry> parse_names(std::string_view bytes) {
  NameFile<Entry> file;
  std::unordered_map<std::string, std::uint32_t> lines;
  for (std::uint32_t number = 1; !bytes.empty(); ++number) {
    const std::string_view line = without_blanks(next_line(bytes));
    if (is_silent(line)) continue;
    Entry entry;
    entry.line = number;
    if (const std::string_view fault = read_entry(line, entry); !fault.empty()) {
      file.bad.add(number, std::string(fault));
      continue;
    }
    const auto [first, is_new] = lines.try_emplace(entry.name, number);
    if (!is_new) {
      file.repeated.add(number, "the name is on line " + std::to_string(first->second) + " too");
      continue;
    }
    file.entries.push_back(std::move(entry));
  }
  return file;
}

}  // namespace

NameFile<Account> parse_passwd(std::string_view bytes) { return parse_names<Account>(bytes); }

NameFile<Group> parse_group(std::string_view bytes) { return parse_names<Group>(bytes); }

void add_passwords(std::string_view shadow, std::vector<Account>& accounts) {
  std::unordered_map<std::string_view, Password> passwords;
  while (!shadow.empty()) {
    const std::string_view line = without_blanks(next_line(shadow));
    if (is_silent(line)) continue;
    const auto fields = cut(line, ':', 3);
    if (fields.size() < 2) continue;
    // A hash of "x" is none that any password has.
    const Password password = fields[1] == "x" ? Password::kLocked : password_of(fields[1]);
    passwords.try_emplace(fields[0], password);
  }
  for (Account& account : accounts) {
    if (account.password != Password::kUnknown) continue;
    const auto found = passwords.find(account.name);
    if (found != passwords.end()) account.password = found->second;
  }
}

UidRange parse_uid_range(std::string_view login_defs) {
  constexpr std::string_view blanks = " \t\r\"";  // as login's own reader skips them
  UidRange range;
  while (!login_defs.empty()) {
    std::string_view line = without_blanks(next_line(login_defs));
    const std::size_t end = line.find_first_of(blanks);
    if (end == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, end);
    if (key != "UID_MIN" && key != "UID_MAX") continue;
    line.remove_prefix(std::min(line.find_first_not_of(blanks, end), line.size()));
    const auto value = to_id(line.substr(0, line.find_first_of(blanks)), 0);
    if (!value) continue;
    (key == "UID_MIN" ? range.min : range.max) = *value;
  }
  return range.min <= range.max ? range : UidRange{};
}

}  // namespace holdfast::core
