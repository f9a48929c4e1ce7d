#include "storecore/store/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <boost/system/error_code.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/identity.hpp"
#include "storecore/os/path_error.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store_file.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Fault;
using catalog::refused;
using catalog::Result;
using catalog::Status;

namespace {

constexpr const char* kReadmeText =
    "This folder is a holdfast store: it keeps the files of this volume while the system around "
    "them is\n"
    "replaced. Do not delete it and do not format the volume.\n"
    "\n"
    "tree/    the captured files, at their old places, under their own names. They are the files "
    "themselves\n"
    "         (hard links): to get one out by hand, link or copy it (cp -al, cp -a) to where you "
    "want it.\n"
    "aside/   the old system, after a wipe, until it is discarded.\n"
    "manifest.xxh128   checksums: cd tree && xxh128sum -c ../manifest.xxh128\n"
    "manifest.jsonl    path, owner, mode, times and checksum of everything, one JSON object a "
    "line.\n"
    "\n"
    "If directories here refuse changes, holdfast made them immutable: chattr -R -i on the folder "
    "undoes it.\n"
    "With the program: holdfast status ROOT, holdfast restore ROOT, holdfast discard ROOT --yes;\n"
    "when something here is damaged: holdfast repair ROOT.\n";

constexpr std::array<const char*, 9> kDirs{layout::kTree,      layout::kCatalog, layout::kSelection,
                                           layout::kJournal,   layout::kAside,   layout::kDropped,
                                           layout::kDisplaced, layout::kFailed,  layout::kLog};

constexpr std::size_t kBallastBytes = 4U << 20;

std::string parent_of(const std::string& path) {
  return boost::filesystem::path(path).parent_path().string();
}
std::string name_of(const std::string& path) {
  return boost::filesystem::path(path).filename().string();
}

/// Unlike plain mount ids, never given out twice in one boot; 0 before Linux 6.8.
std::uint64_t unique_mount_id(int fd) noexcept {
#ifdef STATX_MNT_ID_UNIQUE
  constexpr unsigned mask = STATX_MNT_ID_UNIQUE;
#else
  constexpr unsigned mask = 0x4000U;
#endif
  struct statx stat{};
  if (statx(fd, "", AT_EMPTY_PATH, mask, &stat) != 0 || (stat.stx_mask & mask) == 0) return 0;
  return stat.stx_mnt_id;
}

std::string mount_stamp(int fd) { return fmt::format("{} {}", boot_id(), unique_mount_id(fd)); }

/// Text of the lock file: who holds it, since when.
std::string owner_text(std::string_view command) {
  return fmt::format("holdfast {}, pid {}, since {}\n", command, getpid(), utc_now());
}

bool try_lock(int fd, bool exclusive) noexcept {
  struct flock range{};
  range.l_type = static_cast<short>(exclusive ? F_WRLCK : F_RDLCK);
  range.l_whence = SEEK_SET;
  return fcntl(fd, F_OFD_SETLK, &range) == 0;
}

Status mark_store(DirFd dir, std::string_view capture_id) {
  const char* name = geteuid() == 0 ? layout::kMarkXattr : layout::kMarkXattrUser;
  if (fsetxattr(dir.fd, name, capture_id.data(), capture_id.size(), 0) != 0 && errno != ENOTSUP)
    return failed("fsetxattr", layout::kStore, catalog::last_error());
  return {};
}

/// Written anew: what an interrupted run left of it may be a part.
Status write_new(DirFd dir, const char* name, std::string_view text) {
  auto fd = open_at(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) return failed("openat", name, fd.error());
  if (auto written = write_all(fd->get(), text); !written)
    return failed("write", name, written.error());
  return {};
}

/// A path of the command line that leads nowhere is the caller's mistake, unless the system failed.
std::unexpected<catalog::Error> unresolved(const std::string& path,
                                           const boost::system::error_code& error,
                                           std::string_view hint) {
  const std::error_code cause(error.value(), std::generic_category());
  if (is_callers_mistake(cause)) return catalog::fail(Fault::kUsage, path, error.message(), hint);
  return failed("realpath", path, cause);
}

}  // namespace

std::string utc_now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), length};
}

catalog::Timestamp now() noexcept {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return {.seconds = time.tv_sec, .nanoseconds = static_cast<std::uint32_t>(time.tv_nsec)};
}

