#include <fcntl.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/lmdb_impl.hpp"
#include "catalog/map_guard.hpp"
#include "catalog/schema.hpp"

// Opening. LMDB follows links, trusts owner and content of what it finds, and maps the file
// whatever its length is, so all of that is looked at before a page is read:
//   lock.mdb, data.mdb by name and descriptor -> mdb_env_open -> same inode? -> long enough?
//   -> `meta`: a format that we know? -> the other tables.
namespace holdfast::catalog {
namespace {

/// One snapshot a worker, and the command line allows 256 of those; LMDB's own default is 126.
constexpr unsigned kMaxReaders = 512;

constexpr const char* kDataFile = "data.mdb";
constexpr const char* kLockFile = "lock.mdb";
constexpr std::size_t kLeastMap = std::size_t{1} << 30;
constexpr mode_t kFileMode = 0600;
// By how many pages a file may be short after a crash, see keep_length().
constexpr std::uint64_t kUnwrittenPages = 64;

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

Status check_owner(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) {
    return bad_catalog("is not a regular file");
  }
  if (status.st_uid != ::geteuid()) {
    return bad_catalog("belongs to another user");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return bad_catalog("is writable by others than its owner");
  }
  return {};
}

// LMDB would follow a symlink here, and create what it points to.
Status check_lock_file(int directory_fd) {
  struct stat status{};
  if (::fstatat(directory_fd, kLockFile, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Status() : Status(failed("fstatat", "catalog/lock.mdb", last_error()));
  }
  Status checked = check_owner(status);
  if (!checked) {
    checked.error().place = "catalog/lock.mdb";
  }
  return checked;
}

// True for what a power cut can leave of the very first write: nothing, or a length without data.
bool is_unborn(int fd, off_t size) {
  constexpr off_t header = 8192;  // two pages
  if (size > header) {
    return false;
  }
  std::array<char, header> bytes{};
  const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), 0);
  return got == size && std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

// Looks at data.mdb, or makes it. Closing it again is harmless: LMDB's locks are on lock.mdb.
Result<struct stat> prepare_data_file(int directory_fd, Env::Mode mode) {
  const bool create = mode == Env::Mode::kCreate;
  const int access = create ? O_RDWR | O_CREAT : O_RDONLY;
  const Descriptor file(::openat(
      directory_fd, kDataFile, access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, kFileMode));
  if (file.get() < 0) {
    const std::error_code cause = last_error();
    auto error = failed("openat", kCatalogPlace, cause);
    if (cause == std::errc::no_such_file_or_directory ||
        cause == std::errc::too_many_symbolic_link_levels) {
      error.error().fault = Fault::kCatalogBad;
    }
    return error;
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) {
    return failed("fstat", kCatalogPlace, last_error());
  }
  if (Status checked = check_owner(status); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  if (create && status.st_size != 0 && is_unborn(file.get(), status.st_size)) {
    if (::ftruncate(file.get(), 0) != 0) {
      return failed("ftruncate", kCatalogPlace, last_error());
    }
    status.st_size = 0;
  }
  if (!create && status.st_size == 0) {
    return bad_catalog("is empty");
  }
  return status;
}

// LMDB's own message is an expression of its source: useful to whoever reads a report, and all we
// get.
void on_lmdb_assertion(MDB_env* /*env*/, const char* message) { report_damage(message); }

Result<std::unique_ptr<Env::Impl>> map_file(int directory_fd, Env::Mode mode, std::size_t bytes) {
  MDB_env* env = nullptr;
  if (const int code = mdb_env_create(&env); code != 0) {
    return mdb_failed("mdb_env_create", code);
  }
  auto impl = std::make_unique<Env::Impl>(env);
  mdb_env_set_assert(env, on_lmdb_assertion);
  mdb_env_set_maxdbs(env, kTables);
  mdb_env_set_maxreaders(env, kMaxReaders);
  if (const int code = mdb_env_set_mapsize(env, bytes); code != 0) {
    return mdb_failed("mdb_env_set_mapsize", code);
  }
  const unsigned flags =
      mode == Env::Mode::kRead ? MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS : unsigned{MDB_NOTLS};
  const std::string path = fmt::format("/proc/self/fd/{}", directory_fd);
  // The map must be found before another thread makes one like it.
  static std::mutex opening;
  const std::scoped_lock lock(opening);
  begin_map(directory_fd);
  const int code = mdb_env_open(env, path.c_str(), flags, kFileMode);
  end_map();
  if (code != 0) {
    auto error = mdb_failed("mdb_env_open", code);
    if (code == ENOENT) {
      error.error().hint = "the file is there, but /proc is not: mount it";
    }
    return error;
  }
  impl->map_slot = remember_map(data_fd_of(env), bytes);
  struct stat lock_file{};
  if (mode == Env::Mode::kCreate &&
      ::fstatat(directory_fd, kLockFile, &lock_file, AT_SYMLINK_NOFOLLOW) == 0) {
    impl->lock_slot = remember_lock_map(data_fd_of(env), lock_file.st_ino);
  }
  return impl;
}

// ENOMEM is the kernel's word, EINVAL valgrind's.
bool is_too_large(std::error_code cause) {
  return cause == std::errc::not_enough_memory || cause == std::errc::invalid_argument;
}

// Address space can be short (ulimit -v, containers), and so can a 48-bit one under sanitizers.
Result<std::unique_ptr<Env::Impl>> map_what_fits(int directory_fd, Env::Mode mode,
                                                 std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  bytes = std::max((bytes + page - 1) / page * page, page);
  for (;;) {
    auto impl = map_file(directory_fd, mode, bytes);
    if (impl || !is_too_large(impl.error().cause) || bytes / 2 < kLeastMap) {
      return impl;
    }
    bytes /= 2;
  }
}

Status check_extent(MDB_env* env, Env::Mode mode, const struct stat& expected) {
  struct stat status{};
  if (::fstat(data_fd_of(env), &status) != 0) {
    return failed("fstat", kCatalogPlace, last_error());
  }
  if (status.st_ino != expected.st_ino || status.st_dev != expected.st_dev) {
    return bad_catalog("was exchanged while it was opened");
  }
  const auto extent = extent_of(env);
  if (!extent) {
    return failed("fstat", kCatalogPlace, extent.error());
  }
  const std::uint64_t allowance =
      mode == Env::Mode::kRead ? 0 : kUnwrittenPages * extent->page_bytes;
  if (extent->file_bytes + allowance < extent->used_bytes) {
    return bad_catalog(
        fmt::format("has {} bytes and should have {}", extent->file_bytes, extent->used_bytes));
  }
  return mode == Env::Mode::kRead ? Status() : keep_length(env);
}

Status check_format(MDB_txn* txn, MDB_dbi meta_table) {
  MDB_val key = to_val(meta::kFormat);
  MDB_val value{};
  if (const int code = mdb_get(txn, meta_table, &key, &value); code != 0) {
    return code == MDB_NOTFOUND ? Status(bad_catalog("does not say which format it has"))
                                : Status(mdb_failed("mdb_get", code));
  }
  const std::string_view text = to_view(value);
  std::uint32_t format = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), format);
  if (error != std::errc() || rest != text.data() + text.size() || format == 0) {
    return bad_catalog("has a format that is no number");
  }
  if (format > kFormatVersion) {
    return fail(Fault::kCatalogBad, kCatalogPlace,
                fmt::format("has format {}, this version knows {}", format, kFormatVersion),
                "use the version of holdfast that wrote it, or a newer one");
  }
  return {};
}

