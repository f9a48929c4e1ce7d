#pragma once

#include <string>

#include "cli/options.hpp"

/// What --help and -h print, from the table in options.hpp.
namespace holdfast::cli {

inline constexpr unsigned kHelpWidth = 79;   ///< columns; a terminal of 80 does not wrap it
inline constexpr unsigned kBriefLines = 24;  ///< -h fits a screen of 24 lines

/// "0.1.0", and "holdfast 0.1.0" as it is printed and recorded in stores.
[[nodiscard]] std::string version_number();
[[nodiscard]] std::string version_text();

/// `holdfast --help`, also for -h.
[[nodiscard]] std::string overview_text();
/// `holdfast COMMAND --help`.
[[nodiscard]] std::string full_help(Command command);
/// `holdfast COMMAND -h`.
[[nodiscard]] std::string brief_help(Command command);

}  // namespace holdfast::cli
