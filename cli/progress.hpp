#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/io.hpp"
#include "cli/output.hpp"
#include "storecore/run/context.hpp"

/// How far a run is: a bar for people, JSON lines for programs. Time is handed in, so that tests
/// own the clock.
namespace holdfast::cli {

using ProgressClock = std::chrono::steady_clock;

/// Speed and expected end of one phase, from samples of its counters.
///
/// Work is bytes plus kFileCost for each file: small files cost their open and close, not their
/// bytes, and a rate of bytes alone would promise nonsense wherever sizes vary along the tree. The
/// rate forgets with a time constant of kMemory, so it follows a change without jumping at each
/// large file.
class RateMeter {
 public:
  static constexpr double kFileCost = 16384;
  static constexpr std::chrono::duration<double> kMemory{8};

  struct Counters {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t total_files = 0;  ///< 0: unknown
    std::uint64_t total_bytes = 0;
  };
  struct Speed {
    double files_per_second = 0;
    double bytes_per_second = 0;
    std::optional<double> fraction;  ///< 0..1
    std::optional<double> eta_seconds;
  };

  explicit RateMeter(ProgressClock::time_point begun) noexcept : last_(begun) {}
  [[nodiscard]] Speed sample(const Counters& now, ProgressClock::time_point time);

 private:
  ProgressClock::time_point last_;
  Counters before_;
  // Sums of rates by age, and of the weights they have: their quotient is right from the first
  // sample on, where a plain moving average would start from nothing, or from one odd sample.
  double files_rate_ = 0;
  double bytes_rate_ = 0;
  double weight_ = 0;
};

/// All that the bar shows, summed over the volumes at work.
struct BarState {
  std::string phase;
  RateMeter::Counters counters;
  RateMeter::Speed speed;
  std::size_t volumes = 1;
};
/// One line of at most @p width columns; what does not fit is left out, the least needed first.
[[nodiscard]] std::string render_bar(const BarState& state, unsigned width, bool colour);

/// Draws and writes while phases run. begin() and end() from any thread; a thread of its own does
/// the rest, kBarPeriod apart. The Progress of a phase is read only between its begin() and the
/// return of its end().
class ProgressDisplay {
 public:
  static constexpr std::chrono::milliseconds kBarPeriod{125};
  static constexpr std::chrono::milliseconds kLinePeriod{250};

  struct Targets {
    Console* bar = nullptr;  ///< null: no bar
    std::function<unsigned()> width;
    bool colour = false;
    std::vector<std::function<void(std::string_view)>> lines;  ///< each gets every JSON line
  };

  explicit ProgressDisplay(Targets targets) : targets_(std::move(targets)) {}
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  ~ProgressDisplay() { stop(); }

  /// Starts the thread, if there is anything to show.
  void start();
  /// Ends it and takes the bar away.
  void stop();

  void begin(std::string_view root, std::string_view phase, const core::Progress& progress,
             ProgressClock::time_point now);
  void end(std::string_view root, std::string_view phase, ProgressClock::time_point now);
  /// What the thread does each period.
  void tick(ProgressClock::time_point now);

 private:
  struct Active {
    std::string root;
    std::string phase;
    const core::Progress* progress;
    RateMeter meter;
    RateMeter::Counters counters;
    RateMeter::Speed speed;
    ProgressClock::time_point next_line;
  };

  void sample_locked(Active& active, ProgressClock::time_point now);
  void write_line_locked(const Active& active, bool done);
  void draw_locked();

  Targets targets_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Active>> active_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::cli