Status open_table(MDB_txn* txn, Table table, unsigned flags, MDB_dbi& dbi) {
  if (const int code = mdb_dbi_open(txn, table_name(table), flags, &dbi); code != 0) {
    if (code == MDB_NOTFOUND) {
      return bad_catalog(fmt::format("has no table {}", table_name(table)));
    }
    return mdb_failed("mdb_dbi_open", code);
  }
  unsigned found = 0;
  if (const int code = mdb_dbi_flags(txn, dbi, &found); code != 0) {
    return mdb_failed("mdb_dbi_flags", code);
  }
  // Sorted duplicates or integer keys would make other code of LMDB read our rows.
  return found == 0 ? Status() : Status(bad_catalog("has a table of another kind"));
}

// All tables and the format come in one transaction: a catalog has all of them or is not there yet.
Status open_tables(Env::Impl& impl, MDB_txn* txn, bool fresh) {
  const unsigned flags = fresh ? unsigned{MDB_CREATE} : 0U;
  MDB_dbi& meta_table = impl.tables[static_cast<std::size_t>(Table::kMeta)];
  if (Status opened = open_table(txn, Table::kMeta, flags, meta_table); !opened) {
    return opened;
  }
  if (fresh) {
    const std::string format = std::to_string(kFormatVersion);
    MDB_val key = to_val(meta::kFormat);
    MDB_val value = to_val(format);
    if (const int code = mdb_put(txn, meta_table, &key, &value, 0); code != 0) {
      return mdb_failed("mdb_put", code);
    }
  }
  if (Status checked = check_format(txn, meta_table); !checked) {
    return checked;
  }
  for (std::size_t i = 0; i < kTables; ++i) {
    const auto table = static_cast<Table>(i);
    if (table == Table::kMeta) {
      continue;
    }
    if (Status opened = open_table(txn, table, flags, impl.tables[i]); !opened) {
      return opened;
    }
  }
  return {};
}

