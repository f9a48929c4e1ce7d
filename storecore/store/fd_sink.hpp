#pragma once

#include <atomic>
#include <memory>

#include "storecore/os/fd.hpp"

namespace spdlog::sinks {
class sink;  // NOLINT(readability-identifier-naming): spdlog's own name
}

namespace holdfast::core {

/// A sink for spdlog that appends to a descriptor we opened ourselves: spdlog's own file sinks open
/// by path, follow symlinks and create what is missing, which a log below a hostile user's tree
/// must not.
///
/// Any thread. Each record is one write(2), so records of several writers of an O_APPEND file stay
/// whole. A log that cannot be written stops no run: the first errno goes to @p first_error (if
/// given) and records are tried further. Used by ops/ for the run log in the store and by the
/// command line for --log-file.
[[nodiscard]] std::shared_ptr<spdlog::sinks::sink> make_fd_sink(
    Fd fd, std::shared_ptr<std::atomic<int>> first_error = nullptr);

}  // namespace holdfast::core
