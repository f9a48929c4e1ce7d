// The decoders of catalog rows. What one takes it encodes to exactly the bytes that it read, and
// what it gives keeps the promises that its users rely on.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "catalog/codec.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "fuzz.hpp"

using namespace holdfast::catalog;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::Bytes;
using holdfast::fuzz::Exact;
using holdfast::fuzz::require;

namespace {

void inode(Bytes& input) {
  const Exact value(input.rest());
  const auto record = decode_inode(value.view());
  if (!record) return;
  require(encode(*record) == value.view(), "an inode record has one encoding");
  require(record->type != FileType::kDirectory && record->mode <= 07777, "type and mode are sound");
  require(record->link_target.find('\0') == std::string::npos, "a link target has no NUL");
}

void directory(Bytes& input) {
  const DirId id{input.byte()};
  const Exact value(input.rest());
  const auto row = decode_directory(id, value.view());
  if (!row) return;
  require(encode(*row) == value.view(), "a directory has one encoding");
  require(raw(row->parent) < raw(row->id), "a parent's id is smaller");
  require(id == kRootDir ? row->name.empty() : is_component(row->name), "a name is one component");
}

void entry(Bytes& input) {
  const Exact key(input.take(input.byte() + std::size_t{256} * (input.byte() % 2)));
  const Exact value(input.rest());
  const auto row = decode_entry(key.view(), value.view());
  if (!row) return;
  const auto parent = parent_of_key(key.view());
  require(parent && *parent != kNoDir, "an entry has a parent");
  require(is_component(row->name), "a name is one component");
  require(entry_key(*parent, row->name) == key.view(), "an entry has one key");
  require(encode(*row) == value.view(), "an entry has one encoding");
  require(row->kind != Entry::Kind::kDirectory || raw(row->directory) > raw(*parent),
          "a child's id is higher");
}

void problem(Bytes& input) {
  const Exact value(input.rest());
  const auto row = decode_problem(value.view());
  if (!row) return;
  require(encode(*row) == value.view(), "a problem has one encoding");
  require(row->error_number >= 0 && row->path.find('\0') == std::string::npos,
          "a problem can be shown");
}

/// A long name stands in the value, and its hash in the key: too far for chance, so it is built.
void long_name(Bytes& input) {
  Entry row;
  row.name = input.take(481 + input.byte());
  row.kind = Entry::Kind::kGrouped;
  row.group = InodeNo{input.byte()};
  const auto decoded = decode_entry(entry_key(DirId{7}, row.name), encode(row));
  require(decoded.has_value() == is_component(row.name), "names that are components come back");
  require(!decoded || decoded->name == row.name, "a long name comes back whole");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input(data, size);
  switch (input.byte() % 5) {
    case 0:
      inode(input);
      break;
    case 1:
      directory(input);
      break;
    case 2:
      entry(input);
      break;
    case 3:
      problem(input);
      break;
    default:
      long_name(input);
      break;
  }
  return 0;
}
