#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "catalog/batch.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"

namespace holdfast::catalog {

/// The one writer of a catalog. One thread.
///
/// Rows wait in memory until there are kCommitRows of them or, with the next row, until the first
/// has waited for kCommitInterval. Then they are sorted, written and committed in one transaction:
/// a crash costs little, dirty pages stay few, and the pages of a table get full, since the batches
/// of several threads have become one run in key order (128 instead of 190 bytes a row with two
/// walkers). A batch is never split by a commit: rows that need each other belong into one batch.
class Writer {
 public:
  static constexpr std::size_t kCommitRows = 20'000;
  static constexpr std::chrono::seconds kCommitInterval{5};
  struct Limits {
    std::size_t rows = kCommitRows;
    std::chrono::nanoseconds interval = kCommitInterval;
  };

  /// @p env must outlive the writer. No transaction is begun before there is something to write.
  explicit Writer(Env& env) noexcept : Writer(env, Limits()) {}
  Writer(Env& env, const Limits& limits) noexcept : env_(&env), limits_(limits) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() = default;  // what is not committed is abandoned: the way out after a failure

  /// Takes the rows, with the outcome of applying them in order. May commit behind the last; an
  /// error may be about rows of an earlier call. After an error the writer must be abandoned.
  [[nodiscard]] Status apply(const Batch& batch);
  [[nodiscard]] Status put(Table table, std::string_view key, std::string_view value);
  [[nodiscard]] Status erase(Table table, std::string_view key);
  /// Appends to `problems` behind the last row.
  [[nodiscard]] Status add(const Problem& problem);
  /// Writes and commits all rows. Durable when it returns success; nothing to do is success.
  [[nodiscard]] Status commit();
  /// The open transaction with all rows written, begun if there is none: for reads that must see
  /// what was just added. Its views and cursors die with the writer's next call.
  [[nodiscard]] Result<WriteTxn*> transaction();
  /// Rows taken since construction.
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }

 private:
  [[nodiscard]] Status add_rows(std::size_t before);
  [[nodiscard]] Status write_rows(WriteTxn& txn);
  Env* env_;
  Limits limits_;
  std::optional<WriteTxn> txn_;
  Batch waiting_;
  std::size_t open_rows_ = 0;  ///< taken since the last commit, written or waiting
  std::uint64_t rows_ = 0;
  std::optional<std::uint64_t> next_problem_;
  std::chrono::steady_clock::time_point open_since_{};
};

}  // namespace holdfast::catalog