Result<StorePlace> resolve_place(const std::string& root, const std::optional<std::string>& store) {
  namespace fs = boost::filesystem;
  boost::system::error_code error;
  StorePlace place;
  place.root = fs::canonical(root, error).string();
  if (error) return unresolved(root, error, "ROOT is an existing directory");
  if (!fs::is_directory(place.root, error)) {
    if (error) return unresolved(root, error, {});
    return catalog::fail(Fault::kUsage, root, "not a directory");
  }
  if (!store) {
    place.store =
        place.root == "/" ? std::string("/") + layout::kStore : place.root + "/" + layout::kStore;
    return place;
  }
  // The store itself need not exist yet, the directory it is in must.
  const fs::path wanted = fs::absolute(*store).lexically_normal();
  const fs::path trimmed = wanted.filename_is_dot() ? wanted.parent_path() : wanted;
  const std::string parent = fs::canonical(trimmed.parent_path(), error).string();
  if (error) return unresolved(*store, error, {});
  place.store = (fs::path(parent) / trimmed.filename()).string();
  place.beside = true;
  return place;
}

Result<Store> Store::open_dirs(const StorePlace& place) {
  Store store;
  store.place_ = place;
  auto root = open_dir_path(place.root);
  if (!root) return failed("open", place.root, root.error());
  store.root_ = std::move(*root);
  const auto stat = stat_fd(store.root_.get());
  if (!stat) return failed("statx", place.root, stat.error());
  store.root_stat_ = *stat;
  return store;
}

Status Store::check_place(const Stat& parent) const {
  if (!parent.same_volume(root_stat_))
    return refused("other-volume", place_.store, "the store is on another volume than ROOT");
  const std::string inside = place_.root == "/" ? "/" : place_.root + "/";
  // At ROOT's top the store stays where it is; deeper, wipe would move what it lies in.
  if (place_.beside && place_.store.starts_with(inside) && parent_of(place_.store) != place_.root)
    return refused("store-in-the-way", place_.store,
                   "the store would lie inside something that wipe moves",
                   "put it at the top of ROOT, or outside of ROOT on the same mount");
  return {};
}

Status Store::check_owner() const {
  if (!store_stat_.same_volume(root_stat_))
    return refused("other-volume", place_.store, "the store is on another volume than ROOT");
  if (store_stat_.uid != geteuid())
    return refused(
        "foreign-store", place_.store,
        fmt::format("the store belongs to uid {}, not to the user who runs this", store_stat_.uid));
  if ((store_stat_.mode & 077U) != 0)
    return refused("open-store", place_.store,
                   fmt::format("the store's mode is {:04o}: others can reach it", store_stat_.mode),
                   "chmod 0700 it, and look at who has been in there");
  return {};
}

Result<Store> Store::open(const StorePlace& place, Access access, std::string_view command,
                          const RunContext& context) {
  auto store = open_locked(place, access, command, context);
  if (!store) return store;
  if (auto status = store->load_state(); !status) return std::unexpected(status.error());
  return store;
}

Result<Store> Store::open_for_repair(const StorePlace& place, std::string_view command,
                                     const RunContext& context) {
  auto store = open_locked(place, Access::kWrite, command, context);
  if (!store) return store;
  auto look = StateFile::look(store->dir_);
  if (!look) return std::unexpected(look.error());
  if (look->newer) {
    auto error =
        catalog::fail(Fault::kCatalogBad, layout::kState, "written by a newer version of holdfast",
                      "use the version of holdfast that wrote it, or a newer one");
    error.error().reason_code = "newer-format";
    return error;
  }
  if (!look->found) {
    const auto holds = store->holds_anything();
    if (!holds) return std::unexpected(holds.error());
    if (!*holds)
      return catalog::fail(Fault::kNoStore, place.root, "there is no store here",
                           "holdfast capture makes one");
  }
  if (look->record) store->record_ = std::move(*look->record);
  return store;
}

Status Store::replace_state(StoreRecord record) {
  for (unsigned number = 1; stat_at(dir_, layout::kState); ++number) {
    const std::string kept = fmt::format("{}.damaged-{}", layout::kState, number);
    const auto renamed = rename_no_replace(dir_, layout::kState, dir_, kept.c_str());
    if (!renamed && renamed.error().value() != EEXIST)
      return failed("renameat2", layout::kState, renamed.error());
  }
  if (auto made = StateFile::create(dir_, record); !made) return made;
  if (auto synced = fsync_fd(dir_.get()); !synced)
    return failed("fsync", layout::kStore, synced.error());
  record_ = std::move(record);
  return {};
}

