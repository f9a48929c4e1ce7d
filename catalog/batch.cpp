#include "catalog/batch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "catalog/schema.hpp"

namespace holdfast::catalog {

void Batch::put(Table table, std::string_view key, std::string_view value) {
  rows_.push_back(Slot{Action::kPut, table, static_cast<std::uint32_t>(key.size()),
                       static_cast<std::uint32_t>(value.size()), bytes_.size()});
  bytes_ += key;
  bytes_ += value;
}

void Batch::erase(Table table, std::string_view key) {
  rows_.push_back(
      Slot{Action::kErase, table, static_cast<std::uint32_t>(key.size()), 0, bytes_.size()});
  bytes_ += key;
}

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
    const int order = all.substr(a.offset, a.key_size).compare(all.substr(b.offset, b.key_size));
    return order != 0 ? order < 0 : a.offset < b.offset;  // what was added first comes first
  });
}

void Batch::clear() noexcept {
  rows_.clear();
  bytes_.clear();
}

}  // namespace holdfast::catalog
