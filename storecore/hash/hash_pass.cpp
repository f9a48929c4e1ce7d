#include "storecore/hash/hash_pass.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "catalog/codec.hpp"
#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "storecore/hash/hash_file.hpp"
#include "storecore/hash/window.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/context.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/run/first_error.hpp"
#include "storecore/run/pool.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::Entry;
using catalog::Fault;
using catalog::FileType;
using catalog::HashState;
using catalog::Held;
using catalog::InodeRecord;
using catalog::ProblemKind;
using catalog::Result;
using catalog::Status;
using catalog::SysResult;
using catalog::Table;

namespace {

constexpr unsigned kDefaultReaders = 16;
/// So many files of a window are taken at once by one reader.
constexpr std::size_t kTake = 16;
/// A writer's lease answers EAGAIN until it is broken; the kernel gives the holder up to 45 s by
/// default.
constexpr int kLeaseTries = 20;
constexpr std::chrono::milliseconds kLeaseWait{50};

class Pass {
 public:
  Pass(const Store& store, const std::vector<KnownContent>& known, Progress& progress,
       const RunContext& context)
      : store_(&store), known_(&known), progress_(&progress), context_(&context) {}

  void settle_window(std::vector<WindowItem>& window);
  [[nodiscard]] Status write_window(const std::vector<WindowItem>& window, catalog::Writer& writer);
  [[nodiscard]] FirstError& errors() noexcept { return errors_; }
  [[nodiscard]] HashPassResult result() const {
    return {.hashed_files = files_,
            .hashed_bytes = bytes_,
            .unstable = unstable_,
            .unreadable = unreadable_};
  }

 private:
  void settle(WindowItem& item, FileHasher& hasher);
  void settle_file(WindowItem& item, DirFd dir, FileHasher& hasher);
  [[nodiscard]] bool settle_without_reading(WindowItem& item, const Stat& stat);
  [[nodiscard]] SysResult<HashedFile> hash_patiently(const WindowItem& item, DirFd dir,
                                                     FileHasher& hasher);
  void take(WindowItem& item, const Stat& stat, const catalog::Digest& hash, HashState state);
  void unreadable(WindowItem& item, std::error_code cause);
  void damage(const WindowItem& item, std::string_view reason);
  void not_found(const WindowItem& item, std::string_view operation, std::error_code cause,
                 std::string_view reason);
  void problem(ProblemKind kind, const WindowItem& item, std::error_code cause,
               std::string_view reason);

