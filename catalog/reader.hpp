#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"

namespace holdfast::catalog {

/// Answers questions about one snapshot (or about an open write transaction, including its writes).
///
/// Borrows the transaction. One thread at a time; make one reader and one transaction per thread to
/// read in parallel. Every row is decoded with checks; one that does not decode is kCatalogBad with
/// its table and key. So is an entry whose directory has no row, or one that says another parent or
/// name: each directory is reached on one way.
class Reader {
 public:
  explicit Reader(const ReadTxn& txn) noexcept : txn_(&txn) {}

  /// nullopt when the directory has no such entry. Grouped entries come with their inode record.
  [[nodiscard]] Result<std::optional<Entry>> find_entry(DirId parent, std::string_view name) const;
  [[nodiscard]] Result<std::optional<Directory>> find_directory(DirId id) const;
  [[nodiscard]] Result<std::optional<InodeRecord>> find_inode(InodeNo number) const;

  /// Returning false from the visitor ends the walk early (a success).
  using EntryVisitor = std::function<Result<bool>(DirId parent, const Entry& entry)>;
  /// Entries of one directory in byte order of their keys.
  [[nodiscard]] Status for_each_entry(DirId parent, const EntryVisitor& visit) const;
  /// Every entry of the catalog whose key is > @p after (empty: all), ordered by parent id.
  [[nodiscard]] Status for_each_entry_after(std::string_view after,
                                            const EntryVisitor& visit) const;
  /// Number of entries in one directory, without decoding them.
  [[nodiscard]] Result<std::uint64_t> count_entries(DirId parent) const;
  /// Every directory, ids rising from @p first.
  [[nodiscard]] Status for_each_directory(
      DirId first, const std::function<Result<bool>(const Directory&)>& visit) const;
  /// Every row of `inodes`.
  [[nodiscard]] Status for_each_group(
      const std::function<Result<bool>(InodeNo, const InodeRecord&)>& visit) const;
  [[nodiscard]] Status for_each_problem(
      const std::function<Result<bool>(const Problem&)>& visit) const;

  /// Names from the root down. kCatalogBad on a cycle, a missing parent or more than 1,000,000
  /// levels.
  [[nodiscard]] Result<std::vector<std::string>> components_of(DirId id) const;
  [[nodiscard]] Result<std::string> path_of(DirId id) const;
  /// What a path names: nullopt when nothing. An empty path is the root directory.
  struct Found {
    DirId parent{};
    Entry entry;  ///< for the root: kDirectory with kRootDir and an empty name
  };
  [[nodiscard]] Result<std::optional<Found>> find_path(
      const std::vector<std::string>& components) const;

  /// Catalogued names with this content. Ordered by hash, parent, name. From the content index:
  /// only in sealed catalogs.
  [[nodiscard]] Status for_each_with_hash(const Digest& hash, const EntryVisitor& visit) const;
  /// Every row of the content index in hash order.
  [[nodiscard]] Status for_each_content(
      const std::function<Result<bool>(const Digest&, DirId parent, std::string_view entry_key)>&
          visit) const;
  /// Decodes the entry behind a whole key (from the content index).
  [[nodiscard]] Result<std::optional<Entry>> find_by_key(std::string_view entry_key) const;

  [[nodiscard]] Result<std::optional<std::string>> meta(std::string_view key) const;
  /// Name of an account as the captured system knew it.
  enum class OwnerKind : std::uint8_t { kUser = 1, kGroup = 2 };  // frozen
  [[nodiscard]] Result<std::optional<std::string>> owner_name(OwnerKind kind,
                                                              std::uint32_t id) const;

  [[nodiscard]] const ReadTxn& transaction() const noexcept { return *txn_; }

 private:
  const ReadTxn* txn_;
};

/// Key of the `owners` table: kind byte and big-endian id.
[[nodiscard]] std::string owner_key(Reader::OwnerKind kind, std::uint32_t id);

}  // namespace holdfast::catalog
