#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storecore/os/fd.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/note.hpp"
#include "storecore/rules/place_pattern.hpp"

/// Where in ROOT the things of one user are. docs/decisions/0009-people-inside-root.md says what a
/// user may name, and what follows from it.
namespace holdfast::core {

/// True for @p top itself and for everything below it. Both relative to ROOT.
[[nodiscard]] bool is_at_or_below(std::string_view path, std::string_view top) noexcept;
/// True if @p path lies in the user's home. Only such a place may leave anything out: others were
/// named by a file that the user writes, and what is there need not be his.
[[nodiscard]] bool is_own(const UserPlaces& places, std::string_view path) noexcept;
/// True for ROOT, and for directories that a system consists of, such as `usr/lib`: what nobody's
/// home or place can be. @p path is resolved.
[[nodiscard]] bool is_part_of_system(std::string_view path) noexcept;

/// The home of @p account as it is inside ROOT: a directory.
/// @param notes  receives why there is none, and what is odd about one
[[nodiscard]] std::optional<std::string> find_home(DirFd root, const Account& account,
                                                   std::vector<PeopleNote>& notes);

/// The XDG base directories, and the places of the user's user-dirs.dirs.
///
/// A place outside of the home is taken and noted, unless it is in, or holds, the home of somebody
/// else, or is a part of the system. `$HOME` itself as a place says that there is none. What
/// user-dirs.dirs does not mention has its default name.
/// @param home   from find_home()
/// @param homes  of everybody, also of those who were not chosen; sorted
[[nodiscard]] UserPlaces find_places(DirFd root, const Account& account, std::string home,
                                     std::span<const std::string> homes,
                                     std::vector<PeopleNote>& notes);

}  // namespace holdfast::core
