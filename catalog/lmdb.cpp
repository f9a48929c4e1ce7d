#include "catalog/lmdb.hpp"

#include <fmt/format.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/lmdb_impl.hpp"
#include "catalog/schema.hpp"

namespace holdfast::catalog {
namespace {

std::uint64_t page_bytes_of(MDB_env* env) noexcept {
  MDB_stat pages{};
  mdb_env_stat(env, &pages);
  return pages.ms_psize;
}

}  // namespace

std::unexpected<Error> mdb_failed(std::string_view operation, int code) {
  if (code > 0) {
    return failed(operation, kCatalogPlace, std::error_code(code, std::system_category()));
  }
  Fault fault = Fault::kFailed;
  switch (code) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_PANIC:
    case MDB_BAD_TXN:
    case MDB_INCOMPATIBLE:
      fault = Fault::kCatalogBad;
      break;
    case MDB_MAP_FULL:
      fault = Fault::kNoSpace;
      break;
    default:
      break;
  }
  auto error = fail(
      fault, kCatalogPlace,
      code == MDB_MAP_FULL ? "the catalog fills the whole of its memory map" : mdb_strerror(code));
  error.error().operation = operation;
  return error;
}

std::unexpected<Error> commit_failed(MDB_env* env, int code) {
  auto error = mdb_failed("mdb_txn_commit", code);
  struct statvfs volume{};
  // LMDB turns a short write into EIO, which is what a full disk gives.
  if (code == EIO && ::fstatvfs(data_fd_of(env), &volume) == 0) {
    const bool full = (::geteuid() == 0 ? volume.f_bfree : volume.f_bavail) == 0;
    if (full) {
      error.error().fault = Fault::kNoSpace;
      error.error().cause = std::make_error_code(std::errc::no_space_on_device);
    }
  }
  return error;
}

std::unexpected<Error> bad_catalog(std::string_view reason) {
  return fail(Fault::kCatalogBad, kCatalogPlace, reason);
}

std::uint64_t used_bytes_of(MDB_env* env) noexcept {
  MDB_envinfo info{};
  mdb_env_info(env, &info);
  return (std::uint64_t{info.me_last_pgno} + 1) * page_bytes_of(env);
}

int data_fd_of(MDB_env* env) noexcept {
  int fd = -1;
  mdb_env_get_fd(env, &fd);
  return fd;
}

SysResult<Extent> extent_of(MDB_env* env) {
  struct stat status{};
  if (::fstat(data_fd_of(env), &status) != 0) {
    return std::unexpected(last_error());
  }
  return Extent{static_cast<std::uint64_t>(status.st_size), used_bytes_of(env), page_bytes_of(env)};
}

// A page that a transaction takes at the end of the file and gives up again is never written, yet
// LMDB counts it: the file may end before its "last page". Such a page is free, so a hole does as
// well, and with the hole a file that is too short is one that lost something. A crash between
// commit and this leaves a few pages to make up for when the catalog is opened for writing.
Status keep_length(MDB_env* env) {
  const auto extent = extent_of(env);
  if (!extent) {
    return failed("fstat", kCatalogPlace, extent.error());
  }
  if (extent->file_bytes < extent->used_bytes &&
      ::ftruncate(data_fd_of(env), static_cast<off_t>(extent->used_bytes)) != 0) {
    return failed("ftruncate", kCatalogPlace, last_error());
  }
  return {};
}

ReadTxn::ReadTxn(Env::Impl* env, MDB_txn* txn) noexcept : env_(env), txn_(txn) {}

ReadTxn::ReadTxn(ReadTxn&& other) noexcept
    : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}

ReadTxn& ReadTxn::operator=(ReadTxn&& other) noexcept {
  if (this != &other) {
    abort();
    env_ = other.env_;
    txn_ = std::exchange(other.txn_, nullptr);
  }
  return *this;
}

ReadTxn::~ReadTxn() { abort(); }

void ReadTxn::abort() noexcept {
  if (txn_ != nullptr) {
    mdb_txn_abort(std::exchange(txn_, nullptr));
  }
}

Result<ReadTxn> ReadTxn::begin(const Env& env) {
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env.impl().env, nullptr, MDB_RDONLY, &txn); code != 0) {
    return mdb_failed("mdb_txn_begin", code);
  }
  return ReadTxn(&env.impl(), txn);
}

Result<std::optional<std::string_view>> ReadTxn::get(Table table, std::string_view key) const {
  MDB_val wanted = to_val(key);
  MDB_val value{};
  const int code = mdb_get(txn_, env_->tables[static_cast<std::size_t>(table)], &wanted, &value);
  if (code == MDB_NOTFOUND) {
    return std::optional<std::string_view>();
  }
  if (code != 0) {
    return mdb_failed("mdb_get", code);
  }
  return to_view(value);
}

