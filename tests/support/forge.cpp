// Writes into a store's catalog what holdfast's own writer never would, and makes the checksum in
// state.json right again: only decoding and use stand between such a row and a user's files.
//
//     forge STORE [--unsealed] < COMMANDS
//
//     dump                      prints TABLE KEY VALUE for every row, in hex ("-" for no bytes)
//     put TABLE KEY VALUE       hex, any bytes
//     name PARENT NAME VALUE    a row of `entries` under the key that a name of any length gets
//     erase TABLE KEY
//
// --unsealed leaves state.json alone. Exit 1 with a line on stderr when something cannot be done.
#include <fcntl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/schema.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"

namespace {

using namespace holdfast;  // NOLINT(google-build-using-namespace)
using catalog::Status;
using catalog::Table;

Status misuse(std::string_view what) {
  return catalog::fail(catalog::Fault::kUsage, what, "not understood");
}

std::string to_hex(std::string_view bytes) {
  if (bytes.empty()) return "-";
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto value = static_cast<unsigned char>(c);
    text += digits[value >> 4U];
    text += digits[value & 15U];
  }
  return text;
}

std::string from_hex(std::string_view text) {
  std::string bytes;
  if (text == "-") return bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  return bytes;
}

std::optional<Table> table_named(std::string_view name) {
  for (std::size_t i = 0; i < catalog::kTables; ++i) {
    const auto table = static_cast<Table>(i);
    if (name == catalog::table_name(table)) return table;
  }
  return std::nullopt;
}

Status dump(const catalog::ReadTxn& txn) {
  for (std::size_t i = 0; i < catalog::kTables; ++i) {
    auto cursor = catalog::Cursor::open(txn, static_cast<Table>(i));
    if (!cursor) return std::unexpected(cursor.error());
    for (auto row = cursor->seek({});; row = cursor->next()) {
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      std::cout << catalog::table_name(static_cast<Table>(i)) << ' ' << to_hex((*row)->key) << ' '
                << to_hex((*row)->value) << '\n';
    }
  }
  return {};
}

Status carry_out(catalog::WriteTxn& txn, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  std::string first;
  std::string second;
  std::string third;
  words >> command >> first >> second >> third;
  if (command == "dump") return dump(txn);
  if (command == "name")
    return txn.put(Table::kEntries,
                   catalog::entry_key(catalog::DirId{std::stoull(first)}, from_hex(second)),
                   from_hex(third));
  const auto table = table_named(first);
  if (!table) return misuse(line);
  if (command == "put") return txn.put(*table, from_hex(second), from_hex(third));
  if (command != "erase") return misuse(line);
  const auto erased = txn.erase(*table, from_hex(second));
  if (!erased) return std::unexpected(erased.error());
  return *erased ? Status() : misuse("no such row: " + line);
}

Status change(int catalog_fd) {
  auto env = catalog::Env::open(catalog_fd, catalog::Env::Mode::kWrite);
  if (!env) return std::unexpected(env.error());
  auto txn = catalog::WriteTxn::begin(*env);
  if (!txn) return std::unexpected(txn.error());
  std::string line;
  while (std::getline(std::cin, line)) {
    if (auto done = carry_out(*txn, line); !done) return done;
  }
  return txn->commit();
}

Status set_checksum(core::DirFd store, core::DirFd catalog_dir) {
  auto record = core::StateFile::load(store);
  if (!record) return std::unexpected(record.error());
  const auto fd = core::open_at(catalog_dir, core::layout::kCatalogData, O_RDONLY);
  if (!fd) return catalog::failed("openat", core::layout::kCatalogData, fd.error());
  const auto bytes = core::read_all(fd->get(), std::size_t{1} << 30U);
  if (!bytes) return catalog::failed("read", core::layout::kCatalogData, bytes.error());
  record->catalog_bytes = bytes->size();
  record->catalog_xxh3 = catalog::checksum64(*bytes);
  return core::StateFile::save(store, *record);
}

Status forge(const std::string& path, bool sealed) {
  const auto store = core::open_dir_path(path);
  if (!store) return catalog::failed("open", path, store.error());
  const auto dir = core::open_dir_at(*store, core::layout::kCatalog);
  if (!dir) return catalog::failed("openat", core::layout::kCatalog, dir.error());
  if (auto changed = change(dir->get()); !changed) return changed;
  return sealed ? set_checksum(*store, *dir) : Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const bool sealed = argc < 3 || std::string_view(argv[2]) != "--unsealed";
  const auto done = forge(argv[1], sealed);
  if (done) return 0;
  std::cerr << "forge: " << catalog::describe(done.error()) << '\n';
  return 1;
}
