#include "storecore/run/batch_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace holdfast::core {
namespace {

TEST(BatchQueue, KeepsTheOrderAndGivesWhatIsLeftAfterClosing) {
  BatchQueue<std::unique_ptr<int>> queue(4);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.push(std::make_unique<int>(i)));
  queue.close();
  EXPECT_FALSE(queue.push(std::make_unique<int>(9)));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*queue.pop().value_or(nullptr), i);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BatchQueue, HoldsProducersBackWhileItIsFull) {
  BatchQueue<int> queue(2);
  std::atomic<int> pushed{0};
  std::thread producer([&] {
    for (int i = 0; i < 100; ++i) {
      if (queue.push(i)) pushed.fetch_add(1);
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(pushed.load(), 2);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(queue.pop(), i);
    EXPECT_LE(pushed.load(), i + 4);
  }
  producer.join();
}

TEST(BatchQueue, CarriesEveryItemOfManyProducers) {
  BatchQueue<int> queue(3);
  constexpr int width = 4;
  constexpr int items = 2000;
  std::atomic<int> running{width};
  std::vector<std::thread> producers;
  producers.reserve(width);
  for (int p = 0; p < width; ++p) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < items; ++i) EXPECT_TRUE(queue.push(p * items + i));
      if (running.fetch_sub(1) == 1) queue.close();
    });
  }
  std::set<int> seen;
  while (const auto item = queue.pop()) EXPECT_TRUE(seen.insert(*item).second);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(width * items));
  for (std::thread& producer : producers) producer.join();
}

TEST(BatchQueue, GivesASingleItemWithoutWaitingForMore) {
  BatchQueue<int> queue(64);
  EXPECT_TRUE(queue.push(7));
  EXPECT_EQ(queue.pop(), 7);
  std::thread producer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(queue.push(8));
  });
  EXPECT_EQ(queue.pop(), 8);
  producer.join();
}

TEST(BatchQueue, ReleasesWaitingProducersWhenItCloses) {
  BatchQueue<int> queue(1);
  EXPECT_TRUE(queue.push(1));
  std::atomic<bool> refused{false};
  std::thread producer([&] { refused = !queue.push(2); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  queue.close();
  producer.join();
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace holdfast::core
