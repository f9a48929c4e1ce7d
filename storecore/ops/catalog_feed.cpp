#include "storecore/ops/catalog_feed.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <mutex>
#include <utility>

#include "catalog/batch.hpp"
#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/schema.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/run/first_error.hpp"

namespace holdfast::core {

using catalog::Status;

CatalogFeed::CatalogFeed(catalog::Env& env, bool threaded, std::function<Status()> lower,
                         FirstError& errors)
    : threaded_(threaded), lower_(std::move(lower)), errors_(&errors), writer_(env) {}

CatalogFeed::~CatalogFeed() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

bool CatalogFeed::begin_changes() {
  if (begun_.load(std::memory_order_acquire)) return !errors_->failed();
  const std::lock_guard lock(begin_mutex_);
  if (begun_.load(std::memory_order_relaxed)) return !errors_->failed();
  if (errors_->failed() || !errors_->check(lower_())) return false;
  if (threaded_) thread_ = std::thread([this] { consume(); });
  begun_.store(true, std::memory_order_release);
  return true;
}

void CatalogFeed::consume() {
  while (auto batch = queue_.pop()) {
    if (!errors_->failed()) apply(*batch);
  }
}

void CatalogFeed::apply(const catalog::Batch& batch) {
  if (errors_->check(writer_.apply(batch))) failpoint("batch-applied");
}

void CatalogFeed::push(catalog::Batch& batch) {
  if (batch.empty() || !begin_changes()) return;
  if (threaded_) {
    (void)queue_.push(std::exchange(batch, {}));
    return;
  }
  const std::lock_guard lock(apply_mutex_);
  apply(batch);
  batch.clear();
}

void CatalogFeed::problem(const catalog::Problem& problem) {
  const auto sum = catalog::checksum64(fmt::format("{} {} {}", static_cast<unsigned>(problem.kind),
                                                   problem.error_number, problem.path));
  const std::lock_guard lock(problems_mutex_);
  fingerprint_ += sum;
  ++counts_.at(static_cast<std::size_t>(problem.kind));
  problems_.push_back(problem);
}

std::uint64_t CatalogFeed::fingerprint() const {
  const std::lock_guard lock(problems_mutex_);
  return fingerprint_;
}

std::uint64_t CatalogFeed::count(catalog::ProblemKind kind) const {
  const std::lock_guard lock(problems_mutex_);
  return counts_.at(static_cast<std::size_t>(kind));
}

Status CatalogFeed::finish() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
  if (errors_->failed()) return errors_->status();
  if (!changed()) return {};
  auto txn = writer_.transaction();
  if (!txn) return std::unexpected(txn.error());
  if (auto dropped = (*txn)->drop(catalog::Table::kProblems); !dropped) return dropped;
  for (const catalog::Problem& problem : problems_) {
    if (auto added = writer_.add(problem); !added) return added;
  }
  return writer_.commit();
}

}  // namespace holdfast::core
