#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/writer.hpp"
#include "storecore/run/batch_queue.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/first_error.hpp"

namespace holdfast::core {

/// The way from many walkers to the one catalog writer.
///
/// Nothing is written before the first change: begin_changes() lowers the store's state durably,
/// once, and walkers call it before they touch the mirror. Batches are applied in the order in
/// which push() was called, so a directory's row, pushed before its tasks are made, is always ahead
/// of its entries. Thread-safe but for finish().
class CatalogFeed {
 public:
  /// @param lower runs once before the first change, in whichever thread makes it
  /// @param threaded false: rows are applied in the pushing thread (one job)
  CatalogFeed(catalog::Env& env, bool threaded, std::function<catalog::Status()> lower,
              FirstError& errors);
  ~CatalogFeed();
  CatalogFeed(const CatalogFeed&) = delete;
  CatalogFeed& operator=(const CatalogFeed&) = delete;

  /// False when the state could not be lowered or the run has failed: change nothing then.
  [[nodiscard]] bool begin_changes();
  [[nodiscard]] bool changed() const noexcept { return begun_.load(std::memory_order_acquire); }
  /// Takes what is in @p batch and leaves it empty.
  void push(catalog::Batch& batch);
  /// Keeps the problem for the catalog.
  void problem(const catalog::Problem& problem);
  /// Order-independent sum over all problems so far.
  [[nodiscard]] std::uint64_t fingerprint() const;
  [[nodiscard]] std::uint64_t count(catalog::ProblemKind kind) const;

  /// Waits until all is applied, replaces the `problems` table when anything changed, commits.
  [[nodiscard]] catalog::Status finish();
  /// After finish(): the writer goes on in the calling thread.
  [[nodiscard]] catalog::Writer& writer() noexcept { return writer_; }

 private:
  void consume();
  void apply(const catalog::Batch& batch);
  const bool threaded_;
  std::function<catalog::Status()> lower_;
  FirstError* errors_;
  catalog::Writer writer_;
  BatchQueue<catalog::Batch> queue_{64};
  std::mutex begin_mutex_;
  std::mutex apply_mutex_;
  std::atomic<bool> begun_{false};
  std::thread thread_;
  mutable std::mutex problems_mutex_;
  std::vector<catalog::Problem> problems_;
  std::uint64_t fingerprint_ = 0;
  std::array<std::uint64_t, 16> counts_{};
};

}  // namespace holdfast::core
