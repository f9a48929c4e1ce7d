#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// One command on one volume: counts problems by kind, times phases, fills the report, keeps the
/// run log in the store.
///
/// Is the operation's observer and passes everything on to the caller's. Observer methods are
/// thread-safe, the rest belongs to the thread that runs the operation.
class Session final : public Observer {
 public:
  Session(const RunContext& outer, std::string_view command, std::string root);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// The outer context with this session as observer.
  [[nodiscard]] const RunContext& context() const noexcept { return context_; }
  [[nodiscard]] VolumeReport& report() noexcept { return report_; }
  [[nodiscard]] std::string_view command() const noexcept { return command_; }

  /// Starts the run log in the store's log/.
  void log_into(const Store& store);
  /// Runs @p body as a named phase with a progress of its own.
  [[nodiscard]] catalog::Status phase(std::string_view name,
                                      const std::function<catalog::Status(Progress&)>& body);
  /// Problems of one kind so far.
  [[nodiscard]] std::uint64_t count(catalog::ProblemKind kind) const;
  void note(std::string_view text) { note(report_.root, text); }
  void problem(const catalog::Problem& problem) { this->problem(report_.root, problem); }

  /// Completes and hands out the report: error, exit code, counts of problems, state, free space,
  /// next step.
  [[nodiscard]] VolumeReport finish(catalog::Status status, const Store* store);

  void phase_begun(std::string_view root, std::string_view phase,
                   const Progress& progress) override;
  void phase_ended(std::string_view root, std::string_view phase, double seconds,
                   std::uint64_t files, std::uint64_t bytes) override;
  void problem(std::string_view root, const catalog::Problem& problem) override;
  void note(std::string_view root, std::string_view text) override;

 private:
  class RunLog;
  Observer* outer_;
  RunContext context_;
  std::string command_;
  VolumeReport report_;
  std::chrono::steady_clock::time_point begun_;
  mutable std::mutex mutex_;
  std::array<std::uint64_t, 16> problems_{};
  std::unique_ptr<RunLog> log_;
};

/// The line that tells what to do after a command that ended in @p state.
[[nodiscard]] std::string next_step(const VolumeReport& report);

/// kRefused "overlapping-roots" when the last of @p places names a ROOT that an earlier one names
/// too, or when one lies inside the other on the same volume (a volume of its own below a ROOT is
/// no overlap).
[[nodiscard]] catalog::Status check_overlap(const std::vector<StorePlace>& places);

/// Runs one volume's part of a command for every ROOT, in parallel where there are several, and
/// collects the reports in order. kUsage for no ROOT, --store with several, or overlapping ROOTs
/// (kRefused "overlapping-roots").
[[nodiscard]] RunReport for_each_volume(
    const Targets& targets, std::string_view command, const RunContext& context,
    const std::function<VolumeReport(Session&, const StorePlace&)>& body);

}  // namespace holdfast::core
