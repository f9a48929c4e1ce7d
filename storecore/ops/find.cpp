#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/hash/hash_file.hpp"
#include "storecore/hash/mirror_dirs.hpp"
#include "storecore/link/copy_file.hpp"
#include "storecore/ops/catalog_walk.hpp"
#include "storecore/ops/followed.hpp"
#include "storecore/ops/listed.hpp"
#include "storecore/ops/moved_places.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::Digest;
using catalog::DirId;
using catalog::Entry;
using catalog::Fault;
using catalog::Result;
using catalog::Status;

namespace {

/// The file of --same-as, read once for all volumes.
struct Sample {
  Fd fd;
  HashedFile hashed;
};

Result<Sample> open_sample(const std::string& path) {
  // Looked at first: opening a FIFO or a device can do things.
  const auto stat = stat_path(path);
  if (!stat) return catalog::fail(Fault::kUsage, path, stat.error().message());
  if (!stat->is_regular()) return catalog::fail(Fault::kUsage, path, "not a regular file");
  Sample sample;
  sample.fd = Fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!sample.fd) return catalog::failed("open", path, catalog::last_error());
  auto hashed = FileHasher().hash(sample.fd.get());
  if (!hashed) return catalog::failed("read", path, hashed.error());
  sample.hashed = *hashed;
  return sample;
}

/// Does a held file have the bytes of the sample now? An equal hash alone proves nothing against
/// adversaries, and the file may have changed since it was hashed.
class SameContent {
 public:
  SameContent(const Store& store, const Sample& sample) : store_(&store), sample_(&sample) {}

  [[nodiscard]] Status open() {
    auto tree = store_->tree(std::make_shared<FdBudget>(FdBudget::default_size()));
    if (!tree) return std::unexpected(tree.error());
    dirs_.emplace(std::move(*tree));
    auto moved = MovedPlaces::load(*store_);
    if (!moved) return std::unexpected(moved.error());
    moved_ = std::move(*moved);
    return {};
  }

  [[nodiscard]] Result<bool> is_same(const catalog::Reader& reader, DirId parent,
                                     const Entry& entry) {
    const bool grouped = entry.kind == Entry::Kind::kGrouped;
    const std::uint64_t inode = catalog::raw(entry.inode.held_inode);
    if (const auto known = groups_.find(inode); grouped && known != groups_.end())
      return known->second;
    dirs_->trim(kKeptDirs);
    const auto dir = dirs_->find(reader, parent);
    if (!dir) return std::unexpected(dir.error());
    auto same = compare_in_mirror(**dir, entry);
    if (!same && moved_) {
      const auto place = moved_->find((*dir)->path_of(entry.name), entry.inode);
      if (place) same = compare(*place->dir, place->name, entry);
    }
    if (same && grouped) groups_.emplace(inode, *same);
    return same.value_or(false);
  }

 private:
  static constexpr std::size_t kKeptDirs = 16'384;

  [[nodiscard]] std::optional<bool> compare_in_mirror(DirNode& dir, const Entry& entry) const {
    const auto fd = dir.open();
    if (!fd) return std::nullopt;
    const auto same = compare(**fd, entry.name, entry);
    return same;
  }

  /// nullopt: the held file is not at this place, or cannot be read. verify says why.
  [[nodiscard]] std::optional<bool> compare(DirFd dir, const std::string& name,
                                            const Entry& entry) const {
    const auto is_held = [&](const catalog::SysResult<Stat>& stat) {
      return stat && stat->is_regular() && stat->inode == catalog::raw(entry.inode.held_inode) &&
             stat->device == store_->store_stat().device;
    };
    if (!is_held(stat_at(dir, name))) return std::nullopt;
    const auto file = open_file_at(dir, name.c_str());
    if (!file) return std::nullopt;
    const auto stat = stat_fd(file->get());
    if (!is_held(stat)) return std::nullopt;
    if (stat->same_inode(sample_->hashed.stat)) return true;
    if (stat->size != sample_->hashed.stat.size) return false;
    const auto same = same_content(sample_->fd.get(), file->get());
    return same ? std::optional(*same) : std::nullopt;
  }

  const Store* store_;
  const Sample* sample_;
  std::optional<MirrorDirs> dirs_;
  std::unique_ptr<MovedPlaces> moved_;  ///< null unless restore moved names out of the mirror
  std::unordered_map<std::uint64_t, bool>
      groups_;  ///< by held inode: names of one inode have one answer
};

/// One question put to one volume.
class Finder {
 public:
  Finder(const Store& store, const catalog::Reader& reader, const ListVisitor& visit,
         const RunContext& context)
      : store_(&store), reader_(&reader), visit_(&visit), context_(&context), paths_(reader) {}

  [[nodiscard]] Status by_name(std::string_view glob);
  [[nodiscard]] Status by_hash(const Digest& hash);
  [[nodiscard]] Status by_sample(const Sample& sample);
  /// @param group number of the last group so far; rises
  [[nodiscard]] Status duplicates(std::uint64_t& group);
  [[nodiscard]] bool wants_more() const noexcept { return wants_more_; }

