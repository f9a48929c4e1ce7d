#include "storecore/store/catalog_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/identity.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"
#include "storecore/store/store_file.hpp"

namespace holdfast::core {

using catalog::Env;
using catalog::failed;
using catalog::Fault;
using catalog::Result;
using catalog::Status;

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
constexpr const char* kCatalogPlace = ".holdfast/catalog/data.mdb";

Result<Fd> open_data(const Store& store) {
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return std::unexpected(dir.error());
  auto fd = open_store_file(*dir, layout::kCatalogData, O_RDONLY);
  if (fd) return fd;
  if (fd.error().cause.value() == ENOENT)
    return catalog::fail(Fault::kCatalogBad, kCatalogPlace, "the catalog is missing");
  fd.error().place = kCatalogPlace;
  return fd;
}

/// Inode, size and change time of the file, and the boot: what a check said stays true while none
/// of them moves.
Result<std::string> stamp_of(const Store& store) {
  const auto fd = open_data(store);
  if (!fd) return std::unexpected(fd.error());
  const auto stat = stat_fd(fd->get());
  if (!stat) return failed("statx", kCatalogPlace, stat.error());
  return fmt::format("{} {} {} {}.{:09} {:016x}\n", boot_id(), stat->inode, stat->size,
                     stat->ctime.seconds, stat->ctime.nanoseconds, store.record().catalog_xxh3);
}

bool stamp_fits(const Store& store, std::string_view stamp) {
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return false;
  const auto fd = open_at(*dir, layout::kStamp, O_RDONLY);
  if (!fd) return false;
  const auto text = read_all(fd->get(), 4096);
  return text && *text == stamp;
}

/// Only saves time: in an immutable or read-only store it just does not happen.
void write_stamp(const Store& store, std::string_view stamp) {
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return;
  const auto fd = open_at(*dir, layout::kStamp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd) (void)write_all(fd->get(), stamp);
}

}  // namespace

Result<CatalogSum> sum_catalog(const Store& store) {
  const auto fd = open_data(store);
  if (!fd) return std::unexpected(fd.error());
  catalog::Hasher hasher;
  std::vector<std::byte> buffer(kBuffer);
  CatalogSum sum;
  while (true) {
    const auto got = pread_some(fd->get(), buffer, sum.bytes);
    if (!got) return failed("read", kCatalogPlace, got.error());
    if (*got == 0) break;
    hasher.update(std::span(buffer).first(*got));
    sum.bytes += *got;
  }
  sum.xxh3 = hasher.digest64();
  return sum;
}

Result<Env> open_sealed_catalog(const Store& store, CatalogCheck check) {
  const StoreRecord& record = store.record();
  if (record.catalog_bytes == 0)
    return catalog::refused(
        "not-sealed", store.place().root,
        fmt::format("the store is not sealed (state {})", to_word(record.state)),
        "holdfast capture or holdfast seal finishes it");
  const auto stamp = stamp_of(store);
  if (!stamp) return std::unexpected(stamp.error());
  if (check == CatalogCheck::kAlways || !stamp_fits(store, *stamp)) {
    const auto sum = sum_catalog(store);
    if (!sum) return std::unexpected(sum.error());
    if (sum->bytes != record.catalog_bytes || sum->xxh3 != record.catalog_xxh3)
      return catalog::fail(Fault::kCatalogBad, kCatalogPlace,
                           "the catalog is damaged: its checksum differs");
    write_stamp(store, *stamp);
  }
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return std::unexpected(dir.error());
  return Env::open(dir->get(), Env::Mode::kRead);
}

Result<Env> open_catalog_for_write(const Store& store) {
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return std::unexpected(dir.error());
  return Env::open(dir->get(), Env::Mode::kCreate);
}

Status note_catalog_sum(Store& store) {
  const auto sum = sum_catalog(store);
  if (!sum) return std::unexpected(sum.error());
  store.record().catalog_bytes = sum->bytes;
  store.record().catalog_xxh3 = sum->xxh3;
  return {};
}

}  // namespace holdfast::core
