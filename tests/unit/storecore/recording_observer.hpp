#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/problem.hpp"
#include "storecore/run/context.hpp"

namespace holdfast::test {

/// Keeps the problems that an operation reports.
class RecordingObserver : public core::Observer {
 public:
  void phase_begun(std::string_view /*root*/, std::string_view /*phase*/,
                   const core::Progress& /*progress*/) override {}
  void phase_ended(std::string_view /*root*/, std::string_view /*phase*/, double /*seconds*/,
                   std::uint64_t /*files*/, std::uint64_t /*bytes*/) override {}
  void problem(std::string_view /*root*/, const catalog::Problem& problem) override {
    const std::lock_guard lock(mutex_);
    problems_.push_back(problem);
  }
  void note(std::string_view /*root*/, std::string_view /*text*/) override {}

  /// "kind path", sorted.
  [[nodiscard]] std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> lines;
    lines.reserve(problems_.size());
    for (const catalog::Problem& problem : problems_)
      lines.push_back(std::string(catalog::to_word(problem.kind)) + " " + problem.path);
    std::ranges::sort(lines);
    return lines;
  }
  [[nodiscard]] std::vector<catalog::Problem> problems() const {
    const std::lock_guard lock(mutex_);
    return problems_;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    problems_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<catalog::Problem> problems_;
};

}  // namespace holdfast::test
