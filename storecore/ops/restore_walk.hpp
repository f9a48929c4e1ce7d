#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/restore_build.hpp"
#include "storecore/ops/restore_check.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_place.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/run/pool.hpp"

/// Walks the catalog from the top down and has each entry dealt with.
///
/// One task a directory, on a LIFO pool, each worker with a snapshot of its own: calls that change
/// one directory serialise in the kernel anyway, and depth first keeps few directories open and few
/// unfinished. A directory with many subdirectories steps back beneath them and goes on by key.
/// Within a directory files come first, then nodes, then symlinks: while anything is still being
/// put somewhere, no symlink of ours leads anywhere.
///
/// A --map is a walk of its own after the main one, which leaves it out: its place may lie in a
/// directory that the main walk is still building. Times of the directory that receives it are put
/// back.
namespace holdfast::core {

class RestoreWalk {
 public:
  explicit RestoreWalk(RestoreRun& run);
  ~RestoreWalk();
  RestoreWalk(const RestoreWalk&) = delete;
  RestoreWalk& operator=(const RestoreWalk&) = delete;

  /// Everything once, in the sense of @p pass.
  [[nodiscard]] catalog::Status run(RestorePass pass);
  /// kCheck of the subtrees that were renamed as a whole, and of nothing else.
  [[nodiscard]] catalog::Status check_moved();

 private:
  using Dir = std::shared_ptr<RestoreDir>;
  [[nodiscard]] catalog::Status open_snapshots();
  void run_main();
  void run_job(const MapJob& job);
  void work_on_job(const Dir& gate, const MapJob& job);
  [[nodiscard]] bool open_gate(RestoreDir& gate, const MapJob& job);
  [[nodiscard]] bool pass_gate(RestoreDir& gate, const MapJob& job, const std::string& name);
  void begin(const Dir& dir);
  [[nodiscard]] bool enter(RestoreDir& dir);
  void list(const Dir& dir);
  void entry(const Dir& dir, const catalog::Entry& entry, std::vector<Dir>& children);
  [[nodiscard]] Dir make_child(const Dir& dir, const catalog::Entry& entry, std::string name,
                               PlanVerdict verdict);
  void deal_with(RestoreDir& dir, const catalog::Entry& entry, const std::string& name);
  void deal_with_later_ones(RestoreDir& dir);
  void end(const Dir& dir);
  void close(RestoreDir& dir);
  void count(const RestoreDir& dir);
  static void put_times_back(const RestoreDir& gate);
  [[nodiscard]] catalog::Reader& reader();

  struct Snapshot {
    catalog::ReadTxn txn;
    catalog::Reader reader;
    explicit Snapshot(catalog::ReadTxn begun) : txn(std::move(begun)), reader(txn) {}
  };
  RestoreRun* run_;
  RestorePass pass_ = RestorePass::kLook;
  RestoreBuilder builder_;
  RestorePlacer placer_;
  RestoreChecker checker_;
  Pool pool_;
  std::vector<std::unique_ptr<Snapshot>> snapshots_;  ///< one a worker
};

}  // namespace holdfast::core
