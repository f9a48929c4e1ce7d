#include "catalog/writer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <utility>

#include "catalog/batch.hpp"
#include "catalog/codec.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/schema.hpp"

namespace holdfast::catalog {
namespace {

Status apply_row(WriteTxn& txn, const Batch::Row& row) {
  if (row.action == Batch::Action::kPut) {
    return txn.put(row.table, row.key, row.value);
  }
  if (auto erased = txn.erase(row.table, row.key); !erased) {
    return std::unexpected(std::move(erased.error()));
  }
  return {};
}

}  // namespace

Result<WriteTxn*> Writer::transaction() {
  if (!txn_) {
    auto begun = WriteTxn::begin(*env_);
    if (!begun) {
      return std::unexpected(std::move(begun.error()));
    }
    txn_.emplace(std::move(*begun));
  }
  WriteTxn& txn = *txn_;
  if (Status written = write_rows(txn); !written) {
    return std::unexpected(std::move(written.error()));
  }
  return &txn;
}

Status Writer::apply(const Batch& batch) {
  const std::size_t before = waiting_.size();
  waiting_.append(batch);
  return add_rows(before);
}

Status Writer::put(Table table, std::string_view key, std::string_view value) {
  const std::size_t before = waiting_.size();
  waiting_.put(table, key, value);
  return add_rows(before);
}

Status Writer::erase(Table table, std::string_view key) {
  const std::size_t before = waiting_.size();
  waiting_.erase(table, key);
  return add_rows(before);
}

Status Writer::add(const Problem& problem) {
  if (!next_problem_) {
    const auto txn = transaction();
    if (!txn) {
      return std::unexpected(txn.error());
    }
    auto cursor = Cursor::open(**txn, Table::kProblems);
    if (!cursor) {
      return std::unexpected(std::move(cursor.error()));
    }
    const auto row = cursor->last();
    if (!row) {
      return std::unexpected(row.error());
    }
    const std::optional<KeyValue>& last = *row;
    const auto sequence = last ? decode_u64_key(last->key) : std::optional(std::uint64_t{0});
    if (!sequence) {
      return fail(Fault::kCatalogBad, "catalog/data.mdb", "has a problem without a number");
    }
    next_problem_ = *sequence + 1;
  }
  return put(Table::kProblems, sequence_key((*next_problem_)++), encode(problem));
}

Status Writer::commit() {
  if (!txn_ && waiting_.empty()) {
    return {};
  }
  const auto txn = transaction();
  if (!txn) {
    return std::unexpected(txn.error());
  }
  Status status = (*txn)->commit();
  txn_.reset();
  open_rows_ = 0;
  return status;
}

// Looks after the rows that were added to waiting_, which had `before` of them.
Status Writer::add_rows(std::size_t before) {
  const std::size_t added = waiting_.size() - before;
  const auto now = std::chrono::steady_clock::now();
  if (open_rows_ == 0) {
    open_since_ = now;
  }
  rows_ += added;
  open_rows_ += added;
  const bool due =
      open_rows_ >= limits_.rows || (open_rows_ != 0 && now - open_since_ >= limits_.interval);
  return due ? commit() : Status();
}

Status Writer::write_rows(WriteTxn& txn) {
  waiting_.sort();
  Status status;
  waiting_.for_each([&txn, &status](const Batch::Row& row) {
    if (status) {
      status = apply_row(txn, row);
    }
  });
  waiting_.clear();
  return status;
}

}  // namespace holdfast::catalog
