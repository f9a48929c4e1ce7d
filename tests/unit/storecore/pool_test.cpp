#include "storecore/run/pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace holdfast::core {
namespace {

TEST(Pool, RunsEverythingInTheCallingThreadWithOneJob) {
  Pool pool(1);
  const auto caller = std::this_thread::get_id();
  std::vector<int> order;
  pool.push([&] { order.push_back(1); });
  pool.push([&] {
    order.push_back(2);
    pool.push([&] { order.push_back(3); });
    pool.push([&] {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      EXPECT_EQ(Pool::worker(), 0U);
      order.push_back(4);
    });
  });
  pool.run();
  EXPECT_EQ(order, (std::vector{2, 4, 3, 1})) << "last in, first out";
}

TEST(Pool, HasNothingToDoWithoutTasks) {
  for (const unsigned jobs : {0U, 1U, 4U}) {
    Pool pool(jobs);
    pool.run();
    EXPECT_EQ(pool.jobs(), std::max(jobs, 1U));
  }
}

/// A tree of tasks: each makes @p width more, @p depth levels down.
void grow(Pool& pool, std::atomic<std::size_t>& count, int width, int depth) {
  count.fetch_add(1, std::memory_order_relaxed);
  if (depth == 0) return;
  for (int i = 0; i < width; ++i) {
    pool.push([&pool, &count, width, depth] { grow(pool, count, width, depth - 1); });
  }
}

TEST(Pool, RunsTasksThatMakeTasks) {
  for (const unsigned jobs : {1U, 4U}) {
    Pool pool(jobs);
    std::atomic<std::size_t> count{0};
    pool.push([&] { grow(pool, count, 10, 5); });
    pool.run();
    EXPECT_EQ(count.load(), 111'111U) << jobs;
    pool.push([&] { grow(pool, count, 2, 1); });
    pool.run();
    EXPECT_EQ(count.load(), 111'114U) << "a pool runs again";
  }
}

TEST(Pool, FollowsAChainWithoutLosingAWakeup) {
  // One task at a time while three workers fall asleep and are woken: each step can lose a wakeup.
  Pool pool(4);
  std::atomic<int> left{20'000};
  std::function<void()> step = [&] {
    if (left.fetch_sub(1) > 1) pool.push([&] { step(); });
  };
  pool.push([&] { step(); });
  pool.run();
  EXPECT_EQ(left.load(), 0);
}

TEST(Pool, SharesWorkAmongWorkers) {
  Pool pool(4);
  std::mutex mutex;
  std::set<unsigned> workers;
  for (int i = 0; i < 64; ++i) {
    pool.push([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      const std::lock_guard lock(mutex);
      workers.insert(Pool::worker());
    });
  }
  pool.run();
  EXPECT_EQ(workers, (std::set{0U, 1U, 2U, 3U}));
}

TEST(Pool, MakesWhatTasksWroteVisible) {
  Pool pool(4);
  std::vector<std::size_t> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) pool.push([&values, i] { values[i] = i; });
  pool.run();
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i);
}

TEST(Pool, RethrowsAndIsAsNewAfterwards) {
  for (const unsigned jobs : {1U, 4U}) {
    Pool pool(jobs);
    std::atomic<std::size_t> count{0};
    const auto owned = std::make_shared<int>(1);
    for (int i = 0; i < 100; ++i) pool.push([owned, &pool, &count] { grow(pool, count, 3, 3); });
    pool.push([] { throw std::runtime_error("broken"); });
    EXPECT_THROW(pool.run(), std::runtime_error) << jobs;
    EXPECT_EQ(owned.use_count(), 1) << "tasks that were not begun are destroyed";
    count = 0;
    pool.push([&] { grow(pool, count, 3, 2); });
    pool.run();
    EXPECT_EQ(count.load(), 13U);
  }
}

TEST(Pool, RethrowsOneOfManyExceptions) {
  Pool pool(4);
  for (int i = 0; i < 1000; ++i) pool.push([] { throw std::runtime_error("broken"); });
  EXPECT_THROW(pool.run(), std::runtime_error);
}

TEST(Pool, RunsInsideATaskOfAnother) {
  Pool outer(2);
  std::atomic<int> inner_tasks{0};
  for (int i = 0; i < 8; ++i) {
    outer.push([&] {
      const unsigned before = Pool::worker();
      Pool inner(2);
      for (int k = 0; k < 8; ++k) inner.push([&] { inner_tasks.fetch_add(1); });
      inner.run();
      EXPECT_EQ(Pool::worker(), before);
    });
  }
  outer.run();
  EXPECT_EQ(inner_tasks.load(), 64);
}

TEST(Pool, TakesTasksThatCannotBeCopied) {
  Pool pool(2);
  int seen = 0;
  pool.push([value = std::make_unique<int>(42), &seen] { seen = *value; });
  pool.run();
  EXPECT_EQ(seen, 42);
}

TEST(ParallelFor, VisitsEveryIndexOnce) {
  for (const unsigned jobs : {0U, 1U, 4U, 64U}) {
    std::array<std::atomic<int>, 257> visits{};
    parallel_for(jobs, visits.size(), [&](std::size_t i) { visits[i].fetch_add(1); });
    for (const auto& count : visits) ASSERT_EQ(count.load(), 1) << jobs;
  }
  parallel_for(4, 0, [](std::size_t) { FAIL(); });
}

TEST(ParallelFor, KeepsTheOrderWithOneJob) {
  std::vector<std::size_t> order;
  parallel_for(1, 5, [&](std::size_t i) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
}

TEST(ParallelFor, StopsAtAnException) {
  std::atomic<std::size_t> begun{0};
  constexpr std::size_t count = 10'000'000;
  EXPECT_THROW(parallel_for(4, count,
                            [&](std::size_t) {
                              begun.fetch_add(1, std::memory_order_relaxed);
                              throw std::runtime_error("broken");
                            }),
               std::runtime_error);
  EXPECT_LT(begun.load(), count);
}

}  // namespace
}  // namespace holdfast::core
