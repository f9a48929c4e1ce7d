#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/store.hpp"

namespace spdlog {
class logger;  // NOLINT(readability-identifier-naming): its name is theirs
}

namespace holdfast::core {

/// One JSON-lines log of one run in the store's log/: what was asked, every phase, every problem,
/// how it ended. Opened through the store's descriptor, never through a path or a symlink. One
/// thread at a time. A log that cannot be written never stops a run.
class RunLog {
 public:
  [[nodiscard]] static catalog::Result<RunLog> open(const Store& store, std::string_view command,
                                                    const RunContext& context);
  RunLog(RunLog&&) noexcept;
  RunLog& operator=(RunLog&&) noexcept;
  ~RunLog();

  void phase(std::string_view name, double seconds, std::uint64_t files, std::uint64_t bytes);
  void problem(const catalog::Problem& problem);
  void note(std::string_view text);
  void end(int exit_code, std::string_view error);

 private:
  explicit RunLog(std::shared_ptr<spdlog::logger> logger) noexcept;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace holdfast::core
