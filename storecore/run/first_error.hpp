#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "catalog/error.hpp"

namespace holdfast::core {

/// The error that ends a parallel run: the first one wins, workers look at failed() between steps.
/// Any thread.
class FirstError {
 public:
  void set(catalog::Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    failed_.store(true, std::memory_order_release);
  }
  /// Keeps the error of @p status, if it is one. @return true on success
  bool check(catalog::Status status) {
    if (status) return true;
    set(std::move(status.error()));
    return false;
  }
  [[nodiscard]] bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  /// Success, or the error. After the workers have ended.
  [[nodiscard]] catalog::Status status() const {
    if (error_) return std::unexpected(*error_);
    return {};
  }

 private:
  std::mutex mutex_;
  std::atomic<bool> failed_{false};
  std::optional<catalog::Error> error_;
};

}  // namespace holdfast::core
