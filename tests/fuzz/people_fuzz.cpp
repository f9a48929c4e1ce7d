// A captured system's accounts, user-dirs.dirs and --users: whatever the bytes, names stay apart
// and nothing is counted twice.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/user_dirs.hpp"
#include "storecore/people/users_expression.hpp"

using namespace holdfast::core;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::Bytes;
using holdfast::fuzz::Exact;
using holdfast::fuzz::require;

namespace {

std::size_t line_count(std::string_view bytes) {
  return static_cast<std::size_t>(std::ranges::count(bytes, '\n')) + 1;
}

template <class Entry>
void check_names(const NameFile<Entry>& file, std::string_view bytes) {
  require(file.entries.size() + file.bad.count + file.repeated.count <= line_count(bytes),
          "a line is one thing at most");
  require(file.bad.first.size() == std::min(file.bad.count, LineFaults::kMaxKept),
          "the first bad lines are kept");
  std::set<std::string_view> names;
  std::uint32_t line = 0;
  for (const Entry& entry : file.entries) {
    require(!entry.name.empty() && names.insert(entry.name).second, "each name is there once");
    require(entry.name.find_first_of(std::string_view(":\n\0", 3)) == std::string::npos,
            "a name is one field of one line");
    require(entry.line > line, "entries have the order of the file");
    line = entry.line;
  }
}

void check_passwd(std::string_view bytes, std::string_view shadow) {
  NameFile<Account> file = parse_passwd(bytes);
  check_names(file, bytes);
  const auto before = file.entries;
  add_passwords(shadow, file.entries);
  for (std::size_t i = 0; i < before.size(); ++i) {
    require(
        before[i].password == Password::kUnknown || before[i].password == file.entries[i].password,
        "shadow says only what passwd does not");
  }
  const Accounts accounts(file.entries);
  for (const Account& account : accounts.all()) {
    require(accounts.find_name(account.name) == &account, "an account is found by its name");
    require(accounts.find_id(account.uid) <= &account, "of a number the first one is found");
  }
}

void check_group(std::string_view bytes) {
  const NameFile<Group> file = parse_group(bytes);
  check_names(file, bytes);
  for (const Group& group : file.entries) {
    require(std::ranges::none_of(
                group.members,
                [](const std::string& member) { return member.empty() || member.contains(','); }),
            "members are names");
  }
}

void check_user_dirs(std::string_view bytes) {
  const UserDirs file = parse_user_dirs(bytes);
  require(file.bad.count <= line_count(bytes), "a line is bad once");
  require(file.dirs.size() <= 8, "there are eight places");
  for (const auto& [place, dir] : file.dirs) {
    require(!dir.path.starts_with('/') && !dir.path.ends_with('/'), "slashes are cut off");
    require(dir.path.find_first_of(std::string_view("\n\0", 2)) == std::string::npos,
            "a path is on one line");
    // Written as xdg-user-dirs writes it, it reads the same.
    std::string written = "XDG_DOCUMENTS_DIR=\"" + std::string(dir.below_home ? "$HOME/" : "/");
    for (const char c : dir.path) {
      if (std::string_view("\\\"$`").contains(c)) written += '\\';
      written += c;
    }
    const UserDirs again = parse_user_dirs(written + "\"\n");
    require(again.dirs.size() == 1 && again.dirs.begin()->second == dir, "a path comes back");
  }
}

void check_users(std::string_view text, std::string_view passwd) {
  const Accounts accounts(parse_passwd(passwd).entries);
  const UidRange range;
  const auto everybody = UsersExpression::everybody().choose(accounts, range);
  require(everybody.has_value(), "all is never wrong");
  require(std::ranges::all_of(*everybody,
                              [&](const Account* account) { return is_person(*account, range); }),
          "all are people");
  const auto expression = UsersExpression::parse(text);
  if (!expression) return;
  const auto chosen = expression->choose(accounts, range);
  if (!chosen) return;
  require(std::ranges::is_sorted(*chosen) && std::ranges::adjacent_find(*chosen) == chosen->end(),
          "each is chosen once, in the order of passwd");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input(data, size);
  const std::uint8_t kind = input.byte();
  // The NUL between two texts cannot be in the first: it is in the second one of some inputs.
  const Exact first(kind % 4 == 0 || kind % 4 == 3 ? input.text() : std::string());
  const Exact second(input.rest());
  switch (kind % 4) {
    case 0:
      check_passwd(second.view(), first.view());
      break;
    case 1:
      check_group(second.view());
      break;
    case 2:
      check_user_dirs(second.view());
      (void)parse_uid_range(second.view());
      break;
    default:
      check_users(first.view(), second.view());
  }
  return 0;
}