Result<std::uint64_t> ReadTxn::count(Table table) const {
  MDB_stat stat{};
  const int code = mdb_stat(txn_, env_->tables[static_cast<std::size_t>(table)], &stat);
  if (code != 0) {
    return mdb_failed("mdb_stat", code);
  }
  return std::uint64_t{stat.ms_entries};
}

Result<WriteTxn> WriteTxn::begin(Env& env) {
  if (env.impl().commit_failed) {
    return fail(Fault::kFailed, kCatalogPlace, "cannot be written any more after a failed commit",
                "run the command again");
  }
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env.impl().env, nullptr, 0, &txn); code != 0) {
    return mdb_failed("mdb_txn_begin", code);
  }
  return WriteTxn(&env.impl(), txn);
}

Status WriteTxn::put(Table table, std::string_view key, std::string_view value) {
  MDB_val row_key = to_val(key);
  MDB_val row_value = to_val(value);
  const int code =
      mdb_put(txn_, env_->tables[static_cast<std::size_t>(table)], &row_key, &row_value, 0);
  return code == 0 ? Status() : Status(mdb_failed("mdb_put", code));
}

Status WriteTxn::append(Table table, std::string_view key, std::string_view value) {
  MDB_val row_key = to_val(key);
  MDB_val row_value = to_val(value);
  const int code = mdb_put(txn_, env_->tables[static_cast<std::size_t>(table)], &row_key,
                           &row_value, MDB_APPEND);
  if (code == MDB_KEYEXIST) {
    return bad_catalog(fmt::format("rows of table {} come out of order", table_name(table)));
  }
  return code == 0 ? Status() : Status(mdb_failed("mdb_put", code));
}

Result<bool> WriteTxn::erase(Table table, std::string_view key) {
  MDB_val row_key = to_val(key);
  const int code = mdb_del(txn_, env_->tables[static_cast<std::size_t>(table)], &row_key, nullptr);
  if (code != 0 && code != MDB_NOTFOUND) {
    return mdb_failed("mdb_del", code);
  }
  return code == 0;
}

Status WriteTxn::drop(Table table) {
  const int code = mdb_drop(txn_, env_->tables[static_cast<std::size_t>(table)], 0);
  return code == 0 ? Status() : Status(mdb_failed("mdb_drop", code));
}

Status WriteTxn::commit() {
  const int code = mdb_txn_commit(std::exchange(txn_, nullptr));
  if (code != 0) {
    env_->commit_failed = true;
    return commit_failed(env_->env, code);
  }
  return keep_length(env_->env);
}

Result<Cursor> Cursor::open(const ReadTxn& txn, Table table) {
  MDB_cursor* cursor = nullptr;
  const MDB_dbi dbi = txn.env().tables[static_cast<std::size_t>(table)];
  if (const int code = mdb_cursor_open(txn.handle(), dbi, &cursor); code != 0) {
    return mdb_failed("mdb_cursor_open", code);
  }
  return Cursor(cursor);
}

Cursor::Cursor(Cursor&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}

Cursor& Cursor::operator=(Cursor&& other) noexcept {
  std::swap(cursor_, other.cursor_);
  return *this;
}

Cursor::~Cursor() {
  if (cursor_ != nullptr) {
    mdb_cursor_close(cursor_);
  }
}

namespace {

Result<std::optional<KeyValue>> move(MDB_cursor* cursor, MDB_val key, MDB_cursor_op operation) {
  MDB_val value{};
  const int code = mdb_cursor_get(cursor, &key, &value, operation);
  if (code == MDB_NOTFOUND) {
    return std::optional<KeyValue>();
  }
  if (code != 0) {
    return mdb_failed("mdb_cursor_get", code);
  }
  return KeyValue{to_view(key), to_view(value)};
}

}  // namespace

Result<std::optional<KeyValue>> Cursor::seek(std::string_view key) {
  // LMDB refuses to look for an empty key; every key is behind it.
  return key.empty() ? move(cursor_, MDB_val{}, MDB_FIRST)
                     : move(cursor_, to_val(key), MDB_SET_RANGE);
}

Result<std::optional<KeyValue>> Cursor::next() { return move(cursor_, MDB_val{}, MDB_NEXT); }

Result<std::optional<KeyValue>> Cursor::last() { return move(cursor_, MDB_val{}, MDB_LAST); }

}  // namespace holdfast::catalog
