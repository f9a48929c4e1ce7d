#include "storecore/people/people.hpp"

#include <algorithm>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/inside_root.hpp"
#include "storecore/people/note.hpp"
#include "storecore/people/places.hpp"
#include "storecore/people/users_expression.hpp"

namespace holdfast::core {
namespace {

constexpr std::string_view kPasswdFile = "etc/passwd";
constexpr std::string_view kGroupFile = "etc/group";
constexpr std::string_view kShadowFile = "etc/shadow";

class PeopleReader {
 public:
  PeopleReader(DirFd root, People& people) : root_(root), people_(people) {}

  /// False: ROOT has no accounts.
  [[nodiscard]] catalog::Result<bool> read_accounts() {
    const auto passwd = read_inside(root_, kPasswdFile);
    if (!passwd) return std::unexpected(passwd.error());
    if (!*passwd) return false;
    people_.is_system = true;
    NameFile<Account> accounts = parse_passwd((*passwd)->bytes);
    note_faults(kPasswdFile, accounts);
    if (const auto shadow = read_or_note(kShadowFile)) add_passwords(*shadow, accounts.entries);
    people_.accounts = Accounts(std::move(accounts.entries));
    if (const auto bytes = read_or_note(kGroupFile)) {
      NameFile<Group> groups = parse_group(*bytes);
      note_faults(kGroupFile, groups);
      people_.groups = Groups(std::move(groups.entries));
    }
    auto defaults = read_or_note("etc/login.defs");
    // Where a vendor's files are in /usr, that in /etc is the administrator's and need not exist.
    if (!defaults) defaults = read_or_note("usr/etc/login.defs");
    if (defaults) people_.range = parse_uid_range(*defaults);
    note_above_range();
    return true;
  }

  void find_users(const std::vector<const Account*>& chosen) {
    const std::unordered_set<const Account*> is_chosen(chosen.begin(), chosen.end());
    std::vector<const Account*> with_home;
    std::vector<std::string> homes;
    std::vector<PeopleNote> unwanted;  // of those who were not chosen
    for (const Account& account : people_.accounts.all()) {
      const bool wanted = is_chosen.contains(&account);
      if (!wanted && !is_person(account, people_.range)) continue;
      auto home = find_home(root_, account, wanted ? people_.notes : unwanted);
      if (!home) continue;
      if (wanted) with_home.push_back(&account);
      homes.push_back(*home);
      people_.homes.push_back({.user = account.name, .home = std::move(*home)});
    }
    std::ranges::sort(homes);
    std::map<std::string, std::string, std::less<>> taken;  // home -> whose
    auto next = people_.homes.begin();
    for (const Account* account : with_home) {
      while (next->user != account->name) ++next;
      const auto [first, is_new] = taken.try_emplace(next->home, account->name);
      if (is_new) {
        people_.users.push_back(find_places(root_, *account, next->home, homes, people_.notes));
      } else {
        note(NoteKind::kSharedHome, account->name, next->home,
             "the home is that of " + catalog::escape_name(first->second) + " too");
      }
    }
  }

 private:
  [[nodiscard]] std::optional<std::string> read_or_note(std::string_view path) {
    auto file = read_inside(root_, path);
    if (!file) {
      note(NoteKind::kUnreadable, {}, std::string(path), reason_of(file.error()));
      return std::nullopt;
    }
    if (!*file) return std::nullopt;
    return std::move((*file)->bytes);
  }

  template <class Entry>
  void note_faults(std::string_view path, const NameFile<Entry>& file) {
    add_line_notes(NoteKind::kBadLine, {}, path, file.bad, people_.notes);
    add_line_notes(NoteKind::kRepeatedName, {}, path, file.repeated, people_.notes);
  }

  /// Somebody may have given a user a number of his own up there; that he is left out is no secret.
  void note_above_range() {
    for (const Account& account : people_.accounts.all()) {
      if (account.uid <= people_.range.max || account.uid == kNobody) continue;
      note(NoteKind::kAboveRange, account.name, std::string(kPasswdFile),
           "user number " + std::to_string(account.uid) + " is above UID_MAX (" +
               std::to_string(people_.range.max) + "): counted as a system account");
    }
  }

  void note(NoteKind kind, std::string user, std::string path, std::string reason) {
    people_.notes.push_back({.kind = kind,
                             .user = std::move(user),
                             .path = std::move(path),
                             .reason = std::move(reason)});
  }

  DirFd root_;
  People& people_;
};

}  // namespace

catalog::Result<People> read_people(DirFd root, const UsersExpression& users) {
  People people;
  PeopleReader reader(root, people);
  const auto is_system = reader.read_accounts();
  if (!is_system) return std::unexpected(is_system.error());
  if (!*is_system) return people;
  const auto chosen = users.choose(people.accounts, people.range);
  if (!chosen) return std::unexpected(chosen.error());
  reader.find_users(*chosen);
  return people;
}

}  // namespace holdfast::core
