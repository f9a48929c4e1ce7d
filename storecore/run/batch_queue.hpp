#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace holdfast::core {

/// Bounded FIFO between many producers and one consumer. push() waits while it is full, so that
/// walkers cannot outrun the writer's memory.
///
/// The consumer takes all that is there at once, and waits a little for more before it does: woken
/// for each batch it would cost the walkers a system call and a change of threads every few files.
template <class T>
class BatchQueue {
 public:
  explicit BatchQueue(std::size_t capacity) : capacity_(capacity) {}

  /// False when the queue was closed: nobody will read it any more.
  [[nodiscard]] bool push(T item) {
    std::unique_lock lock(mutex_);
    space_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    const bool wake = items_.size() == 1 || items_.size() == enough();
    lock.unlock();
    if (wake) ready_.notify_one();
    return true;
  }
  /// nullopt when the queue is closed and empty. One thread.
  [[nodiscard]] std::optional<T> pop() {
    if (taken_.empty() && !take()) return std::nullopt;
    T item = std::move(taken_.front());
    taken_.pop_front();
    return item;
  }
  /// No more items: producers stop waiting, the consumer gets what is left.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
    space_.notify_all();
  }

 private:
  static constexpr std::chrono::milliseconds kLinger{2};

  [[nodiscard]] std::size_t enough() const noexcept { return (capacity_ + 1) / 2; }

  [[nodiscard]] bool take() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return closed_ || !items_.empty(); });
    ready_.wait_for(lock, kLinger, [&] { return closed_ || items_.size() >= enough(); });
    taken_.swap(items_);
    lock.unlock();
    space_.notify_all();
    return !taken_.empty();
  }

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable space_;
  std::deque<T> items_;
  std::deque<T> taken_;  ///< the consumer's
  bool closed_ = false;
};

}  // namespace holdfast::core
