#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

/// The account files of a captured system: passwd, group, shadow, login.defs. Pure: bytes in,
/// structs out; any bytes are taken. What cannot be understood is left out and named by its line.
namespace holdfast::core {

enum class Password : std::uint8_t {
  kUnknown,  ///< it is in shadow, and shadow was not read or has no such account
  kEmpty,    ///< logs in without one
  kLocked,   ///< nothing that anybody could type: `*`, `!` in front
  kUsable,
};

/// One line of passwd.
struct Account {
  std::string name{};
  Password password = Password::kUnknown;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string comment{};   ///< GECOS
  std::string home{};      ///< as it is written there
  std::string shell{};     ///< may be empty
  std::uint32_t line = 0;  ///< 1-based
  bool operator==(const Account&) const = default;
};

/// One line of group.
struct Group {
  std::string name;
  std::uint32_t gid = 0;
  std::vector<std::string> members;  ///< by name, in the file's order; none of them need exist
  std::uint32_t line = 0;
  bool operator==(const Group&) const = default;
};

/// Lines that were left out. All are counted, the first are kept.
struct LineFaults {
  static constexpr std::size_t kMaxKept = 20;  ///< rubbish has a fault on every line
  struct One {
    std::uint32_t line = 0;
    std::string reason;  ///< one clause
    bool operator==(const One&) const = default;
  };
  std::size_t count = 0;
  std::vector<One> first;

  void add(std::uint32_t line, std::string reason) {
    if (++count <= kMaxKept) first.push_back({.line = line, .reason = std::move(reason)});
  }
};

/// Entries in the file's order, each name once, and found by name and id. As in glibc the first
/// of several wins: an id that two names have is the first name's.
template <class Entry, std::uint32_t Entry::* kId>
class IdTable {
 public:
  IdTable() = default;
  /// @param entries  no two with the same name
  explicit IdTable(std::vector<Entry> entries) : entries_(std::move(entries)) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      by_name_.try_emplace(entries_[i].name, i);
      by_id_.try_emplace(entries_[i].*kId, i);
    }
  }

  [[nodiscard]] const std::vector<Entry>& all() const noexcept { return entries_; }
  /// nullptr: nobody has that name.
  [[nodiscard]] const Entry* find_name(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &entries_[found->second];
  }
  /// nullptr: nobody has that id. A file whose owner this says of is included and reported.
  [[nodiscard]] const Entry* find_id(std::uint32_t id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &entries_[found->second];
  }

 private:
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::unordered_map<std::uint32_t, std::size_t> by_id_;
};
using Accounts = IdTable<Account, &Account::uid>;
using Groups = IdTable<Group, &Group::gid>;

/// What a file of accounts or groups holds. Empty lines, comments and the `+` and `-` lines of NIS
/// are no faults.
template <class Entry>
struct NameFile {
  std::vector<Entry> entries;  ///< each name once
  LineFaults bad;
  LineFaults repeated;  ///< names that an earlier line has
};
[[nodiscard]] NameFile<Account> parse_passwd(std::string_view bytes);
[[nodiscard]] NameFile<Group> parse_group(std::string_view bytes);

/// Fills in the passwords that passwd says are in shadow. Lines that are none are passed over: who
/// the accounts are is passwd's to say. No hash is kept.
void add_passwords(std::string_view shadow, std::vector<Account>& accounts);

/// UID_MIN and UID_MAX of login.defs.
struct UidRange {
  std::uint32_t min = 1000;
  std::uint32_t max = 60000;
  bool operator==(const UidRange&) const = default;

  [[nodiscard]] bool holds(std::uint32_t uid) const noexcept { return uid >= min && uid <= max; }
};
/// What is not said, or is no number, has its default; so have both if they leave nobody.
[[nodiscard]] UidRange parse_uid_range(std::string_view login_defs);

inline constexpr std::uint32_t kNobody = 65534;
/// root, and who is in the range. System accounts and nobody are not.
[[nodiscard]] inline bool is_person(const Account& account, const UidRange& range) noexcept {
  return account.uid == 0 || (range.holds(account.uid) && account.uid != kNobody);
}

/// Takes the next line off @p rest, without its newline.
[[nodiscard]] inline std::string_view next_line(std::string_view& rest) noexcept {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

}  // namespace holdfast::core
