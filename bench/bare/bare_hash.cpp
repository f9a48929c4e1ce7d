// The bound of hashing: open, read, close each regular file, XXH3-128 of what it holds. A read that
// is short is taken for the end, nothing is looked at before or after.
//
//   bare_hash [--threads N] [--order walk|inode] [--window FILES] DIR
//
// Order `walk` is the naive one: each thread reads the files of a directory as it finds them. With
// `inode` one more thread walks and cuts what it finds into windows that are sorted by inode
// number.
//
// "sum" in the report is the sum of all digests, modulo 2^64 in each half: it does not depend on
// the order, so it can be compared with the sum of what xxh128sum prints.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "walk.hpp"

namespace {

using namespace holdfast::bench;

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

struct Sum {
  std::atomic<std::uint64_t> high{0};
  std::atomic<std::uint64_t> low{0};
};

void hash(const Dir& dir, const char* name, Counts& counts, Sum& sum) {
  thread_local const auto buffer = std::make_unique<std::byte[]>(kBufferBytes);
  thread_local const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(
      XXH3_createState(), &XXH3_freeState);
  const int fd = openat(dir.fd, name, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
  if (fd < 0) die("openat", name);
  ssize_t got = read(fd, buffer.get(), kBufferBytes);
  if (got < 0) die("read", name);
  std::uint64_t bytes = static_cast<std::uint64_t>(got);
  XXH128_hash_t digest{};
  if (bytes < kBufferBytes) {
    digest = XXH3_128bits(buffer.get(), bytes);
  } else {
    XXH3_128bits_reset(state.get());
    while (got > 0) {
      XXH3_128bits_update(state.get(), buffer.get(), static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < kBufferBytes) break;
      got = read(fd, buffer.get(), kBufferBytes);
      if (got < 0) die("read", name);
      bytes += static_cast<std::uint64_t>(got);
    }
    digest = XXH3_128bits_digest(state.get());
  }
  close(fd);
  sum.high += digest.high64;
  sum.low += digest.low64;
  counts.bytes += bytes;
}

struct Item {
  DirPtr dir;
  std::string name;
  std::uint64_t inode = 0;
};

/// The window that is read now, and the one that is found meanwhile.
class Windows {
 public:
  Windows(unsigned readers, Counts& counts, Sum& sum) : counts_(&counts), sum_(&sum) {
    for (unsigned i = 0; i < readers; ++i) readers_.emplace_back([this] { work(); });
  }
  Windows(const Windows&) = delete;
  Windows& operator=(const Windows&) = delete;

  /// Waits until the window before it was read.
  void give(std::vector<Item> window) {
    std::ranges::sort(window, {}, &Item::inode);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return next_ == window_.size() && reading_ == 0; });
    window_ = std::move(window);
    next_ = 0;
    changed_.notify_all();
  }

  void finish() {
    give({});
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& reader : readers_) reader.join();
  }

 private:
  static constexpr std::size_t kTake = 16;

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return next_ < window_.size() || ended_; });
      if (next_ == window_.size()) return;
      const std::size_t first = next_;
      next_ = std::min(next_ + kTake, window_.size());
      const std::size_t last = next_;
      ++reading_;
      lock.unlock();
      for (std::size_t i = first; i < last; ++i)
        hash(*window_[i].dir, window_[i].name.c_str(), *counts_, *sum_);
      lock.lock();
      --reading_;
      if (reading_ == 0 && next_ == window_.size()) changed_.notify_all();
    }
  }

  Counts* counts_;
  Sum* sum_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> window_;
  std::size_t next_ = 0;
  unsigned reading_ = 0;
  bool ended_ = false;
  std::vector<std::thread> readers_;
};

void by_inode(const Arguments& arguments, Counts& counts, Sum& sum) {
  Windows windows(arguments.threads, counts, sum);
  std::vector<Item> window;
  walk(arguments.first, 1,
       {.enter = {},
        .see =
            [&](const DirPtr& dir, const Entry& entry) {
              counts.count(entry.type);
              if (entry.type != DT_REG) return;
              window.push_back({dir, entry.name, entry.inode});
              if (window.size() == arguments.window) windows.give(std::exchange(window, {}));
            },
        .leave = {}});
  windows.give(std::move(window));
  windows.finish();
}

void as_found(const Arguments& arguments, Counts& counts, Sum& sum) {
  walk(arguments.first, arguments.threads,
       {.enter = {},
        .see =
            [&](const DirPtr& dir, const Entry& entry) {
              counts.count(entry.type);
              if (entry.type == DT_REG) hash(*dir, entry.name, counts, sum);
            },
        .leave = {}});
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments =
      parse(argc, argv, 1, "bare_hash [--threads N] [--order walk|inode] [--window FILES] DIR");
  Counts counts;
  Sum sum;
  const double begun = now();
  if (arguments.by_inode) {
    by_inode(arguments, counts, sum);
  } else {
    as_found(arguments, counts, sum);
  }
  const double seconds = now() - begun;
  char text[64];
  std::snprintf(text, sizeof text, ",\"sum\":\"%016" PRIx64 "%016" PRIx64 "\"", sum.high.load(),
                sum.low.load());
  report(counts, seconds, text);
  return 0;
}
