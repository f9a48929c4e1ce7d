#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/reader.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/run/pool.hpp"

namespace holdfast::core {

/// How many names, and the sum of their checksums: two listings with equal sums have the same
/// names, in whatever order, without any being kept or looked up.
struct NameSum {
  std::uint64_t names = 0;
  std::uint64_t sum = 0;
  void add(std::string_view name);
  bool operator==(const NameSum&) const = default;
};

/// Walks the catalog's tree and compares it with the mirror: directories, every entry that the
/// content pass does not look at, and names in the mirror that are not catalogued.
///
/// One task a directory, on a LIFO pool, each worker with a snapshot of its own. Nothing is kept of
/// a directory's entries: one with many subdirectories steps back beneath them and goes on by key.
class NamesPass {
 public:
  explicit NamesPass(VerifyRun& run);
  ~NamesPass();
  NamesPass(const NamesPass&) = delete;
  NamesPass& operator=(const NamesPass&) = delete;

  /// Errors are in the run's.
  void work();

 private:
  struct Dir;
  struct Snapshot {
    catalog::ReadTxn txn;
    catalog::Reader reader;
    explicit Snapshot(catalog::ReadTxn begun) : txn(std::move(begun)), reader(txn) {}
  };
  using DirPtr = std::shared_ptr<Dir>;

  void begin(const DirPtr& dir);
  void scan(const DirPtr& dir);
  void end(Dir& dir);
  void entry(const DirPtr& dir, const catalog::Entry& entry, std::vector<DirPtr>& children);
  void held(const Dir& dir, const catalog::Entry& entry);
  void compare(const Dir& dir, const catalog::Entry& entry, const HeldName& held);
  [[nodiscard]] bool lose(Dir& dir, std::error_code cause);
  [[nodiscard]] catalog::SysResult<NameSum> list(const Fd& fd) const;
  [[nodiscard]] catalog::SysStatus list_extras(const Dir& dir, const Fd& fd);
  [[nodiscard]] catalog::Reader& reader();

  VerifyRun* run_;
  Pool pool_;
  std::vector<std::unique_ptr<Snapshot>> snapshots_;  ///< one a worker
};

}  // namespace holdfast::core
