#include "storecore/ops/adopt.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catalog/codec.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Entry;
using catalog::Status;
using catalog::Table;

namespace {

class Adoption {
 public:
  Adoption(Session& session, catalog::Writer& writer, std::uint64_t& next_dir)
      : session_(&session), writer_(&writer), next_dir_(&next_dir) {}
  [[nodiscard]] Status run(std::shared_ptr<DirNode> tree);

 private:
  struct Level {
    std::shared_ptr<DirNode> node;
    DirId id;
  };
  [[nodiscard]] Status visit(const Level& level);
  [[nodiscard]] Status name(const Level& level, const Fd& dir, const std::string& name);
  [[nodiscard]] Status adopt_directory(const Level& level, const std::string& name);
  [[nodiscard]] Status adopt_file(const Level& level, const Fd& dir, const std::string& name,
                                  const Stat& stat);

  Session* session_;
  catalog::Writer* writer_;
  std::uint64_t* next_dir_;
  std::vector<Level> todo_;
};

Status Adoption::adopt_directory(const Level& level, const std::string& name) {
  auto node = DirNode::child(level.node, name);
  const auto dir = node->open();
  if (!dir) return catalog::failed("openat", node->path(), dir.error());
  auto record = read_directory_record((*dir)->get());
  if (!record) return catalog::failed("getxattr", node->path(), record.error());
  const DirId id{(*next_dir_)++};
  const catalog::Directory row{
      .id = id, .parent = level.id, .name = name, .record = std::move(*record)};
  Entry entry;
  entry.kind = Entry::Kind::kDirectory;
  entry.name = name;
  entry.directory = id;
  if (auto put = writer_->put(Table::kDirs, catalog::dir_key(id), catalog::encode(row)); !put)
    return put;
  if (auto put =
          writer_->put(Table::kEntries, catalog::entry_key(level.id, name), catalog::encode(entry));
      !put)
    return put;
  todo_.push_back({.node = std::move(node), .id = id});
  return {};
}

Status Adoption::adopt_file(const Level& level, const Fd& dir, const std::string& name,
                            const Stat& stat) {
  catalog::InodeRecord record = make_record(stat);
  if (stat.is_symlink()) {
    auto target = readlink_at(dir, name.c_str());
    if (!target) return catalog::failed("readlinkat", level.node->path_of(name), target.error());
    record.link_target = std::move(*target);
  }
  Entry entry;
  entry.name = name;
  if (stat.links > 2) {
    entry.kind = Entry::Kind::kGrouped;
    entry.group = record.source_inode;
    if (auto put = writer_->put(Table::kInodes, catalog::inode_key(record.source_inode),
                                catalog::encode(record));
        !put)
      return put;
  } else {
    entry.inode = record;
  }
  return writer_->put(Table::kEntries, catalog::entry_key(level.id, name), catalog::encode(entry));
}

Status Adoption::name(const Level& level, const Fd& dir, const std::string& name) {
  auto txn = writer_->transaction();
  if (!txn) return std::unexpected(txn.error());
  const auto known = catalog::Reader(**txn).find_entry(level.id, name);
  if (!known) return std::unexpected(known.error());
  const auto stat = stat_at(dir, name);
  if (!stat) return catalog::failed("statx", level.node->path_of(name), stat.error());
  if (const auto& entry = *known; entry.has_value()) {
    if (entry->kind == Entry::Kind::kDirectory && stat->is_directory())
      todo_.push_back({.node = DirNode::child(level.node, name), .id = entry->directory});
    return {};
  }
  session_->note(fmt::format("adopted {}", level.node->path_of(name)));
  if (stat->is_directory()) return adopt_directory(level, name);
  if (!file_type(*stat)) return {};
  return adopt_file(level, dir, name, *stat);
}

Status Adoption::visit(const Level& level) {
  const auto dir = level.node->open();
  if (!dir) return catalog::failed("openat", level.node->path(), dir.error());
  DirReader listing;
  while (true) {
    const auto more = listing.fill((*dir)->get());
    if (!more) return catalog::failed("getdents64", level.node->path(), more.error());
    if (!*more) break;
    Dirent dirent;
    while (listing.next(dirent)) {
      if (auto status = name(level, **dir, std::string(dirent.view())); !status) return status;
    }
  }
  return {};
}

Status Adoption::run(std::shared_ptr<DirNode> tree) {
  todo_.push_back({.node = std::move(tree), .id = catalog::kRootDir});
  while (!todo_.empty()) {
    const Level level = std::move(todo_.back());
    todo_.pop_back();
    if (auto status = visit(level); !status) return status;
  }
  return writer_->commit();
}

}  // namespace

Status adopt_strays(Session& session, const Store& store, catalog::Writer& writer,
                    std::uint64_t& next_dir) {
  auto tree = store.tree(std::make_shared<FdBudget>(FdBudget::default_size()));
  if (!tree) return std::unexpected(tree.error());
  return Adoption(session, writer, next_dir).run(std::move(*tree));
}

}  // namespace holdfast::core
