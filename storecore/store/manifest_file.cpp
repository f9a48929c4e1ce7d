#include "storecore/store/manifest_file.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/manifest.hpp"
#include "catalog/records.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/store/layout.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Result;
using catalog::Status;

namespace {
constexpr std::size_t kFlushBytes = std::size_t{1} << 20;

std::string staging(const std::string& name) { return name + ".new"; }
}  // namespace

Status ManifestFiles::open(DirFd store, File& file, const char* name) {
  file.name = name;
  auto fd = open_at(store, staging(file.name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) return failed("openat", name, fd.error());
  file.fd = std::move(*fd);
  return {};
}

Result<ManifestFiles> ManifestFiles::begin(DirFd store, std::string_view capture_id) {
  ManifestFiles files;
  files.store_ = store;
  if (auto status = open(store, files.entries_, layout::kManifest); !status)
    return std::unexpected(status.error());
  if (auto status = open(store, files.hashes_, layout::kManifestHashes); !status)
    return std::unexpected(status.error());
  files.entries_.pending = catalog::manifest_header(capture_id);
  if (auto status = added(files.entries_); !status) return std::unexpected(status.error());
  return files;
}

Status ManifestFiles::flush(File& file) {
  if (file.pending.empty()) return {};
  file.hasher.update(std::as_bytes(std::span(file.pending)));
  if (auto written = write_all(file.fd.get(), file.pending); !written)
    return failed("write", file.name, written.error());
  file.pending.clear();
  return {};
}

/// A line was appended to what is pending.
Status ManifestFiles::added(File& file) {
  ++file.lines;
  return file.pending.size() >= kFlushBytes ? flush(file) : Status{};
}

Status ManifestFiles::add(std::string_view path, const catalog::InodeRecord& record, bool grouped) {
  const bool hashed =
      record.type == catalog::FileType::kFile && record.hash_state == catalog::HashState::kHashed;
  if (hashed && catalog::fits_xxh128(path)) {
    catalog::append_xxh128_line(hashes_.pending, record.hash, path);
    if (auto status = added(hashes_); !status) return status;
  }
  catalog::append_manifest_line(entries_.pending, path, record, grouped);
  return added(entries_);
}

Status ManifestFiles::add(std::string_view path, const catalog::DirectoryRecord& record) {
  catalog::append_manifest_line(entries_.pending, path, record);
  return added(entries_);
}

Status ManifestFiles::publish(File& file) const {
  if (auto flushed = flush(file); !flushed) return flushed;
  if (auto synced = fsync_fd(file.fd.get()); !synced)
    return failed("fsync", file.name, synced.error());
  const auto renamed =
      rename_replace(store_, staging(file.name).c_str(), store_, file.name.c_str());
  if (!renamed && renamed.error().value() == EISDIR)
    return catalog::fail(catalog::Fault::kCatalogBad, file.name, "a folder stands in its place",
                         "move it out of the store");
  if (!renamed) return failed("renameat", file.name, renamed.error());
  return {};
}

Status ManifestFiles::finish() {
  if (auto flushed = flush(entries_); !flushed) return flushed;
  entries_.pending = catalog::manifest_trailer(entries_.lines, entries_.hasher.digest64());
  if (auto status = publish(entries_); !status) return status;
  return publish(hashes_);
}

}  // namespace holdfast::core