std::string Store::marked_id() const {
  const char* name = geteuid() == 0 ? layout::kMarkXattr : layout::kMarkXattrUser;
  std::array<char, 64> id{};
  const ssize_t length = fgetxattr(dir_.get(), name, id.data(), id.size());
  return length > 0 ? std::string(id.data(), static_cast<std::size_t>(length)) : std::string();
}

Status Store::mend_dirs() {
  for (const char* name : kDirs) {
    if (auto fd = subdir(name, true); !fd) return std::unexpected(fd.error());
  }
  return {};
}

Result<Store> Store::open_locked(const StorePlace& place, Access access, std::string_view command,
                                 const RunContext& context) {
  auto store = open_dirs(place);
  if (!store) return store;
  auto parent = open_dir_path(parent_of(place.store));
  if (!parent) return failed("open", parent_of(place.store), parent.error());
  auto dir = open_dir_at(*parent, name_of(place.store).c_str());
  if (!dir && dir.error().value() == ENOENT)
    return catalog::fail(Fault::kNoStore, place.root, "there is no store here",
                         "holdfast capture makes one");
  if (!dir) return failed("openat", place.store, dir.error());
  store->dir_ = std::move(*dir);
  const auto stat = stat_fd(store->dir_.get());
  if (!stat) return failed("statx", place.store, stat.error());
  store->store_stat_ = *stat;
  if (auto status = store->check_owner(); !status) return std::unexpected(status.error());
  if (auto status = store->take_lock(access, command, context); !status)
    return std::unexpected(status.error());
  return store;
}

// A store whose making was cut short has empty directories and no state yet. Restored with `move`,
// one has an empty mirror and may still hold the whole old system.
Result<bool> Store::holds_anything() const {
  for (const char* name :
       {layout::kTree, layout::kAside, layout::kDropped, layout::kDisplaced, layout::kFailed}) {
    const auto dir = open_dir_at(dir_, name);
    if (!dir && dir.error().value() == ENOENT) continue;
    const int error = dir ? 0 : dir.error().value();
    if (error == ENOTDIR || error == ELOOP) return true;  // not one that was just begun
    if (!dir) return failed("openat", name, dir.error());
    DirReader reader;
    const auto filled = reader.fill(dir->get());
    if (!filled) return failed("getdents64", name, filled.error());
    Dirent entry;
    if (*filled && reader.next(entry)) return true;
  }
  const auto manifest = stat_at(dir_, layout::kManifest);
  if (!manifest && manifest.error().value() != ENOENT)
    return failed("statx", layout::kManifest, manifest.error());
  return manifest.has_value();
}

Status Store::load_state() {
  auto record = StateFile::load(dir_);
  if (record) {
    record_ = std::move(*record);
    return {};
  }
  if (record.error().fault != Fault::kNoStore) return std::unexpected(record.error());
  const auto holds = holds_anything();
  if (!holds) return std::unexpected(holds.error());
  if (*holds)
    return catalog::fail(Fault::kCatalogBad, place_.store,
                         "the store holds files, but its state file is gone");
  return std::unexpected(record.error());
}

