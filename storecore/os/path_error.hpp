#pragma once

#include <cerrno>
#include <system_error>

namespace holdfast::core {

/// What a path that somebody named answers when they named it wrongly, or may not read it: theirs
/// to mend. All else is the system's.
[[nodiscard]] inline bool is_callers_mistake(const std::error_code& error) noexcept {
  switch (error.value()) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EACCES:
      return true;
    default:
      return false;
  }
}

}  // namespace holdfast::core