  const Store* store_;
  const std::vector<KnownContent>* known_;
  Progress* progress_;
  const RunContext* context_;
  FirstError errors_;
  std::atomic<std::uint64_t> files_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> unstable_{0};
  std::atomic<std::uint64_t> unreadable_{0};
  std::atomic<bool> expects_{true};  ///< rows say what the files are: see hash_patiently()
  std::mutex problems_mutex_;
  std::vector<catalog::Problem> problems_;
};

void Pass::problem(ProblemKind kind, const WindowItem& item, std::error_code cause,
                   std::string_view reason) {
  catalog::Problem problem{.kind = kind,
                           .path = item.dir->path_of(item.name),
                           .operation = cause ? "read" : "",
                           .error_number = cause.value(),
                           .reason = std::string(reason)};
  context_->observer->problem(store_->place().root, problem);
  const std::lock_guard lock(problems_mutex_);
  problems_.push_back(std::move(problem));
}

void Pass::damage(const WindowItem& item, std::string_view reason) {
  errors_.set(catalog::fail(Fault::kDamage, item.dir->path_of(item.name), reason).error());
}

void Pass::take(WindowItem& item, const Stat& stat, const catalog::Digest& hash, HashState state) {
  InodeRecord& record = item.record;
  record.hash = hash;
  record.hash_state = state;
  if (record.held != Held::kLink)
    return;  // what is recorded there is the source, which others can change
  record.size = stat.size;
  record.mtime = stat.mtime;
  record.ctime = stat.ctime;
  record.mode = stat.mode;
  record.uid = stat.uid;
  record.gid = stat.gid;
}

/// Damage if it is gone. A disk that does not answer, or a lack of descriptors, says nothing of
/// that.
void Pass::not_found(const WindowItem& item, std::string_view operation, std::error_code cause,
                     std::string_view reason) {
  const int error = cause.value();
  if (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ESTALE)
    return damage(item, reason);
  errors_.set(catalog::failed(operation, item.dir->path_of(item.name), cause).error());
}

/// Types without content, empty files, and content that is known.
bool Pass::settle_without_reading(WindowItem& item, const Stat& stat) {
  if (item.record.type != FileType::kFile) {
    take(item, stat, {}, HashState::kHashed);
    return true;
  }
  if (stat.size == 0) {
    take(item, stat, catalog::digest_of({}), HashState::kHashed);
    return true;
  }
  const auto known = std::ranges::lower_bound(*known_, stat.inode, {}, &KnownContent::inode);
  if (known == known_->end() || known->inode != stat.inode || item.record.held != Held::kLink)
    return false;
  // While pending, ctime is the one from before our own link.
  if (known->size != stat.size || known->mtime != stat.mtime || known->ctime != item.record.ctime ||
      item.record.mtime != stat.mtime)
    return false;
  take(item, stat, known->hash, HashState::kHashed);
  return true;
}

SysResult<HashedFile> Pass::hash_patiently(const WindowItem& item, DirFd dir, FileHasher& hasher) {
  // What was recorded when the link was made is a look at the file before it is read. Not for a
  // group, whose next name moved the ctime, and not in a refresh, which records the ctime from
  // before our link: one such row, and the others are not tried.
  const InodeRecord& record = item.record;
  if (!item.grouped && record.held == Held::kLink && expects_.load(std::memory_order_relaxed)) {
    auto hashed = hasher.hash_once(dir, item.name.c_str(), record.size);
    if (hashed && hashed->stable && hashed->stat.inode == catalog::raw(record.held_inode) &&
        hashed->stat.size == record.size && hashed->stat.mtime == record.mtime &&
        hashed->stat.ctime == record.ctime)
      return hashed;
    if (hashed) expects_.store(false, std::memory_order_relaxed);
  }
  for (int attempt = 1;; ++attempt) {
    auto hashed = hasher.hash(dir, item.name.c_str());
    if (hashed || hashed.error().value() != EAGAIN || attempt == kLeaseTries || context_->stopped())
      return hashed;
    std::this_thread::sleep_for(kLeaseWait);
  }
}

void Pass::unreadable(WindowItem& item, std::error_code cause) {
  item.record.hash_state = HashState::kUnstable;
  item.record.hash = {};
  const int error = cause.value();
  if (error == EACCES || error == EPERM || error == EAGAIN) {
    unstable_.fetch_add(1, std::memory_order_relaxed);
    problem(ProblemKind::kUnstable, item, cause, "held, but it could not be read to be hashed");
  } else {
    unreadable_.fetch_add(1, std::memory_order_relaxed);
    problem(ProblemKind::kMissed, item, cause, "held, but the disk does not give its content");
  }
}

void Pass::settle_file(WindowItem& item, DirFd dir, FileHasher& hasher) {
  const auto hashed = hash_patiently(item, dir, hasher);
  if (!hashed) {
    if (hashed.error().value() == ENOENT) return damage(item, "gone from the mirror");
    if (hashed.error().value() == ENOMEM || hashed.error().value() == EMFILE ||
        hashed.error().value() == ENFILE)
      return errors_.set(
          catalog::failed("read", item.dir->path_of(item.name), hashed.error()).error());
    return unreadable(item, hashed.error());
  }
  if (hashed->stat.inode != catalog::raw(item.record.held_inode))
    return damage(item, "another file has its name in the mirror");
  failpoint("file-hashed");
  files_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(hashed->bytes_read, std::memory_order_relaxed);
  progress_->bytes.fetch_add(hashed->bytes_read, std::memory_order_relaxed);
  take(item, hashed->stat, hashed->digest,
       hashed->stable ? HashState::kHashed : HashState::kUnstable);
  if (!hashed->stable) {
    unstable_.fetch_add(1, std::memory_order_relaxed);
    problem(ProblemKind::kUnstable, item, {}, "kept changing while it was hashed");
  }
}

void Pass::settle(WindowItem& item, FileHasher& hasher) {
  const auto dir = item.dir->open();
  if (!dir) return not_found(item, "openat", dir.error(), "its directory is gone from the mirror");
  const bool look_first =
      item.record.type != FileType::kFile || item.record.size == 0 || !known_->empty();
  if (look_first) {
    const auto stat = stat_at(**dir, item.name);
    if (!stat) return not_found(item, "statx", stat.error(), "gone from the mirror");
    if (stat->inode != catalog::raw(item.record.held_inode))
      return damage(item, "another file has its name in the mirror");
    if (!settle_without_reading(item, *stat)) settle_file(item, **dir, hasher);
  } else {
    settle_file(item, **dir, hasher);
  }
  progress_->files.fetch_add(1, std::memory_order_relaxed);
}

void Pass::settle_window(std::vector<WindowItem>& window) {
  // Names of one inode are neighbours: the first is read, and its row serves all.
  const auto same_as_before = [&](std::size_t i) {
    return i > 0 && window[i].grouped && window[i - 1].grouped &&
           window[i].record.held_inode == window[i - 1].record.held_inode;
  };
  std::atomic<std::size_t> next{0};
  const unsigned readers = reader_threads(*context_);
  parallel_for(readers, readers, [&](std::size_t) {
    FileHasher hasher;
    while (!errors_.failed() && !context_->stopped()) {
      const std::size_t first = next.fetch_add(kTake, std::memory_order_relaxed);
      if (first >= window.size()) break;
      const std::size_t last = std::min(first + kTake, window.size());
      for (std::size_t i = first; i < last; ++i) {
        if (!same_as_before(i)) settle(window[i], hasher);
      }
    }
  });
}

Status Pass::write_window(const std::vector<WindowItem>& window, catalog::Writer& writer) {
  for (const WindowItem& item : window) {
    if (item.record.hash_state == HashState::kPending) continue;  // a later name of a group
    Status put;
    if (item.grouped) {
      put = writer.put(Table::kInodes, catalog::inode_key(item.record.held_inode),
                       catalog::encode(item.record));
    } else {
      Entry entry;
      entry.kind = Entry::Kind::kInline;
      entry.name = item.name;
      entry.inode = item.record;
      put = writer.put(Table::kEntries, item.key, catalog::encode(entry));
    }
    if (!put) return put;
  }
  std::vector<catalog::Problem> found;
  {
    const std::lock_guard lock(problems_mutex_);
    found.swap(problems_);
  }
  for (const catalog::Problem& problem : found) {
    if (auto added = writer.add(problem); !added) return added;
  }
  return {};
}

}  // namespace