Status Store::take_lock(Access access, std::string_view command, const RunContext& context) {
  if (access == Access::kPeek) return {};
  // A reader needs no more than to read: the volume may be mounted read-only.
  const bool exclusive = access == Access::kWrite;
  auto fd = open_store_file(dir_, layout::kLock, exclusive ? O_RDWR : O_RDONLY);
  if (!fd && fd.error().cause.value() == ENOENT)
    fd = open_store_file(dir_, layout::kLock, O_RDWR | O_CREAT, 0600);
  if (!fd) return std::unexpected(fd.error());
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(context.wait_lock_seconds);
  while (!try_lock(fd->get(), exclusive)) {
    if (errno != EAGAIN && errno != EACCES)
      return failed("fcntl", layout::kLock, catalog::last_error());
    if (context.stopped() || std::chrono::steady_clock::now() >= end) {
      const auto text = read_all(fd->get(), 4096);
      std::string who =
          text && !text->empty() ? text->substr(0, text->find('\n')) : "another process";
      return catalog::fail(Fault::kInUse, place_.store, fmt::format("in use by {}", who),
                           "--wait-lock SECONDS waits for it");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (exclusive) {
    // Only words for people: a full disk or a read-only one must not keep us from working.
    const std::string text = owner_text(command);
    if (ftruncate(fd->get(), 0) == 0) (void)pwrite_all(fd->get(), text, 0);
  }
  lock_ = std::move(*fd);
  return {};
}

Status Store::make_dirs() {
  for (const char* name : kDirs) {
    const auto made = mkdir_at(dir_, name, 0700);
    if (!made && made.error().value() != EEXIST) return failed("mkdirat", name, made.error());
    auto fd = open_dir_at(dir_, name);
    if (!fd) return failed("openat", name, fd.error());
    // Inherited ACLs would let others in, inherited project ids and flags would forbid links.
    const auto bare = write_xattrs(fd->get(), {});
    if (!bare) return failed("fsetxattr", name, bare.error());
    if (auto mode = chmod_fd(fd->get(), 0700); !mode) return failed("fchmod", name, mode.error());
  }
  return {};
}

Result<Store> Store::create(const StorePlace& place, StoreRecord record, std::string_view command,
                            const RunContext& context) {
  auto store = open_dirs(place);
  if (!store) return store;
  auto parent = open_dir_path(parent_of(place.store));
  if (!parent) return failed("open", parent_of(place.store), parent.error());
  const auto parent_before = stat_fd(parent->get());
  if (!parent_before) return failed("statx", place.root, parent_before.error());
  if (auto fits = store->check_place(*parent_before); !fits) return std::unexpected(fits.error());
  const std::string name = name_of(place.store);
  const auto made = mkdir_at(*parent, name.c_str(), 0700);
  if (!made && made.error().value() != EEXIST) return failed("mkdirat", place.store, made.error());
  auto dir = open_dir_at(*parent, name.c_str());
  if (!dir) return failed("openat", place.store, dir.error());
  store->dir_ = std::move(*dir);
  if (made) {
    const auto bare = write_xattrs(store->dir_.get(), {});
    if (!bare) return failed("fsetxattr", place.store, bare.error());
    if (auto mode = chmod_fd(store->dir_.get(), 0700); !mode)
      return failed("fchmod", place.store, mode.error());
    const auto flags = read_flags(store->dir_.get());
    if (flags && flags->project_id != 0) (void)write_project(store->dir_.get(), 0);
    if (flags && flags->flags != 0) (void)write_flags(store->dir_.get(), 0);
    // ROOT is captured too, with the times its owners gave it.
    (void)set_times_fd(parent->get(), parent_before->atime, parent_before->mtime);
  }
  const auto stat = stat_fd(store->dir_.get());
  if (!stat) return failed("statx", place.store, stat.error());
  store->store_stat_ = *stat;
  if (auto status = store->check_owner(); !status) return std::unexpected(status.error());
  if (auto status = store->take_lock(Access::kWrite, command, context); !status)
    return std::unexpected(status.error());
  if (auto status = store->load_state(); status || status.error().fault != Fault::kNoStore)
    return status ? catalog::fail(Fault::kInUse, place.store, "somebody made a store here just now")
                  : std::unexpected(status.error());
  if (auto status = store->make_dirs(); !status) return std::unexpected(status.error());
  // A first capture whose barrier failed left the note, and no state.
  if (auto status = store->check_barrier(); !status) return std::unexpected(status.error());
  if (auto status = mark_store(store->dir_, record.capture_id); !status)
    return std::unexpected(status.error());
  if (auto status = write_new(store->dir_, layout::kReadme, kReadmeText); !status)
    return std::unexpected(status.error());
  if (auto status = write_new(store->dir_, layout::kBallast, std::string(kBallastBytes, '\0'));
      !status)
    return std::unexpected(status.error());
  auto volume = identify_volume(store->root_);
  if (!volume) return std::unexpected(volume.error());
  const auto root_id = identify_dir(store->root_);
  const auto store_id = identify_dir(store->dir_);
  if (!root_id || !store_id) return failed("statx", place.root, catalog::last_error());
  record.volume = std::move(*volume);
  record.root = *root_id;
  record.store = *store_id;
  record.root_path = place.root;
  record.created_at = utc_now();
  // A state says that there is a store: what a store consists of must not come later to the disk.
  if (auto durable = store->barrier(); !durable) return std::unexpected(durable.error());
  if (auto status = StateFile::create(store->dir_, record); !status)
    return std::unexpected(status.error());
  store->record_ = std::move(record);
  return store;
}

Status Store::save() { return StateFile::save(dir_, record_); }

Status Store::enter(StoreState state) {
  record_.state = state;
  return save();
}

Result<Fd> Store::subdir(const char* name, bool make) const {
  auto fd = open_dir_at(dir_, name);
  if (!fd && make && fd.error().value() == ENOENT) {
    if (const auto made = mkdir_at(dir_, name, 0700); !made)
      return failed("mkdirat", name, made.error());
    fd = open_dir_at(dir_, name);
  }
  if (!fd) {
    auto error = not_opened(name, fd.error());
    // All of them were made with the store.
    if (fd.error().value() == ENOENT) error.error().fault = Fault::kCatalogBad;
    return error;
  }
  return std::move(*fd);
}

Result<std::shared_ptr<DirNode>> Store::tree(std::shared_ptr<FdBudget> budget) const {
  auto fd = subdir(layout::kTree);
  if (!fd) return std::unexpected(fd.error());
  return DirNode::root(std::move(*fd), std::move(budget));
}

Status Store::barrier() {
  if (barrier_failed_)
    return catalog::fail(Fault::kFailed, place_.root, "an earlier barrier failed on this mount");
  auto synced = syncfs_fd(dir_.get());
  const char* call = "syncfs";
  if (synced) {
    synced = fsync_fd(dir_.get());
    call = "fsync";
  }
  if (synced) return {};
  barrier_failed_ = true;
  note_failed_barrier();
  auto error = failed(call, place_.root, synced.error());
  error.error().hint =
      "the disk lost writes: unmount the volume, check it (fsck), mount it again and run the "
      "command again";
  return error;
}

void Store::note_failed_barrier() const noexcept {
  const auto journal = open_dir_at(dir_, layout::kJournal);
  if (!journal) return;
  const auto open = [&journal] {
    return open_at(*journal, layout::kJournalBarrier, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  };
  auto fd = open();
  if (!fd && fd.error().value() == EPERM) {  // the store is protected, and its journal immutable
    if (!set_immutable(journal->get(), false)) return;
    fd = open();
    (void)set_immutable(journal->get(), true);
  }
  if (fd) (void)write_all(fd->get(), mount_stamp(dir_.get()));  // no sync: one has just failed
}

void Store::free_ballast_if_full() const noexcept {
  const auto space = space_of(dir_.get());
  if (!space || space->free_bytes > 2 * kBallastBytes) return;
  // A full btrfs refuses to empty a file but lets go of one. In an immutable store it is the other
  // way round.
  if (unlink_at(dir_, layout::kBallast)) return;
  const auto fd = open_at(dir_, layout::kBallast, O_WRONLY);
  if (fd) (void)ftruncate(fd->get(), 0);
}

Status Store::check_barrier() const {
  const auto journal = subdir(layout::kJournal);
  if (!journal) return std::unexpected(journal.error());
  const auto fd = open_store_file(*journal, layout::kJournalBarrier, O_RDONLY);
  if (!fd && fd.error().cause.value() == ENOENT) return {};
  if (!fd) return std::unexpected(fd.error());
  const auto text = read_all(fd->get(), 4096);
  if (!text) return failed("read", layout::kJournalBarrier, text.error());
  if (*text == mount_stamp(dir_.get()))
    return refused("barrier-failed", place_.root,
                   "the disk lost writes while this volume was mounted",
                   "unmount the volume, check it (fsck), mount it again and run the command again");
  (void)unlink_at(*journal, layout::kJournalBarrier);
  return {};
}

Status Store::check_identity() const {
  const auto volume = identify_volume(root_);
  if (!volume) return std::unexpected(volume.error());
  const auto root_id = identify_dir(root_);
  const auto store_id = identify_dir(dir_);
  if (!root_id || !store_id) return failed("statx", place_.root, catalog::last_error());
  // As an ordinary user the UUID may be unknown on one of the two days.
  const bool same_uuid = volume->fs_uuid == record_.volume.fs_uuid || volume->fs_uuid.empty() ||
                         record_.volume.fs_uuid.empty();
  if (!same_uuid || volume->subvolume != record_.volume.subvolume || *root_id != record_.root ||
      *store_id != record_.store)
    return refused("other-identity", place_.root,
                   "this is not the volume, ROOT or store that was captured (a copy, or moved)",
                   "work on the volume on which capture ran");
  return {};
}

}  // namespace holdfast::core
