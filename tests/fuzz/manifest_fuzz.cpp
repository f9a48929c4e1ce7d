// Lines of the manifests. A line of manifest.jsonl that is taken is written again byte by byte; one
// of manifest.xxh128 can be read back as xxh128sum does.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "catalog/digest.hpp"
#include "catalog/manifest.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "fuzz.hpp"

using namespace holdfast::catalog;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::Bytes;
using holdfast::fuzz::Exact;
using holdfast::fuzz::require;

namespace {

void check_entry(std::string_view line) {
  const Exact exact(line);
  const auto entry = parse_manifest_line(exact.view());
  if (!entry) return;
  require(is_clean_path(entry->path), "a line's path is clean");
  const std::string again =
      std::holds_alternative<InodeRecord>(entry->record)
          ? manifest_line(entry->path, std::get<InodeRecord>(entry->record), entry->grouped)
          : manifest_line(entry->path, std::get<DirectoryRecord>(entry->record));
  require(again == line, "a record has one line");
}

void check_any_path(const std::string& path) {
  const InodeRecord record;
  const auto read = parse_manifest_line(manifest_line(path, record, false));
  require(read.has_value() == (is_clean_path(path) && !path.empty()),
          "a file can be at every clean path but the top");
  require(!read || read->path == path, "a path comes back");
}

void check_hash_line(const std::string& path) {
  if (!fits_xxh128(path)) return;
  const std::string line = xxh128_line(Digest(), path);
  require(line.find('\n') == line.size() - 1, "a path cannot make a second line");
  std::string read = line.substr(34, line.size() - 35);
  if (read.starts_with("./") && !path.starts_with("./")) read.erase(0, 2);
  require(read == path, "a path comes back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input(data, size);
  const std::uint8_t kind = input.byte();
  const std::string rest = input.rest();
  if (kind == 'p') {
    check_any_path(rest);
    check_hash_line(rest);
  } else {
    check_entry(static_cast<char>(kind) + rest);
    check_entry(rest);
  }
  return 0;
}