Result<bool> is_fresh(MDB_txn* txn) {
  MDB_dbi names = 0;
  if (const int code = mdb_dbi_open(txn, nullptr, 0, &names); code != 0) {
    return mdb_failed("mdb_dbi_open", code);
  }
  MDB_stat stat{};
  if (const int code = mdb_stat(txn, names, &stat); code != 0) {
    return mdb_failed("mdb_stat", code);
  }
  return stat.ms_entries == 0;
}

Status enter_tables(Env::Impl& impl, Env::Mode mode) {
  const bool may_create = mode == Env::Mode::kCreate;
  MDB_txn* txn = nullptr;
  const unsigned flags = may_create ? 0U : unsigned{MDB_RDONLY};
  if (const int code = mdb_txn_begin(impl.env, nullptr, flags, &txn); code != 0) {
    return mdb_failed("mdb_txn_begin", code);
  }
  std::unique_ptr<MDB_txn, void (*)(MDB_txn*)> guard(txn, mdb_txn_abort);
  const auto fresh = is_fresh(txn);
  if (!fresh) {
    return std::unexpected(fresh.error());
  }
  if (Status opened = open_tables(impl, txn, may_create && *fresh); !opened) {
    return opened;
  }
  // Handles of tables live on only when their transaction is committed, also one that only reads.
  if (const int code = mdb_txn_commit(guard.release()); code != 0) {
    return commit_failed(impl.env, code);
  }
  return {};
}

}  // namespace

Env::Impl::~Impl() {
  forget_map(map_slot);
  forget_map(lock_slot);
  mdb_env_close(env);
}

Result<Env> Env::open(int directory_fd, Mode mode, std::size_t map_bytes) {
  if (mode != Mode::kRead) {
    if (Status checked = check_lock_file(directory_fd); !checked) {
      return std::unexpected(std::move(checked.error()));
    }
  }
  const auto file = prepare_data_file(directory_fd, mode);
  if (!file) {
    return std::unexpected(file.error());
  }
  auto impl = map_what_fits(directory_fd, mode, map_bytes);
  if (!impl) {
    return std::unexpected(std::move(impl.error()));
  }
  if (Status checked = check_extent((*impl)->env, mode, *file); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  // Slots of readers that died keep old pages from being used again.
  int dead = 0;
  if (const int code = mdb_reader_check((*impl)->env, &dead); code != 0) {
    return mdb_failed("mdb_reader_check", code);
  }
  if (Status entered = enter_tables(**impl, mode); !entered) {
    return std::unexpected(std::move(entered.error()));
  }
  return Env(std::move(*impl));
}

Env::Env(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Env::Env(Env&&) noexcept = default;
Env& Env::operator=(Env&&) noexcept = default;
Env::~Env() = default;

std::uint64_t Env::used_bytes() const { return used_bytes_of(impl_->env); }

}  // namespace holdfast::catalog
