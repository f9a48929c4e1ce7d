#pragma once

#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/note.hpp"
#include "storecore/people/places.hpp"
#include "storecore/people/users_expression.hpp"

/// The people of a captured system: who has an account, and where in ROOT their things are.
namespace holdfast::core {

/// A home as it is inside ROOT.
struct UserHome {
  std::string user;
  std::string home;
  bool operator==(const UserHome&) const = default;
};

struct People {
  bool is_system = false;  ///< false: ROOT has no etc/passwd, and all else here is empty
  Accounts accounts;       ///< of etc/passwd, system accounts too
  Groups groups;           ///< of etc/group; empty when there is none
  UidRange range;          ///< of etc/login.defs, or usr/etc/login.defs
  /// Who was chosen and has a home, in the order of passwd. A home that two share is once here.
  std::vector<UserPlaces> users;
  /// Homes of all people and of those who were chosen, whether they were or not; each user once.
  std::vector<UserHome> homes;
  std::vector<PeopleNote> notes;
};

/// Reads passwd, group, shadow, login.defs of @p root, and user-dirs.dirs of each chosen user. All
/// of it is followed inside ROOT alone.
/// @param root   borrowed; must outlive the call
/// @param users  who is chosen
/// Errors: kUsage what UsersExpression::choose() says; kFailed etc/passwd is there and cannot be
///         read: a FIFO, a device, a directory, larger than 16 MiB, a link that leads to nothing.
///         Other files of that kind are noted, and read as if they were not there.
/// One thread; what users change meanwhile is seen or not.
[[nodiscard]] catalog::Result<People> read_people(
    DirFd root, const UsersExpression& users = UsersExpression::everybody());

}  // namespace holdfast::core
