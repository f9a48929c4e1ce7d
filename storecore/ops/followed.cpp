#include "storecore/ops/followed.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "catalog/error.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/ops/volumes.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Fault;

namespace {

VolumeReport absent_report(const TiedVolume& tied) {
  VolumeReport report;
  report.root = tied.path;
  report.fs_type = tied.volume.fs_type;
  report.fs_uuid = tied.volume.fs_uuid;
  report.started_at = utc_now();
  report.exit_code = static_cast<int>(Fault::kIncomplete);
  const std::string& uuid = tied.volume.fs_uuid;
  report.error =
      catalog::fail(Fault::kIncomplete, tied.path,
                    fmt::format("volume {} is not mounted", uuid.empty() ? "without UUID" : uuid),
                    uuid.empty() ? std::string("mount it where it was, or name its ROOT")
                                 : fmt::format("mount it; --volume {}=DIR says where it is", uuid))
          .error();
  report.next = "mount the volume that is missing and run the command again";
  return report;
}

}  // namespace

RunReport for_each_followed_volume(
    const Targets& targets, std::string_view command, const RunContext& context,
    const std::function<VolumeReport(Session&, const StorePlace&)>& body) {
  FollowedTargets followed = follow_volumes(targets.roots, targets.store, targets.volumes);
  Targets present = targets;
  present.roots = std::move(followed.roots);
  RunReport run = for_each_volume(present, command, context, body);
  for (const TiedVolume& tied : followed.absent) run.volumes.push_back(absent_report(tied));
  return run;
}

Counts recorded_counts(const StoreRecord& record) {
  Counts counts;
  for (std::size_t i = 0; i < kCounts; ++i) {
    const auto count = static_cast<Count>(i);
    if (const auto known = record.counts.find(std::string(to_word(count)));
        known != record.counts.end())
      counts.set(count, known->second);
  }
  if (!record.sealed_at.empty()) {
    counts.set(Count::kMissed, record.missed);
    counts.set(Count::kUnstable, record.unstable);
  }
  return counts;
}

}  // namespace holdfast::core
