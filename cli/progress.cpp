#include "cli/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/json.hpp"
#include "cli/text.hpp"
#include "storecore/run/context.hpp"

namespace holdfast::cli {

namespace {

constexpr double kLongestForecast = 100.0 * 86400;  // seconds
constexpr std::size_t kMostCells = 24;              // of the gauge
constexpr std::size_t kFewestCells = 6;
constexpr unsigned kNarrowestTerminal = 20;  // columns; narrower terminals wrap

double work_of(std::uint64_t files, std::uint64_t bytes) {
  return static_cast<double>(files) * RateMeter::kFileCost + static_cast<double>(bytes);
}

/// Share of the work that is done. With one total unknown, the other one alone decides.
std::optional<double> fraction_of(const RateMeter::Counters& now) {
  double done = 0;
  double total = 0;
  if (now.total_files != 0) {
    done += work_of(now.files, 0);
    total += work_of(now.total_files, 0);
  }
  if (now.total_bytes != 0) {
    done += work_of(0, now.bytes);
    total += work_of(0, now.total_bytes);
  }
  return total > 0 ? std::optional(std::min(done / total, 1.0)) : std::nullopt;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string gauge(double fraction, std::size_t cells, bool colour) {
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(cells));
  const std::string done = full == 0 ? "" : painted(colour, Colour::kGreen, std::string(full, '#'));
  return fmt::format("[{}{}]", done, std::string(cells - full, '-'));
}

void add(RateMeter::Counters& sum, const RateMeter::Counters& one, bool first) {
  sum.files += one.files;
  sum.bytes += one.bytes;
  // A sum with an unknown part is unknown.
  const bool files_known = one.total_files != 0 && (first || sum.total_files != 0);
  const bool bytes_known = one.total_bytes != 0 && (first || sum.total_bytes != 0);
  sum.total_files = files_known ? sum.total_files + one.total_files : 0;
  sum.total_bytes = bytes_known ? sum.total_bytes + one.total_bytes : 0;
}

}  // namespace

RateMeter::Speed RateMeter::sample(const Counters& now, ProgressClock::time_point time) {
  const std::chrono::duration<double> step = time - last_;
  if (step.count() > 0) {
    const double keep = std::exp(-step / kMemory);
    const auto blend = [&](double& rate, std::uint64_t from, std::uint64_t to) {
      const double latest = to > from ? static_cast<double>(to - from) / step.count() : 0;
      rate = rate * keep + latest * (1 - keep);
    };
    blend(files_rate_, before_.files, now.files);
    blend(bytes_rate_, before_.bytes, now.bytes);
    weight_ = weight_ * keep + (1 - keep);
    before_ = now;
    last_ = time;
  }
  Speed speed;
  if (weight_ > 0) {
    speed.files_per_second = files_rate_ / weight_;
    speed.bytes_per_second = bytes_rate_ / weight_;
  }
  speed.fraction = fraction_of(now);
  double left = 0;
  double rate = 0;
  if (now.total_files != 0) {
    left += work_of(now.total_files - std::min(now.files, now.total_files), 0);
    rate += speed.files_per_second * kFileCost;
  }
  if (now.total_bytes != 0) {
    left += work_of(0, now.total_bytes - std::min(now.bytes, now.total_bytes));
    rate += speed.bytes_per_second;
  }
  if (speed.fraction && rate > 0 && left / rate < kLongestForecast) {
    speed.eta_seconds = left / rate;
  }
  return speed;
}

std::string render_bar(const BarState& state, unsigned width, bool colour) {
  const RateMeter::Counters& now = state.counters;
  std::string head =
      state.volumes > 1 ? fmt::format("{} ({} volumes)", state.phase, state.volumes) : state.phase;
  std::vector<std::string> parts;  // in the order of need; joined in this order as well
  if (state.speed.fraction) {
    parts.push_back(fmt::format("{:3}%", static_cast<int>(*state.speed.fraction * 100)));
  }
  parts.push_back(now.total_files != 0 ? fmt::format("{}/{} files", human_count(now.files),
                                                     human_count(now.total_files))
                                       : fmt::format("{} files", human_count(now.files)));
  if (now.bytes != 0 || now.total_bytes != 0) {
    parts.push_back(now.total_bytes != 0
                        ? fmt::format("{}/{}", human_size(now.bytes), human_size(now.total_bytes))
                        : human_size(now.bytes));
  }
  if (state.speed.bytes_per_second >= 1) {
    parts.push_back(human_size(static_cast<std::uint64_t>(state.speed.bytes_per_second)) + "/s");
  } else if (state.speed.files_per_second >= 1) {
    parts.push_back(human_count(static_cast<std::uint64_t>(state.speed.files_per_second)) +
                    " files/s");
  }
  if (state.speed.eta_seconds) {
    parts.push_back(fmt::format("{} left", clock_text(*state.speed.eta_seconds)));
  }
  std::string line = head.substr(0, width);
  std::size_t columns = line.size();
  const auto fits = [&](std::size_t size) { return columns + 2 + size <= width; };
  std::size_t text = 0;
  for (const std::string& part : parts) {
    text += part.size() + 2;
  }
  // The gauge takes what the numbers leave.
  const std::size_t taken = columns + text + 4;
  const std::size_t cells = taken < width ? std::min<std::size_t>(kMostCells, width - taken) : 0;
  if (state.speed.fraction && cells >= kFewestCells) {
    line += "  " + gauge(*state.speed.fraction, cells, colour);
    columns += cells + 4;
  }
  for (const std::string& part : parts) {
    if (!fits(part.size())) {
      break;
    }
    line += "  " + part;
    columns += part.size() + 2;
  }
  return line;
}

void ProgressDisplay::start() {
  if (targets_.bar == nullptr && targets_.lines.empty()) {
    return;
  }
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      wake_.wait_for(lock, targets_.bar != nullptr ? kBarPeriod : kLinePeriod);
      lock.unlock();
      tick(ProgressClock::now());
      lock.lock();
    }
  });
}

