#pragma once

#include <span>
#include <string>

#include "cli/io.hpp"

namespace holdfast::cli {

/// The program without its process: parses, calls the engine, prints, and says which exit code it
/// is. Signals, umask and descriptors are main()'s. One call at a time; @p io outlives it.
/// @param args without the program's name, raw bytes
[[nodiscard]] int run(std::span<const std::string> args, const Io& io);

/// The exit code of a run: the report's, or 128+n when signal n is what ended it.
/// @param signal_number 0: none came
[[nodiscard]] int final_exit_code(int report_code, int signal_number) noexcept;

}  // namespace holdfast::cli
