#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// A folder of the store that takes what has to leave its place but must not be lost: dropped/,
/// displaced/, failed/. Each run gets a directory of its own, made when the first entry arrives;
/// entries keep their path in it. Nothing is ever replaced: a second entry of one path goes to a
/// further directory, RUN.2, RUN.3, ... Thread-safe.
class Attic {
 public:
  /// @param store borrowed, must outlive the attic; @p area one of layout's names; @p run one
  /// component
  Attic(DirFd store, std::string area, std::string run);

  /// Renames @p name out of @p from to AREA/RUN/@p path. Whole directories go with all they hold.
  /// Errors: kFailed and kNoSpace; nothing was moved then. ENOENT is kFailed with that cause.
  [[nodiscard]] catalog::Status take(DirFd from, const std::string& name, std::string_view path);
  [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }
  [[nodiscard]] const std::string& run() const noexcept { return run_; }

 private:
  [[nodiscard]] catalog::Result<SharedFd> parent_for(std::string_view parent_path,
                                                     unsigned attempt);
  DirFd store_;
  std::string area_;
  std::string run_;
  std::mutex mutex_;
  std::string cached_path_;
  unsigned cached_attempt_ = 0;
  SharedFd cached_;
  std::uint64_t taken_ = 0;
};

/// Name of one run: UTC time and process id, sortable.
[[nodiscard]] std::string make_run_name();

}  // namespace holdfast::core
