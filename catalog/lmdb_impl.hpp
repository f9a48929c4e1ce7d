#pragma once

#include <lmdb.h>

#include <array>
#include <cstdint>
#include <expected>
#include <string_view>

#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/schema.hpp"

/// What lies behind Env, for lmdb.cpp (transactions) and lmdb_env.cpp (opening) only.
namespace holdfast::catalog {

struct Env::Impl {
  explicit Impl(MDB_env* created) noexcept : env(created) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  MDB_env* env;
  std::array<MDB_dbi, kTables> tables{};
  int map_slot = -1;
  int lock_slot = -1;
  bool commit_failed =
      false;  ///< no transaction any more: it could succeed with the lost one missing
};

/// The file in messages, relative to the store.
inline constexpr std::string_view kCatalogPlace = "catalog/data.mdb";

/// The Error for what an LMDB function returned: an errno, or a code of LMDB's own.
[[nodiscard]] std::unexpected<Error> mdb_failed(std::string_view operation, int code);
/// The same for a commit, which answers a full disk with EIO.
[[nodiscard]] std::unexpected<Error> commit_failed(MDB_env* env, int code);
[[nodiscard]] std::unexpected<Error> bad_catalog(std::string_view reason);

struct Extent {
  std::uint64_t file_bytes;
  std::uint64_t used_bytes;  ///< up to the end of LMDB's last page
  std::uint64_t page_bytes;
};
[[nodiscard]] SysResult<Extent> extent_of(MDB_env* env);
[[nodiscard]] std::uint64_t used_bytes_of(MDB_env* env) noexcept;
[[nodiscard]] int data_fd_of(MDB_env* env) noexcept;
/// Makes the file reach to the end of its last page.
[[nodiscard]] Status keep_length(MDB_env* env);

inline MDB_val to_val(std::string_view bytes) noexcept {
  // LMDB takes void* for what it only reads.
  return MDB_val{bytes.size(), const_cast<char*>(bytes.data())};
}
inline std::string_view to_view(const MDB_val& value) noexcept {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

}  // namespace holdfast::catalog
