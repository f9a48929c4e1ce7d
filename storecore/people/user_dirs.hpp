#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "storecore/people/accounts.hpp"

namespace holdfast::core {

/// Where a line of user-dirs.dirs says that a place is.
struct UserDir {
  bool below_home = false;  ///< "$HOME/..."; else an absolute path
  std::string path;  ///< behind "$HOME" or behind the first slash: no slash in front, none at
                     ///< the end; may hold `..`. Empty with below_home: there is no such place
  bool operator==(const UserDir&) const = default;
};

struct UserDirs {
  std::map<std::string, UserDir, std::less<>> dirs;  ///< "documents" -> ...; of several the last
  LineFaults bad;
};

/// Reads `~/.config/user-dirs.dirs` as xdg-user-dirs does: `XDG_DOCUMENTS_DIR="$HOME/Documents"`,
/// where a backslash takes the next byte literally. It is a shell script for whoever sources it;
/// here nothing is expanded but `$HOME` in front. Names that are none of the eight are passed over.
/// Pure, any bytes.
[[nodiscard]] UserDirs parse_user_dirs(std::string_view bytes);

}  // namespace holdfast::core