unsigned reader_threads(const RunContext& context) noexcept {
  if (context.io_depth != 0) return context.io_depth;
  return context.jobs == 1 ? 1 : std::max(context.jobs, kDefaultReaders);
}

Result<HashPassResult> hash_pending(const Store& store, catalog::Writer& writer,
                                    const std::vector<KnownContent>& known, Progress& progress,
                                    const RunContext& context) {
  auto tree = store.tree(std::make_shared<FdBudget>(FdBudget::default_size()));
  if (!tree) return std::unexpected(tree.error());
  WindowReader windows(
      *tree, [](const Entry& entry) { return entry.inode.hash_state == HashState::kPending; });
  Pass pass(store, known, progress, context);
  const auto read_next = [&]() -> Result<std::vector<WindowItem>> {
    auto txn = writer.transaction();
    if (!txn) return std::unexpected(txn.error());
    return windows.next(catalog::Reader(**txn));
  };
  // Three windows are on their way: one is read from the catalog, one is settled, one is written.
  std::vector<WindowItem> settled;
  const auto write_settled = [&]() -> Status {
    if (settled.empty()) return {};
    if (auto written = pass.write_window(settled, writer); !written) return written;
    settled.clear();
    failpoint("window-written");
    return {};
  };
  auto window = read_next();
  while (window && !window->empty()) {
    Status written;
    Result<std::vector<WindowItem>> next;
    const auto beside = [&] {
      written = write_settled();
      if (written) {
        next = read_next();
      } else {
        pass.errors().set(written.error());  // the readers need not go on
      }
    };
    if (context.jobs == 1) {
      beside();
      pass.settle_window(*window);
    } else {
      std::thread readers([&] { pass.settle_window(*window); });
      beside();
      readers.join();
    }
    if (!written) return std::unexpected(written.error());
    if (pass.errors().failed()) return std::unexpected(pass.errors().status().error());
    settled = std::move(*window);
    if (context.stopped()) {
      if (auto last = write_settled(); !last) return std::unexpected(last.error());
      (void)writer.commit();  // what is hashed need not be hashed again
      return catalog::fail(Fault::kFailed, store.place().root, "interrupted",
                           "run the command again to go on");
    }
    window = std::move(next);
  }
  if (!window) return std::unexpected(window.error());
  if (auto written = write_settled(); !written) return std::unexpected(written.error());
  return pass.result();
}

}  // namespace holdfast::core