void ProgressDisplay::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
  if (targets_.bar != nullptr) {
    targets_.bar->clear_bar();
  }
}

void ProgressDisplay::begin(std::string_view root, std::string_view phase,
                            const core::Progress& progress, ProgressClock::time_point now) {
  const std::lock_guard lock(mutex_);
  active_.push_back(std::make_unique<Active>(Active{.root = std::string(root),
                                                    .phase = std::string(phase),
                                                    .progress = &progress,
                                                    .meter = RateMeter(now),
                                                    .counters = {},
                                                    .speed = {},
                                                    .next_line = now + kLinePeriod}));
  sample_locked(*active_.back(), now);
  write_line_locked(*active_.back(), false);
}

void ProgressDisplay::end(std::string_view root, std::string_view phase,
                          ProgressClock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(
      active_, [&](const auto& active) { return active->root == root && active->phase == phase; });
  if (found == active_.end()) {
    return;
  }
  sample_locked(**found, now);
  write_line_locked(**found, true);
  active_.erase(found);
}

void ProgressDisplay::tick(ProgressClock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || active_.empty()) {
    return;
  }
  // The limit of lines a second is for all volumes together.
  const auto period = kLinePeriod * static_cast<int>(active_.size());
  for (const auto& active : active_) {
    sample_locked(*active, now);
    if (now >= active->next_line) {
      write_line_locked(*active, false);
      active->next_line = now + period;
    }
  }
  draw_locked();
}

void ProgressDisplay::sample_locked(Active& active, ProgressClock::time_point now) {
  active.counters = {.files = active.progress->files.load(std::memory_order_relaxed),
                     .bytes = active.progress->bytes.load(std::memory_order_relaxed),
                     .total_files = active.progress->total_files.load(std::memory_order_relaxed),
                     .total_bytes = active.progress->total_bytes.load(std::memory_order_relaxed)};
  active.speed = active.meter.sample(active.counters, now);
}

void ProgressDisplay::write_line_locked(const Active& active, bool done) {
  if (targets_.lines.empty()) {
    return;
  }
  const std::string line = progress_line({.root = active.root,
                                          .phase = active.phase,
                                          .files = active.counters.files,
                                          .bytes = active.counters.bytes,
                                          .total_files = active.counters.total_files,
                                          .total_bytes = active.counters.total_bytes,
                                          .fraction = active.speed.fraction,
                                          .eta_seconds = active.speed.eta_seconds,
                                          .done = done});
  for (const auto& write : targets_.lines) {
    write(line);
  }
}

void ProgressDisplay::draw_locked() {
  if (targets_.bar == nullptr) {
    return;
  }
  BarState state;
  state.volumes = active_.size();
  std::vector<std::string_view> phases;
  bool first = true;
  double slowest = 0;
  for (const auto& active : active_) {
    add(state.counters, active->counters, first);
    first = false;
    state.speed.files_per_second += active->speed.files_per_second;
    state.speed.bytes_per_second += active->speed.bytes_per_second;
    slowest = std::max(slowest, active->speed.eta_seconds.value_or(0));
    if (std::ranges::find(phases, active->phase) == phases.end()) {
      phases.push_back(active->phase);
    }
  }
  state.phase = fmt::format("{}", fmt::join(phases, "+"));
  state.speed.fraction = fraction_of(state.counters);
  if (state.speed.fraction && slowest > 0) {
    state.speed.eta_seconds = slowest;  // volumes are worked on in parallel
  }
  const unsigned width = std::max(kNarrowestTerminal, targets_.width ? targets_.width() : 80U);
  targets_.bar->show_bar(render_bar(state, width - 1, targets_.colour));
}

}  // namespace holdfast::cli
