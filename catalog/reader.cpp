#include "catalog/reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/codec.hpp"
#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"

namespace holdfast::catalog {
namespace {

constexpr std::size_t kMaxDepth = 1'000'000;
constexpr std::size_t kDigestBytes = sizeof(Digest::bytes);

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  constexpr std::size_t shown = 64;
  std::string hex;
  for (const char c : bytes.substr(0, shown)) {
    const auto value = static_cast<unsigned char>(c);
    hex += digits[value >> 4U];
    hex += digits[value & 15U];
  }
  return bytes.size() > shown ? hex + "..." : hex;
}

std::unexpected<Error> damaged(Table table, std::string_view key, std::string_view what) {
  std::string reason = "table ";
  reason += table_name(table);
  reason += ", key ";
  reason += hex_of(key);
  reason += ": ";
  reason += what;
  return fail(Fault::kCatalogBad, "catalog/data.mdb", reason);
}

constexpr std::string_view kUnreadable = "this version cannot read the row";

Result<InodeRecord> inode_of_group(const ReadTxn& txn, std::string_view entry_key, InodeNo number) {
  const std::string key = inode_key(number);
  const auto got = txn.get(Table::kInodes, key);
  if (!got) {
    return std::unexpected(got.error());
  }
  const std::optional<std::string_view>& value = *got;
  if (!value) {
    return damaged(Table::kEntries, entry_key, "its inode has no row");
  }
  auto record = decode_inode(*value);
  if (!record || record->held_inode != number) {
    return damaged(Table::kInodes, key, kUnreadable);
  }
  return std::move(*record);
}

// The directory that an entry leads to says itself where it belongs. So there is one way to each,
// and a walk down ends: ids alone rule out cycles, but not forty levels with two names each.
Status check_place(const ReadTxn& txn, std::string_view entry_key, const Entry& entry) {
  const std::string key = dir_key(entry.directory);
  const auto got = txn.get(Table::kDirs, key);
  if (!got) {
    return std::unexpected(got.error());
  }
  const std::optional<std::string_view>& value = *got;
  if (!value) {
    return damaged(Table::kEntries, entry_key, "its directory has no row");
  }
  const auto directory = decode_directory(entry.directory, *value);
  if (!directory) {
    return damaged(Table::kDirs, key, kUnreadable);
  }
  if (directory->parent != parent_of_key(entry_key) || directory->name != entry.name) {
    return damaged(Table::kEntries, entry_key, "its directory belongs to another place");
  }
  return {};
}

Result<Entry> read_entry(const ReadTxn& txn, const KeyValue& row) {
  auto entry = decode_entry(row.key, row.value);
  if (!entry) {
    return damaged(Table::kEntries, row.key, kUnreadable);
  }
  if (entry->kind == Entry::Kind::kDirectory) {
    if (Status placed = check_place(txn, row.key, *entry); !placed) {
      return std::unexpected(std::move(placed.error()));
    }
  }
  if (entry->kind == Entry::Kind::kGrouped) {
    auto record = inode_of_group(txn, row.key, entry->group);
    if (!record) {
      return std::unexpected(std::move(record.error()));
    }
    entry->inode = std::move(*record);
  }
  return std::move(*entry);
}

// Calls visit(row) for the rows from `first` on while it returns true.
template <class Visit>
Status walk(const ReadTxn& txn, Table table, std::string_view first, const Visit& visit) {
  auto cursor = Cursor::open(txn, table);
  if (!cursor) {
    return std::unexpected(std::move(cursor.error()));
  }
  for (auto got = cursor->seek(first);; got = cursor->next()) {
    if (!got) {
      return std::unexpected(std::move(got.error()));
    }
    const std::optional<KeyValue>& row = *got;
    if (!row) {
      return {};
    }
    const Result<bool> more = visit(*row);
    if (!more) {
      return std::unexpected(more.error());
    }
    if (!*more) {
      return {};
    }
  }
}

Result<bool> visit_entry(const ReadTxn& txn, const KeyValue& row,
                         const Reader::EntryVisitor& visit) {
  const auto parent = parent_of_key(row.key);
  const auto entry = read_entry(txn, row);
  if (!entry) {
    return std::unexpected(entry.error());
  }
  return visit(parent.value_or(kNoDir), *entry);
}

// Hash and entry key of a row of the content index; false when it is too short for both.
bool split_content_key(std::string_view key, Digest& hash, std::string_view& entry_key) {
  if (key.size() < kDigestBytes) {
    return false;
  }
  std::transform(key.begin(), key.begin() + kDigestBytes, hash.bytes.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  entry_key = key.substr(kDigestBytes);
  return parent_of_key(entry_key).has_value();
}

}  // namespace

Result<std::optional<Entry>> Reader::find_entry(DirId parent, std::string_view name) const {
  auto found = find_by_key(entry_key(parent, name));
  if (!found) {
    return found;
  }
  // Two long names may share a key in theory; the row then belongs to the other one.
  const std::optional<Entry>& entry = *found;
  if (entry && entry->name != name) {
    return std::optional<Entry>();
  }
  return found;
}

Result<std::optional<Entry>> Reader::find_by_key(std::string_view entry_key) const {
  const auto got = txn_->get(Table::kEntries, entry_key);
  if (!got) {
    return std::unexpected(got.error());
  }
  const std::optional<std::string_view>& value = *got;
  if (!value) {
    return std::optional<Entry>();
  }
  auto entry = read_entry(*txn_, KeyValue{entry_key, *value});
  if (!entry) {
    return std::unexpected(std::move(entry.error()));
  }
  return std::move(*entry);
}

Result<std::optional<Directory>> Reader::find_directory(DirId id) const {
  const std::string key = dir_key(id);
  const auto got = txn_->get(Table::kDirs, key);
  if (!got) {
    return std::unexpected(got.error());
  }
  const std::optional<std::string_view>& value = *got;
  if (!value) {
    return std::optional<Directory>();
  }
  auto directory = decode_directory(id, *value);
  if (!directory) {
    return damaged(Table::kDirs, key, kUnreadable);
  }
  return directory;
}

Result<std::optional<InodeRecord>> Reader::find_inode(InodeNo number) const {
  const std::string key = inode_key(number);
  const auto got = txn_->get(Table::kInodes, key);
  if (!got) {
    return std::unexpected(got.error());
  }
  const std::optional<std::string_view>& value = *got;
  if (!value) {
    return std::optional<InodeRecord>();
  }
  auto record = decode_inode(*value);
  if (!record || record->held_inode != number) {
    return damaged(Table::kInodes, key, kUnreadable);
  }
  return record;
}

Status Reader::for_each_entry(DirId parent, const EntryVisitor& visit) const {
  const std::string prefix = dir_key(parent);
  return walk(*txn_, Table::kEntries, prefix, [&](const KeyValue& row) -> Result<bool> {
    return row.key.starts_with(prefix) ? visit_entry(*txn_, row, visit) : false;
  });
}

Status Reader::for_each_entry_after(std::string_view after, const EntryVisitor& visit) const {
  // A copy: visitors keep the position where the view came from, and move it on.
  const std::string first(after);
  // The bare id of a directory is below all of its entries: a row with that key has no name.
  const bool was_entry = parent_of_key(first).has_value();
  return walk(*txn_, Table::kEntries, first, [&](const KeyValue& row) -> Result<bool> {
    return was_entry && row.key == first ? true : visit_entry(*txn_, row, visit);
  });
}

Result<std::uint64_t> Reader::count_entries(DirId parent) const {
  const std::string prefix = dir_key(parent);
  std::uint64_t count = 0;
  const Status walked =
      walk(*txn_, Table::kEntries, prefix, [&](const KeyValue& row) -> Result<bool> {
        const bool inside = row.key.starts_with(prefix);
        count += inside ? 1 : 0;
        return inside;
      });
  if (!walked) {
    return std::unexpected(walked.error());
  }
  return count;
}

Status Reader::for_each_directory(
    DirId first, const std::function<Result<bool>(const Directory&)>& visit) const {
  return walk(*txn_, Table::kDirs, dir_key(first), [&](const KeyValue& row) -> Result<bool> {
    const auto id = decode_u64_key(row.key);
    const auto directory =
        id ? decode_directory(DirId{*id}, row.value) : std::optional<Directory>();
    if (!directory) {
      return damaged(Table::kDirs, row.key, kUnreadable);
    }
    return visit(*directory);
  });
}

Status Reader::for_each_group(
    const std::function<Result<bool>(InodeNo, const InodeRecord&)>& visit) const {
  return walk(*txn_, Table::kInodes, {}, [&](const KeyValue& row) -> Result<bool> {
    const auto number = decode_u64_key(row.key);
    const auto record = number ? decode_inode(row.value) : std::optional<InodeRecord>();
    if (!record || record->held_inode != InodeNo{*number}) {
      return damaged(Table::kInodes, row.key, kUnreadable);
    }
    return visit(InodeNo{*number}, *record);
  });
}

Status Reader::for_each_problem(const std::function<Result<bool>(const Problem&)>& visit) const {
  return walk(*txn_, Table::kProblems, {}, [&](const KeyValue& row) -> Result<bool> {
    const auto problem = decode_problem(row.value);
    if (!problem) {
      return damaged(Table::kProblems, row.key, kUnreadable);
    }
    return visit(*problem);
  });
}

Result<std::vector<std::string>> Reader::components_of(DirId id) const {
  std::vector<std::string> components;
  while (id != kRootDir) {
    auto found = find_directory(id);
    if (!found) {
      return std::unexpected(std::move(found.error()));
    }
    std::optional<Directory>& directory = *found;
    if (!directory) {
      return damaged(Table::kDirs, dir_key(id), "there is no such directory");
    }
    // Ids fall on the way up (the decoder sees to it), so this ends; but not soon enough if a
    // damaged catalog makes it so.
    if (components.size() == kMaxDepth) {
      return damaged(Table::kDirs, dir_key(id), "the tree is too deep");
    }
    components.push_back(std::move(directory->name));
    id = directory->parent;
  }
  std::reverse(components.begin(), components.end());
  return components;
}

Result<std::string> Reader::path_of(DirId id) const {
  const auto components = components_of(id);
  if (!components) {
    return std::unexpected(components.error());
  }
  std::string path;
  for (const std::string& component : *components) {
    if (!path.empty()) {
      path += '/';
    }
    path += component;
  }
  return path;
}

Result<std::optional<Reader::Found>> Reader::find_path(
    const std::vector<std::string>& components) const {
  Found found;
  found.entry.kind = Entry::Kind::kDirectory;
  found.entry.directory = kRootDir;
  for (const std::string& component : components) {
    if (found.entry.kind != Entry::Kind::kDirectory) {
      return std::optional<Found>();
    }
    const DirId parent = found.entry.directory;
    auto got = find_entry(parent, component);
    if (!got) {
      return std::unexpected(std::move(got.error()));
    }
    std::optional<Entry>& entry = *got;
    if (!entry) {
      return std::optional<Found>();
    }
    found = Found{parent, std::move(*entry)};
  }
  return found;
}

Status Reader::for_each_with_hash(const Digest& hash, const EntryVisitor& visit) const {
  const std::string prefix = content_key(hash, {});
  return walk(*txn_, Table::kContent, prefix, [&](const KeyValue& row) -> Result<bool> {
    if (!row.key.starts_with(prefix)) {
      return false;
    }
    Digest found;
    std::string_view key;
    if (!split_content_key(row.key, found, key)) {
      return damaged(Table::kContent, row.key, kUnreadable);
    }
    const auto got = find_by_key(key);
    if (!got) {
      return std::unexpected(got.error());
    }
    const std::optional<Entry>& entry = *got;
    if (!entry) {
      return damaged(Table::kContent, row.key, "there is no such entry");
    }
    return visit(parent_of_key(key).value_or(kNoDir), *entry);
  });
}

Status Reader::for_each_content(
    const std::function<Result<bool>(const Digest&, DirId parent, std::string_view entry_key)>&
        visit) const {
  return walk(*txn_, Table::kContent, {}, [&](const KeyValue& row) -> Result<bool> {
    Digest hash;
    std::string_view key;
    if (!split_content_key(row.key, hash, key)) {
      return damaged(Table::kContent, row.key, kUnreadable);
    }
    return visit(hash, parent_of_key(key).value_or(kNoDir), key);
  });
}

Result<std::optional<std::string>> Reader::meta(std::string_view key) const {
  const auto got = txn_->get(Table::kMeta, key);
  if (!got) {
    return std::unexpected(got.error());
  }
  const std::optional<std::string_view>& value = *got;
  return value ? std::optional<std::string>(*value) : std::nullopt;
}

Result<std::optional<std::string>> Reader::owner_name(OwnerKind kind, std::uint32_t id) const {
  const std::string key = owner_key(kind, id);
  const auto got = txn_->get(Table::kOwners, key);
  if (!got) {
    return std::unexpected(got.error());
  }
  const std::optional<std::string_view>& value = *got;
  if (!value) {
    return std::optional<std::string>();
  }
  // What no line of a passwd file can hold is not an account's name.
  constexpr std::string_view forbidden("\0:\n", 3);
  if (value->empty() || value->find_first_of(forbidden) != std::string_view::npos) {
    return damaged(Table::kOwners, key, kUnreadable);
  }
  return std::optional<std::string>(*value);
}

std::string owner_key(Reader::OwnerKind kind, std::uint32_t id) {
  std::string key(1, static_cast<char>(kind));
  for (unsigned shift = 32; shift != 0; shift -= 8) {
    key += static_cast<char>((id >> (shift - 8)) & 0xffU);
  }
  return key;
}

}  // namespace holdfast::catalog