 private:
  /// Whether to go on.
  [[nodiscard]] Result<bool> show(const std::string& path, const Entry& entry,
                                  std::optional<std::uint64_t> group = std::nullopt);
  [[nodiscard]] Result<bool> show(DirId parent, const Entry& entry,
                                  std::optional<std::uint64_t> group = std::nullopt);
  [[nodiscard]] Status check_index() const;

  const Store* store_;
  const catalog::Reader* reader_;
  const ListVisitor* visit_;
  const RunContext* context_;
  DirPaths paths_;
  bool wants_more_ = true;
};

Result<bool> Finder::show(const std::string& path, const Entry& entry,
                          std::optional<std::uint64_t> group) {
  auto listed = listed_entry(*reader_, store_->place().root, path, entry);
  if (!listed) return std::unexpected(listed.error());
  listed->group = group;
  wants_more_ = (*visit_)(*listed) && !context_->stopped();
  return wants_more_;
}

Result<bool> Finder::show(DirId parent, const Entry& entry, std::optional<std::uint64_t> group) {
  const auto path = paths_.path_of(parent, entry.name);
  if (!path) return std::unexpected(path.error());
  return show(std::string(*path), entry, group);
}

Status Finder::by_name(std::string_view glob) {
  return walk_catalog(*reader_, catalog::kRootDir, {},
                      [&](const std::string& path, const Entry& entry) -> Result<bool> {
                        if (!glob_match(glob, entry.name)) return !context_->stopped();
                        return show(path, entry);
                      });
}

/// The content index is made at the seal.
Status Finder::check_index() const {
  if (store_->record().catalog_bytes != 0) return {};
  return catalog::refused("not-sealed", store_->place().root,
                          "content can only be looked up in a sealed store",
                          "holdfast capture or holdfast seal finishes it");
}

Status Finder::by_hash(const Digest& hash) {
  if (auto sealed = check_index(); !sealed) return sealed;
  return reader_->for_each_with_hash(
      hash, [&](DirId parent, const Entry& entry) { return show(parent, entry); });
}

Status Finder::by_sample(const Sample& sample) {
  if (auto sealed = check_index(); !sealed) return sealed;
  SameContent content(*store_, sample);
  if (auto opened = content.open(); !opened) return opened;
  return reader_->for_each_with_hash(sample.hashed.digest,
                                     [&](DirId parent, const Entry& entry) -> Result<bool> {
                                       const auto same = content.is_same(*reader_, parent, entry);
                                       if (!same) return same;
                                       if (!*same) return !context_->stopped();
                                       return show(parent, entry);
                                     });
}

/// The index has names of equal content beside each other. Those of the first inode wait until a
/// second one shows that this is a group; from then on names go out as they come. So what waits is
/// never more than the names of one inode.
Status Finder::duplicates(std::uint64_t& group) {
  if (auto sealed = check_index(); !sealed) return sealed;
  struct Name {
    DirId parent{};
    Entry entry;
  };
  std::optional<Digest> current;
  std::vector<Name> waiting;
  bool is_group = false;
  return reader_->for_each_content(
      [&](const Digest& hash, DirId parent, std::string_view key) -> Result<bool> {
        auto entry = reader_->find_by_key(key);
        if (!entry) return std::unexpected(entry.error());
        if (!*entry)
          return catalog::fail(Fault::kCatalogBad, "catalog",
                               "the content index names an entry that is not there");
        if (current != hash) {
          current = hash;
          waiting.clear();
          is_group = false;
        }
        if (!is_group && !waiting.empty() &&
            waiting.front().entry.inode.source_inode != (*entry)->inode.source_inode) {
          is_group = true;
          ++group;
          for (const Name& name : std::exchange(waiting, {})) {
            const auto more = show(name.parent, name.entry, group);
            if (!more || !*more) return more;
          }
        }
        if (is_group) return show(parent, **entry, group);
        waiting.push_back({.parent = parent, .entry = std::move(**entry)});
        return !context_->stopped();
      });
}

}  // namespace

RunReport find(const Targets& targets, const FindOptions& options, const ListVisitor& visit,
               const RunContext& context) {
  std::optional<Result<Sample>> sample;
  if (options.same_as) sample = open_sample(*options.same_as);
  std::uint64_t group = 0;
  bool wants_more = true;
  const auto ask = [&](Finder& finder) -> Status {
    if (sample) return finder.by_sample(**sample);
    if (options.hash) return finder.by_hash(*options.hash);
    if (options.duplicates) return finder.duplicates(group);
    return finder.by_name(options.name.value_or("*"));
  };
  return for_each_followed_volume(
      targets, "find", in_calling_thread(context), [&](Session& session, const StorePlace& place) {
        if (sample && !*sample) return session.finish(std::unexpected(sample->error()), nullptr);
        return with_catalog(session, place,
                            [&](const Store& store, const catalog::Reader& reader) -> Status {
                              if (!wants_more) return {};
                              Finder finder(store, reader, visit, session.context());
                              Status status = ask(finder);
                              wants_more = finder.wants_more();
                              return status;
                            });
      });
}

}  // namespace holdfast::core
