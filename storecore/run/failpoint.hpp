#pragma once

#include <string_view>

namespace holdfast::core {

/// A named place where a test can stop the program: HOLDFAST_FAILPOINT=name[:N] in the environment
/// makes the Nth arrival (default 1) at that name kill the process as SIGKILL would. Read once;
/// costs one load of a static when unset. Any thread.
void failpoint(std::string_view name) noexcept;

}  // namespace holdfast::core
