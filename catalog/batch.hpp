#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/schema.hpp"

namespace holdfast::catalog {

/// Rows on their way to the writer, encoded by the threads that found them. One owner at a time.
class Batch {
 public:
  enum class Action : std::uint8_t { kPut, kErase };
  struct Row {
    Action action;
    Table table;
    std::string_view key;
    std::string_view value;
  };

  void put(Table table, std::string_view key, std::string_view value);
  void erase(Table table, std::string_view key);
  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
  /// Adds copies of @p other 's rows behind its own.
  void append(const Batch& other);
  /// Orders rows by table and key; rows of one key keep their order, so the outcome is the same.
  void sort();
  void clear() noexcept;

  /// Calls @p visit with every Row in the order in which they were added.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : rows_) {
      const std::string_view all(bytes_);
      visit(Row{slot.action, slot.table, all.substr(slot.offset, slot.key_size),
                all.substr(slot.offset + slot.key_size, slot.value_size)});
    }
  }

 private:
  /// The first bytes of a key decide nearly every comparison: a directory's id, and as much of a
  /// name.
  using Prefix = std::array<std::uint64_t, 2>;
  struct Slot {
    Action action;
    Table table;
    std::uint32_t key_size;
    std::uint32_t value_size;
    std::size_t offset;
    Prefix prefix;
  };
  [[nodiscard]] static Prefix prefix_of(std::string_view key) noexcept;
  void add(Action action, Table table, std::string_view key, std::string_view value);
  std::string bytes_;
  std::vector<Slot> rows_;
};

}  // namespace holdfast::catalog
