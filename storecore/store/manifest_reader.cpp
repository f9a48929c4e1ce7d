#include "storecore/store/manifest_reader.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/manifest.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Result;
using catalog::Status;

namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
/// A directory may carry 64 KiB an xattr, and some of them; a longer line is damage.
constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;

using LineVisitor = std::function<Status(std::string_view line, bool ended)>;

/// Gives out every line with its newline; the last one may lack it. False: there is no such file.
Result<bool> each_line(DirFd dir, const char* name, const LineVisitor& visit) {
  const auto fd = open_at(dir, name, O_RDONLY);
  if (!fd && fd.error().value() == ENOENT) return false;
  if (!fd) return failed("openat", name, fd.error());
  std::vector<std::byte> buffer(kChunkBytes);
  std::string line;
  while (true) {
    const auto got = read_some(fd->get(), buffer);
    // What the disk does not give back is as good as not there.
    if (!got && got.error().value() != EIO) return failed("read", name, got.error());
    if (!got || *got == 0) break;
    std::string_view chunk(reinterpret_cast<const char*>(buffer.data()), *got);
    while (!chunk.empty()) {
      const std::size_t end = chunk.find('\n');
      const std::size_t take = end == std::string_view::npos ? chunk.size() : end + 1;
      if (line.size() < kMaxLineBytes) line += chunk.substr(0, take);
      chunk.remove_prefix(take);
      if (end == std::string_view::npos) continue;
      if (auto status = visit(line, true); !status) return std::unexpected(status.error());
      line.clear();
    }
  }
  if (!line.empty()) {
    if (auto status = visit(line, false); !status) return std::unexpected(status.error());
  }
  return true;
}

}  // namespace

Result<ManifestRead> read_manifest(DirFd dir, const char* name, const ManifestVisitor& visit) {
  ManifestRead read;
  catalog::Hasher hasher;
  std::uint64_t lines = 0;
  bool behind_end = false;
  const auto found = each_line(dir, name, [&](std::string_view line, bool ended) -> Status {
    read.whole = false;
    const auto trailer = ended ? catalog::parse_manifest_trailer(line) : std::nullopt;
    if (trailer && !behind_end) {
      read.whole = read.format != 0 && trailer->lines == lines && read.bad_lines == 0 &&
                   trailer->checksum == hasher.digest64();
      behind_end = true;
      return {};
    }
    hasher.update(std::as_bytes(std::span(line)));
    ++lines;
    if (lines == 1) {
      if (auto header = catalog::parse_manifest_header(line)) {
        read.format = header->format;
        read.capture_id = std::move(header->capture_id);
        return {};
      }
    }
    auto entry = ended ? catalog::parse_manifest_line(line) : std::nullopt;
    if (!entry) {
      ++read.bad_lines;
      return {};
    }
    ++read.entries;
    return visit(std::move(*entry));
  });
  if (!found) return std::unexpected(found.error());
  read.found = *found;
  return read;
}

Status read_manifest_hashes(DirFd dir, const char* name,
                            const std::function<Status(catalog::Xxh128Line&& line)>& visit) {
  const auto found = each_line(dir, name, [&](std::string_view line, bool ended) -> Status {
    auto parsed = ended ? catalog::parse_xxh128_line(line) : std::nullopt;
    return parsed ? visit(std::move(*parsed)) : Status{};
  });
  if (!found) return std::unexpected(found.error());
  return {};
}

}  // namespace holdfast::core
