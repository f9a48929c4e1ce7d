#include "storecore/ops/erase_rows.hpp"

#include <vector>

#include "catalog/batch.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "storecore/run/first_error.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::Table;

void erase_entry(const catalog::Reader& reader, DirId parent, const Entry& entry,
                 catalog::Batch& batch, FirstError& errors) {
  batch.erase(Table::kEntries, catalog::entry_key(parent, entry.name));
  if (entry.kind != Entry::Kind::kDirectory) return;
  std::vector<DirId> todo{entry.directory};
  while (!todo.empty()) {
    const DirId id = todo.back();
    todo.pop_back();
    batch.erase(Table::kDirs, catalog::dir_key(id));
    const auto status =
        reader.for_each_entry(id, [&](DirId, const Entry& below) -> catalog::Result<bool> {
          batch.erase(Table::kEntries, catalog::entry_key(id, below.name));
          if (below.kind == Entry::Kind::kDirectory) todo.push_back(below.directory);
          return true;
        });
    if (!status) return errors.set(status.error());
  }
}

}  // namespace holdfast::core
