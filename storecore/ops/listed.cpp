#include "storecore/ops/listed.hpp"

#include <cerrno>
#include <expected>
#include <functional>
#include <optional>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/catalog_file.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Entry;
using catalog::Fault;
using catalog::FileType;
using catalog::HashState;
using catalog::InodeRecord;
using catalog::Result;
using catalog::Status;

namespace {

ListedEntry listed_directory(const catalog::DirectoryRecord& record) {
  ListedEntry listed;
  listed.type = FileType::kDirectory;
  listed.mode = record.mode;
  listed.uid = record.uid;
  listed.gid = record.gid;
  listed.mtime = record.mtime;
  listed.inode = catalog::raw(record.inode);
  return listed;
}

ListedEntry listed_inode(const InodeRecord& record, bool grouped) {
  ListedEntry listed;
  listed.type = record.type;
  listed.mode = record.mode;
  listed.uid = record.uid;
  listed.gid = record.gid;
  listed.size = record.size;
  listed.mtime = record.mtime;
  listed.inode = catalog::raw(record.source_inode);
  listed.links = grouped ? record.names : 1;
  listed.held = record.held;
  if (record.type == FileType::kFile && record.hash_state == HashState::kHashed)
    listed.hash = record.hash;
  listed.link_target = record.link_target;
  return listed;
}

Result<catalog::Env> open_catalog(const Store& store) {
  if (store.record().catalog_bytes != 0)
    return open_sealed_catalog(store, CatalogCheck::kOncePerBoot);
  const auto dir = store.subdir(layout::kCatalog);
  if (!dir) return std::unexpected(dir.error());
  const auto data = stat_at(*dir, layout::kCatalogData);
  if (!data && data.error().value() == ENOENT)
    return catalog::fail(Fault::kNoStore, store.place().root, "there is no catalog yet",
                         "holdfast capture goes on");
  return catalog::Env::open(dir->get(), catalog::Env::Mode::kRead);
}

}  // namespace

Result<ListedEntry> listed_entry(const catalog::Reader& reader, const std::string& root,
                                 const std::string& path, const Entry& entry) {
  ListedEntry listed;
  if (entry.kind == Entry::Kind::kDirectory) {
    const auto row = reader.find_directory(entry.directory);
    if (!row) return std::unexpected(row.error());
    if (!*row) return catalog::fail(Fault::kCatalogBad, path, "a directory has no record");
    listed = listed_directory((*row)->record);
  } else {
    listed = listed_inode(entry.inode, entry.kind == Entry::Kind::kGrouped);
  }
  listed.root = root;
  listed.path = path;
  return listed;
}

VolumeReport with_catalog(Session& session, const StorePlace& place,
                          const std::function<Status(const Store&, const catalog::Reader&)>& body) {
  std::optional<Store> store;
  const auto work = [&]() -> Status {
    auto opened = Store::open(place, Store::Access::kRead, session.command(), session.context());
    if (!opened) return std::unexpected(opened.error());
    store = std::move(*opened);
    const auto env = open_catalog(*store);
    if (!env) return std::unexpected(env.error());
    const auto txn = catalog::ReadTxn::begin(*env);
    if (!txn) return std::unexpected(txn.error());
    return body(*store, catalog::Reader(*txn));
  };
  Status status = work();
  return session.finish(std::move(status), store ? &*store : nullptr);
}

RunContext in_calling_thread(const RunContext& context) {
  RunContext one = context;
  one.jobs = 1;
  return one;
}

}  // namespace holdfast::core
