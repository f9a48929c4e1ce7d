#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"

namespace holdfast::catalog {

/// Builds the `content` table: key hash + parent id + name, no value.
///
/// Random inserts into a B-tree larger than memory are slow, so rows are sorted outside memory
/// first: runs of at most kRunBytes in memory go to an unnamed temporary file (O_TMPFILE, else
/// created and unlinked at once) in @p scratch_directory_fd, are merged, and appended in key order.
/// DUPSORT is avoided: its cursors have known faults in LMDB 0.9.24. One thread. Nothing is durable
/// before the writer's commit.
class ContentIndexBuilder {
 public:
  static constexpr std::size_t kRunBytes = std::size_t{24} << 20;

  /// @p scratch_directory_fd is borrowed until finish().
  explicit ContentIndexBuilder(int scratch_directory_fd, std::size_t run_bytes = kRunBytes);
  ~ContentIndexBuilder();
  ContentIndexBuilder(const ContentIndexBuilder&) = delete;
  ContentIndexBuilder& operator=(const ContentIndexBuilder&) = delete;

  /// Errors: kNoSpace, kFailed when a run cannot be written.
  [[nodiscard]] Status add(const Digest& hash, std::string_view entry_key);
  /// Empties the table and appends everything, committing every 20,000 rows.
  [[nodiscard]] Status finish(Env& env);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::catalog
