#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "catalog/problem.hpp"

/// What every operation is given besides its own options: whom to tell, when to stop, how wide to
/// run.
namespace holdfast::core {

/// Asked between units of work. Any thread; async-signal-safe to set.
class StopToken {
 public:
  void stop(int signal_number) noexcept { signal_.store(signal_number, std::memory_order_relaxed); }
  [[nodiscard]] bool stopped() const noexcept {
    return signal_.load(std::memory_order_relaxed) != 0;
  }
  /// The signal that asked for it, 0 when nothing did.
  [[nodiscard]] int signal_number() const noexcept {
    return signal_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<int> signal_{0};
};

/// Counters of the running phase. Written by workers, read by the progress display. Totals are 0
/// while unknown.
struct Progress {
  std::atomic<std::uint64_t> files{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> total_files{0};
  std::atomic<std::uint64_t> total_bytes{0};
};

/// Receives what happens. Methods may be called from any worker thread at the same time.
class Observer {
 public:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;
  /// A phase of one volume begins: "link", "hash", "seal", ... @p progress lives until phase_ended.
  virtual void phase_begun(std::string_view root, std::string_view phase,
                           const Progress& progress) = 0;
  virtual void phase_ended(std::string_view root, std::string_view phase, double seconds,
                           std::uint64_t files, std::uint64_t bytes) = 0;
  /// One entry needs attention. @p root tells the volume.
  virtual void problem(std::string_view root, const catalog::Problem& problem) = 0;
  /// For the run log: one finished step, in words.
  virtual void note(std::string_view root, std::string_view text) = 0;
};

struct RunContext {
  Observer* observer = nullptr;  ///< never null in a running operation
  const StopToken* stop = nullptr;
  unsigned jobs = 1;         ///< worker threads; 1 = everything in the calling thread
  unsigned io_depth = 0;     ///< files read at once while hashing; 0 = chosen by what is observed
  std::string version;       ///< "holdfast 0.1.0", recorded in stores
  std::string command_line;  ///< for the run log
  double wait_lock_seconds = 0;

  [[nodiscard]] bool stopped() const noexcept { return stop != nullptr && stop->stopped(); }
};

}  // namespace holdfast::core
