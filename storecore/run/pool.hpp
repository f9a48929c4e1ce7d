#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace holdfast::core {

/// Runs tasks that make tasks, until none is left.
///
/// Each worker has a deque: it pushes and pops at the back (LIFO: depth first, which keeps few
/// directories open), and steals from the front of others. With one job every task runs in the
/// calling thread, in LIFO order, and no thread is made: what tests and fault injection rely on. A
/// task that throws ends the run: the exception is rethrown by run().
class Pool {
 public:
  using Task = std::move_only_function<void()>;

  /// @param jobs at least 1
  explicit Pool(unsigned jobs);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Adds a task: from outside before run(), or from inside a running task (then to that worker's
  /// own deque).
  void push(Task task);
  /// Runs until all tasks, also those made meanwhile, are done. The calling thread is one of the
  /// workers.
  void run();
  [[nodiscard]] unsigned jobs() const noexcept;
  /// Index 0..jobs-1 of the worker that runs the calling task.
  [[nodiscard]] static unsigned worker() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Calls @p body(i) for i in 0..count-1 on up to @p jobs threads, in no order, and waits. jobs <=
/// 1: in the calling thread, in order.
void parallel_for(unsigned jobs, std::size_t count, const std::function<void(std::size_t)>& body);

}  // namespace holdfast::core
