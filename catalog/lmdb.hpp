#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/schema.hpp"

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

/// LMDB with owners and errors of ours. Rules that hold everywhere (lmdb.h, 0.9.24):
/// - keys are at most 511 bytes; views returned by a transaction die at its next write or its end;
/// - a write transaction and its cursors belong to one thread; read transactions may move between
///   threads (MDB_NOTLS), one thread at a time;
/// - a transaction is gone after commit, also when commit fails;
/// - one environment per file and process; nothing is used after fork; never on a network
/// filesystem;
/// - default flags: no WRITEMAP (a full disk would be SIGBUS), no NOSYNC (a power cut would
/// corrupt).
namespace holdfast::catalog {

/// An open catalog file. Movable, not copyable; closes on destruction (no transaction may be live).
class Env {
 public:
  enum class Mode : std::uint8_t {
    kRead,  ///< MDB_RDONLY | MDB_NOLOCK: the store's own lock keeps writers away; writes nothing at
            ///< all
    kWrite,   ///< read and write, with LMDB's lock file; the tables must exist
    kCreate,  ///< as kWrite, making the file and its tables when missing
  };
  /// Opens data.mdb in the directory behind @p directory_fd (borrowed for the call only).
  ///
  /// The map is @p map_bytes large (default 1 TiB; halved down to 1 GiB when address space is
  /// short). Refuses (kCatalogBad) a data.mdb that is not a regular file, belongs to another user
  /// than the process, is writable by group or others, is shorter than its last page, or whose
  /// `format` is newer. Errors: kCatalogBad, kNoSpace, kFailed. One thread. The file's directory
  /// entry is not durable until the store's barrier.
  [[nodiscard]] static Result<Env> open(int directory_fd, Mode mode,
                                        std::size_t map_bytes = std::size_t{1} << 40);
  Env(Env&&) noexcept;
  Env& operator=(Env&&) noexcept;
  ~Env();

  /// Bytes of the file in use: last page number + 1 times the page size.
  [[nodiscard]] std::uint64_t used_bytes() const;

  struct Impl;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  explicit Env(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

struct KeyValue {
  std::string_view key;
  std::string_view value;
};

/// A snapshot, or (as base of WriteTxn) the state including its own writes.
class ReadTxn {
 public:
  [[nodiscard]] static Result<ReadTxn> begin(const Env& env);
  ReadTxn(ReadTxn&&) noexcept;
  ReadTxn& operator=(ReadTxn&&) noexcept;
  virtual ~ReadTxn();

  /// nullopt when there is no such key. The view lives until the transaction's next write or end.
  [[nodiscard]] Result<std::optional<std::string_view>> get(Table table,
                                                            std::string_view key) const;
  [[nodiscard]] Result<std::uint64_t> count(Table table) const;
  [[nodiscard]] const Env::Impl& env() const noexcept { return *env_; }
  [[nodiscard]] MDB_txn* handle() const noexcept { return txn_; }

 protected:
  ReadTxn(Env::Impl* env, MDB_txn* txn) noexcept;
  void abort() noexcept;
  Env::Impl* env_;
  MDB_txn* txn_;
};

class WriteTxn : public ReadTxn {
 public:
  [[nodiscard]] static Result<WriteTxn> begin(Env& env);
  /// Adds or replaces. A replaced value of the same length is overwritten in its page.
  [[nodiscard]] Status put(Table table, std::string_view key, std::string_view value);
  /// Adds behind every existing key; kCatalogBad when @p key is not above the last one.
  [[nodiscard]] Status append(Table table, std::string_view key, std::string_view value);
  /// False when there was no such key.
  [[nodiscard]] Result<bool> erase(Table table, std::string_view key);
  /// Empties the table.
  [[nodiscard]] Status drop(Table table);
  /// Durable when it returns success. After an error the environment must be closed: a later commit
  /// could succeed with this one lost. A full disk says EIO here; the message looks at statvfs
  /// first.
  [[nodiscard]] Status commit();

 private:
  using ReadTxn::ReadTxn;
};

/// Walks one table in key order. Must end before its transaction; one thread.
class Cursor {
 public:
  [[nodiscard]] static Result<Cursor> open(const ReadTxn& txn, Table table);
  Cursor(Cursor&&) noexcept;
  Cursor& operator=(Cursor&&) noexcept;
  ~Cursor();
  /// First row whose key is >= @p key; nullopt at the end of the table.
  [[nodiscard]] Result<std::optional<KeyValue>> seek(std::string_view key);
  [[nodiscard]] Result<std::optional<KeyValue>> next();
  [[nodiscard]] Result<std::optional<KeyValue>> last();

 private:
  explicit Cursor(MDB_cursor* cursor) noexcept : cursor_(cursor) {}
  MDB_cursor* cursor_;
};

}  // namespace holdfast::catalog
