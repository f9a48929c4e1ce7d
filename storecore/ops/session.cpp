#include "storecore/ops/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/store/run_log.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Fault;
using catalog::ProblemKind;
using catalog::Status;

namespace {

struct KindCount {
  ProblemKind kind;
  Count count;
};
constexpr std::array<KindCount, 10> kKinds{{
    {ProblemKind::kSkipped, Count::kSkipped},
    {ProblemKind::kMissed, Count::kMissed},
    {ProblemKind::kUnstable, Count::kUnstable},
    {ProblemKind::kVanished, Count::kVanished},
    {ProblemKind::kLeft, Count::kLeft},
    {ProblemKind::kConflict, Count::kConflicts},
    {ProblemKind::kModified, Count::kModified},
    {ProblemKind::kCorrupt, Count::kCorrupt},
    {ProblemKind::kMissing, Count::kMissing},
    {ProblemKind::kExtra, Count::kExtra},
}};

double seconds_since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

}  // namespace

class Session::RunLog {
 public:
  explicit RunLog(core::RunLog log) : log_(std::move(log)) {}
  core::RunLog& operator*() noexcept { return log_; }
  core::RunLog* operator->() noexcept { return &log_; }

 private:
  core::RunLog log_;
};

Session::Session(const RunContext& outer, std::string_view command, std::string root)
    : outer_(outer.observer),
      context_(outer),
      command_(command),
      begun_(std::chrono::steady_clock::now()) {
  context_.observer = this;
  report_.root = std::move(root);
  report_.started_at = utc_now();
}

Session::~Session() = default;

void Session::log_into(const Store& store) {
  auto log = core::RunLog::open(store, command_, context_);
  if (log) log_ = std::make_unique<RunLog>(std::move(*log));
}

Status Session::phase(std::string_view name, const std::function<Status(Progress&)>& body) {
  // Ended also when an exception passes: the display reads the progress until then.
  struct Running {
    Session* session;
    std::string_view name;
    Progress progress;
    std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
    Running(Session& of, std::string_view phase) : session(&of), name(phase) {
      session->phase_begun(session->report_.root, name, progress);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
      session->phase_ended(session->report_.root, name, seconds_since(begun), progress.files.load(),
                           progress.bytes.load());
    }
  };
  Running running(*this, name);
  Status status = body(running.progress);
  report_.phases.push_back({.name = std::string(name),
                            .seconds = seconds_since(running.begun),
                            .files = running.progress.files.load(),
                            .bytes = running.progress.bytes.load()});
  return status;
}

std::uint64_t Session::count(ProblemKind kind) const {
  const std::lock_guard lock(mutex_);
  return problems_.at(static_cast<std::size_t>(kind));
}

void Session::phase_begun(std::string_view root, std::string_view phase, const Progress& progress) {
  if (outer_ != nullptr) outer_->phase_begun(root, phase, progress);
}

void Session::phase_ended(std::string_view root, std::string_view phase, double seconds,
                          std::uint64_t files, std::uint64_t bytes) {
  if (outer_ != nullptr) outer_->phase_ended(root, phase, seconds, files, bytes);
  const std::lock_guard lock(mutex_);
  if (log_) (*log_)->phase(phase, seconds, files, bytes);
}

void Session::problem(std::string_view root, const catalog::Problem& problem) {
  if (outer_ != nullptr) outer_->problem(root, problem);
  const std::lock_guard lock(mutex_);
  ++problems_.at(static_cast<std::size_t>(problem.kind));
  if (log_) (*log_)->problem(problem);
}

void Session::note(std::string_view root, std::string_view text) {
  if (outer_ != nullptr) outer_->note(root, text);
  const std::lock_guard lock(mutex_);
  if (log_) (*log_)->note(text);
}

namespace {

/// ENOSPC has two meanings, and the usual one sends people the wrong way.
std::string hint_for_space(std::error_code cause, DirFd root) {
  constexpr std::uint64_t kPlentyBytes = 16U << 20U;
  constexpr std::uint64_t kPlentyInodes = 1000;
  if (cause.value() == EDQUOT) return "a quota is used up: raise it, and run the command again";
  if (cause.value() != ENOSPC) return {};
  const auto space = space_of(root.fd);
  if (!space || space->free_bytes < kPlentyBytes || space->free_inodes < kPlentyInodes) return {};
  return fmt::format(
      "{} bytes and enough inodes are free, so one directory is full (ext4: its index): move files "
      "that are not held yet to another one, and run the command again",
      space->free_bytes);
}

}  // namespace

