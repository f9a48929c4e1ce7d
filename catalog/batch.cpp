#include "catalog/batch.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "catalog/schema.hpp"

namespace holdfast::catalog {

// What a key lacks counts as zeros: keys that differ there only are compared in full.
Batch::Prefix Batch::prefix_of(std::string_view key) noexcept {
  Prefix prefix{};
  std::memcpy(prefix.data(), key.data(), std::min(key.size(), sizeof prefix));
  if constexpr (std::endian::native == std::endian::little) {
    for (std::uint64_t& word : prefix) {
      word = std::byteswap(word);
    }
  }
  return prefix;
}

void Batch::add(Action action, Table table, std::string_view key, std::string_view value) {
  rows_.push_back(Slot{.action = action,
                       .table = table,
                       .key_size = static_cast<std::uint32_t>(key.size()),
                       .value_size = static_cast<std::uint32_t>(value.size()),
                       .offset = bytes_.size(),
                       .prefix = prefix_of(key)});
  bytes_ += key;
  bytes_ += value;
}

void Batch::put(Table table, std::string_view key, std::string_view value) {
  add(Action::kPut, table, key, value);
}

void Batch::erase(Table table, std::string_view key) { add(Action::kErase, table, key, {}); }

void Batch::append(const Batch& other) {
  const std::size_t shift = bytes_.size();
  bytes_ += other.bytes_;
  for (Slot slot : other.rows_) {
    slot.offset += shift;
    rows_.push_back(slot);
  }
}

void Batch::sort() {
  const std::string_view all(bytes_);
  std::sort(rows_.begin(), rows_.end(), [all](const Slot& a, const Slot& b) {
    if (a.table != b.table) {
      return a.table < b.table;
    }
    if (a.prefix != b.prefix) {
      return a.prefix < b.prefix;
    }
    const int order = all.substr(a.offset, a.key_size).compare(all.substr(b.offset, b.key_size));
    return order != 0 ? order < 0 : a.offset < b.offset;  // what was added first comes first
  });
}

void Batch::clear() noexcept {
  rows_.clear();
  bytes_.clear();
}

}  // namespace holdfast::catalog
