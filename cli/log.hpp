#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "cli/output.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::cli {

/// --log-file and -v: what happened, with times, one line each. Any thread.
class Log {
 public:
  /// @param file     invalid: no log file
  /// @param console  null: no notes on stderr
  Log(core::Fd file, Console* console);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  void note(std::string_view root, std::string_view text);
  void problem(std::string_view root, const catalog::Problem& problem);
  void error(std::string_view line);
  /// Only to the file: how a run begins and ends.
  void mark(std::string_view line);
  /// What kept the file from being complete; 0 if nothing did.
  [[nodiscard]] int write_error() const noexcept;

 private:
  struct Loggers;
  std::unique_ptr<Loggers> loggers_;
};

/// Opens a file that lines are appended to, for --log-file and --progress-file: never through a
/// symlink in its last component, never made readable to others.
[[nodiscard]] catalog::Result<core::Fd> open_for_append(const std::string& path);

}  // namespace holdfast::cli