VolumeReport Session::finish(Status status, const Store* store) {
  VolumeReport& report = report_;
  report.seconds = seconds_since(begun_);
  const bool takes = command_ == "capture" || command_ == "wipe";
  for (const KindCount& kind : kKinds) {
    const std::uint64_t seen = count(kind.kind);
    const bool known_zero =
        takes && (kind.count == Count::kSkipped || kind.count == Count::kMissed ||
                  kind.count == Count::kUnstable || kind.count == Count::kVanished);
    if ((seen != 0 || known_zero) && !report.counts.get(kind.count))
      report.counts.set(kind.count, seen);
  }
  if (store != nullptr) {
    const StoreRecord& record = store->record();
    report.root = store->place().root;
    report.store = store->place().store;
    report.capture_id = record.capture_id;
    report.labels = record.labels;
    report.captured_at = record.sealed_at.empty() ? record.created_at : record.sealed_at;
    report.fs_type = record.volume.fs_type;
    report.fs_uuid = record.volume.fs_uuid;
    if (!record.created_at.empty() && !report.state) report.state = record.state;
    if (const auto space = space_of(store->root().fd)) report.free_bytes = space->free_bytes;
  }
  int code = report.exit_code;
  const auto worsen = [&](Fault fault) {
    const auto now = static_cast<Fault>(code);
    code = static_cast<int>(code == 0 ? fault : catalog::worse(now, fault));
  };
  if (!status) {
    report.error = std::move(status.error());
    if (report.error->hint.empty() && store != nullptr)
      report.error->hint = hint_for_space(report.error->cause, store->root());
    worsen(report.error->fault);
  }
  if (report.next.empty()) report.next = next_step(report);
  // Behind the next step, which is the bare command where this is the cure.
  if (report.error && report.error->fault == Fault::kCatalogBad && report.error->hint.empty())
    report.error->hint =
        fmt::format("the files are safe in tree/; holdfast repair {} mends what describes them",
                    catalog::escape_name(report.root));
  if (count(ProblemKind::kCorrupt) + count(ProblemKind::kMissing) != 0) worsen(Fault::kDamage);
  if (count(ProblemKind::kModified) + count(ProblemKind::kLeft) + count(ProblemKind::kExtra) != 0)
    worsen(Fault::kIncomplete);
  report.exit_code = code;
  report.durable = report.durable && !report.error;
  const std::lock_guard lock(mutex_);
  if (log_) (*log_)->end(code, report.error ? catalog::describe(*report.error) : std::string());
  return std::move(report);
}

std::string next_step(const VolumeReport& report) {
  const std::string root = catalog::escape_name(report.root);
  if (report.error && report.error->fault == Fault::kCatalogBad)
    return report.error->hint.empty() ? fmt::format("holdfast repair {}", root)
                                      : report.error->hint;
  if (!report.state) return fmt::format("holdfast capture {}", root);
  switch (*report.state) {
    case StoreState::kCapturing:
      return fmt::format("holdfast capture {}", root);
    case StoreState::kLinked:
      return fmt::format("holdfast seal {}", root);
    case StoreState::kSealed:
      return fmt::format("holdfast wipe --dry-run {}", root);
    case StoreState::kWiping:
      return fmt::format("holdfast wipe --yes {}", root);
    case StoreState::kWiped:
      return fmt::format("apply the image to {}, then: holdfast restore {}", root, root);
    case StoreState::kRestoring:
      return fmt::format("holdfast restore {}", root);
    case StoreState::kRestored:
      return fmt::format("look at the new system, then: holdfast discard --yes {}", root);
    case StoreState::kDiscarding:
      return fmt::format("holdfast discard --yes {}", root);
  }
  return {};
}

Status check_overlap(const std::vector<StorePlace>& places) {
  const StorePlace& last = places.back();
  const auto is_inside = [](const std::string& path, const std::string& top) {
    return path == top || top == "/" || path.starts_with(top + "/");
  };
  for (std::size_t i = 0; i + 1 < places.size(); ++i) {
    const std::string& other = places[i].root;
    if (!is_inside(last.root, other) && !is_inside(other, last.root)) continue;
    const auto a = stat_path(last.root);
    const auto b = stat_path(other);
    if (a && b && !a->same_volume(*b)) continue;
    return catalog::refused(
        "overlapping-roots", last.root,
        last.root == other ? "ROOT was named twice" : "one ROOT lies inside the other");
  }
  return {};
}

RunReport for_each_volume(const Targets& targets, std::string_view command,
                          const RunContext& context,
                          const std::function<VolumeReport(Session&, const StorePlace&)>& body) {
  RunReport run;
  run.volumes.resize(targets.roots.size());
  std::vector<StorePlace> places;
  std::vector<std::optional<VolumeReport>> rejected(targets.roots.size());
  for (std::size_t i = 0; i < targets.roots.size(); ++i) {
    auto place = resolve_place(targets.roots[i], targets.store);
    Status status = place ? Status{} : std::unexpected(place.error());
    places.push_back(place ? std::move(*place) : StorePlace{});
    if (status) status = check_overlap(places);
    if (status) continue;
    Session session(context, command, targets.roots[i]);
    rejected[i] = session.finish(std::move(status), nullptr);
  }
  if (std::ranges::any_of(rejected, [](const auto& report) { return report.has_value(); })) {
    for (std::size_t i = 0; i < run.volumes.size(); ++i) {
      Session session(context, command, targets.roots[i]);
      session.report().next = "nothing was done: another ROOT was refused";
      run.volumes[i] = rejected[i] ? std::move(*rejected[i]) : session.finish({}, nullptr);
    }
    return run;
  }
  const auto one = [&](std::size_t i) {
    Session session(context, command, places[i].root);
    run.volumes[i] = body(session, places[i]);
  };
  parallel_for(context.jobs == 1 ? 1 : static_cast<unsigned>(places.size()), places.size(), one);
  return run;
}

}  // namespace holdfast::core
