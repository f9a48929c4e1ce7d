#include "storecore/run/pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

// Design
//
// One deque and one mutex for each worker. Owners work at the back, thieves at the front, where the
// oldest and therefore largest subtrees lie. A lock-free deque (Chase and Lev) would save some 20
// ns of a task that makes system calls for 10,000: not worth its memory orders.
//
// Two counters decide everything:
//   queued      tasks in all deques; changed under the lock of the deque concerned
//   unfinished  tasks pushed and not yet ended; 0 means that nobody can push any more, hence the
//   end
//
// A worker that finds nothing sleeps. No wakeup is lost, since pusher and sleeper each write their
// own word before they read the other's, all sequentially consistent: the pusher raises queued and
// then reads sleepers, the sleeper raises sleepers and then reads queued. At least one sees the
// other. A pusher that sees a sleeper passes through sleep_mutex before it notifies, so the sleeper
// is either before its look at queued or already waiting.
namespace holdfast::core {
namespace {

/// Where the calling thread works. Saved and put back, so that a task may run a pool of its own.
struct Place {
  const void* pool = nullptr;
  unsigned worker = 0;
};
thread_local Place t_place;

}  // namespace

struct Pool::Impl {
  struct alignas(64) Worker {  // a cache line each: neighbours' locks do not slow each other
    std::mutex mutex;
    std::deque<Task> tasks;
  };

  explicit Impl(unsigned jobs) : workers(jobs) {}

  void push(Task task);
  void run();
  void work(unsigned self) noexcept;
  std::optional<Task> take(unsigned self);
  std::optional<Task> take_from(Worker& worker, bool newest);
  void execute(Task task) noexcept;
  void sleep();
  void wake_all();
  void drop_tasks();

  std::vector<Worker> workers;
  std::atomic<std::size_t> queued{0};
  std::atomic<std::size_t> unfinished{0};
  std::atomic<unsigned> sleepers{0};
  std::atomic<bool> failed{false};
  std::mutex sleep_mutex;
  std::condition_variable wakeup;
  std::mutex failure_mutex;
  std::exception_ptr failure;
};

void Pool::Impl::push(Task task) {
  Worker& own = workers[t_place.pool == this ? t_place.worker : 0];
  {
    const std::lock_guard lock(own.mutex);
    own.tasks.push_back(std::move(task));
    unfinished.fetch_add(1);
    queued.fetch_add(1);
  }
  if (sleepers.load() == 0) return;
  {
    const std::lock_guard lock(sleep_mutex);
  }
  wakeup.notify_one();
}

std::optional<Pool::Task> Pool::Impl::take_from(Worker& worker, bool newest) {
  const std::lock_guard lock(worker.mutex);
  if (worker.tasks.empty()) return std::nullopt;
  queued.fetch_sub(1);
  std::optional<Task> task(std::move(newest ? worker.tasks.back() : worker.tasks.front()));
  if (newest) {
    worker.tasks.pop_back();
  } else {
    worker.tasks.pop_front();
  }
  return task;
}

std::optional<Pool::Task> Pool::Impl::take(unsigned self) {
  std::optional<Task> task = take_from(workers[self], true);
  for (std::size_t i = 1; !task && i < workers.size() && queued.load() > 0; ++i) {
    task = take_from(workers[(self + i) % workers.size()], false);
  }
  return task;
}

void Pool::Impl::execute(Task task) noexcept {
  try {
    task();
  } catch (...) {
    {
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
    failed.store(true);
    wake_all();
  }
  if (unfinished.fetch_sub(1) == 1) wake_all();
}

void Pool::Impl::wake_all() {
  {
    const std::lock_guard lock(sleep_mutex);
  }
  wakeup.notify_all();
}

void Pool::Impl::sleep() {
  std::unique_lock lock(sleep_mutex);
  sleepers.fetch_add(1);
  wakeup.wait(lock, [&] { return queued.load() > 0 || unfinished.load() == 0 || failed.load(); });
  sleepers.fetch_sub(1);
}

void Pool::Impl::work(unsigned self) noexcept {
  const Place outer = std::exchange(t_place, Place{.pool = this, .worker = self});
  while (!failed.load()) {
    if (std::optional<Task> task = take(self)) {
      execute(std::move(*task));
    } else if (unfinished.load() == 0) {
      break;
    } else {
      sleep();
    }
  }
  t_place = outer;
}

void Pool::Impl::run() {
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (unsigned self = 1; self < workers.size(); ++self) {
    try {
      threads.emplace_back([this, self] { work(self); });
    } catch (const std::system_error&) {
      break;  // at a limit on threads the work is done by those that there are
    }
  }
  work(0);
  for (std::thread& thread : threads) thread.join();
  drop_tasks();
  failed.store(false);
  if (const std::exception_ptr thrown = std::exchange(failure, nullptr)) {
    std::rethrow_exception(thrown);
  }
}

/// After a failure: what was not begun is destroyed and the pool is as new.
void Pool::Impl::drop_tasks() {
  for (Worker& worker : workers) worker.tasks.clear();
  queued.store(0);
  unfinished.store(0);
}

Pool::Pool(unsigned jobs) : impl_(std::make_unique<Impl>(std::max(jobs, 1U))) {}

Pool::~Pool() = default;

void Pool::push(Task task) { impl_->push(std::move(task)); }

void Pool::run() { impl_->run(); }

unsigned Pool::jobs() const noexcept { return static_cast<unsigned>(impl_->workers.size()); }

unsigned Pool::worker() noexcept { return t_place.worker; }

void parallel_for(unsigned jobs, std::size_t count, const std::function<void(std::size_t)>& body) {
  const std::size_t width = std::min<std::size_t>(jobs, count);
  if (width <= 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  Pool pool(static_cast<unsigned>(width));
  for (std::size_t task = 0; task < width; ++task) {
    pool.push([&] {
      try {
        while (!failed.load(std::memory_order_relaxed)) {
          const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
          if (i >= count) return;
          body(i);
        }
      } catch (...) {
        failed.store(true, std::memory_order_relaxed);
        throw;
      }
    });
  }
  pool.run();
}

}  // namespace holdfast::core
