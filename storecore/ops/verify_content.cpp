#include "storecore/ops/verify_content.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "catalog/schema.hpp"
#include "storecore/hash/hash_pass.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/run/pool.hpp"

namespace holdfast::core {

using catalog::Entry;
using catalog::Held;
using catalog::InodeRecord;
using catalog::ProblemKind;
using catalog::Result;
using catalog::SysResult;
using Answer = HeldName::Answer;

namespace {

/// A writer's lease answers EAGAIN until it is broken; the kernel gives the holder up to 45 s by
/// default.
constexpr int kLeaseTries = 20;
constexpr std::chrono::milliseconds kLeaseWait{50};
/// Directories of restored places that are kept, as many as the windows keep of the mirror.
constexpr std::size_t kKeptDirs = 4 * WindowReader::kDirs;

bool is_first_name(const std::vector<WindowItem>& items, std::size_t i) {
  return i == 0 || !items[i].grouped || !items[i - 1].grouped ||
         items[i].record.held_inode != items[i - 1].record.held_inode;
}

}  // namespace

ContentPass::ContentPass(VerifyRun& run)
    : run_(&run),
      windows_(run.top.mirror, [&run](const Entry& entry) { return run.has_content(entry); }) {
  if (run.top.restored) restored_.emplace(run.top.restored);
}

Result<ContentPass::Window> ContentPass::read_next(const catalog::Reader& reader) {
  Window window;
  auto items = windows_.next(reader);
  if (!items) return std::unexpected(items.error());
  window.items = std::move(*items);
  if (!restored_) return window;
  restored_->trim(kKeptDirs);
  window.restored.reserve(window.items.size());
  for (const WindowItem& item : window.items) {
    auto dir = restored_->find(reader, catalog::parent_of_key(item.key).value_or(catalog::kNoDir));
    if (!dir) return std::unexpected(dir.error());
    window.restored.push_back(std::move(*dir));
  }
  return window;
}

void ContentPass::work() {
  auto txn = catalog::ReadTxn::begin(run_->env);
  if (!txn) return run_->errors.set(std::move(txn.error()));
  const catalog::Reader reader(*txn);
  auto window = read_next(reader);
  while (window && !window->items.empty() && run_->goes_on()) {
    Result<Window> next;
    const auto step = [&](std::size_t part) {
      if (part == 0) check(*window);
      if (part == 1) next = read_next(reader);
    };
    parallel_for(run_->context.jobs == 1 ? 1 : 2, 2, step);
    window = std::move(next);
  }
  if (!window) run_->errors.set(std::move(window.error()));
}

void ContentPass::check(const Window& window) {
  const std::vector<WindowItem>& items = window.items;
  std::atomic<std::size_t> next{0};
  constexpr std::size_t kTake = 16;
  const unsigned readers = reader_threads(run_->context);
  parallel_for(readers, readers, [&](std::size_t) {
    FileHasher hasher;
    while (true) {
      const std::size_t first = next.fetch_add(kTake, std::memory_order_relaxed);
      if (first >= items.size()) break;
      for (std::size_t i = first; i < std::min(first + kTake, items.size()); ++i) {
        if (!is_first_name(items, i)) continue;  // whoever has the first takes them all
        if (!run_->goes_on()) return;
        std::size_t last = i + 1;
        while (last < items.size() && !is_first_name(items, last)) ++last;
        check_inode(window, i, last, hasher);
      }
    }
  });
}

HeldName ContentPass::find(const Window& window, std::size_t i) const {
  const WindowItem& item = window.items[i];
  const HeldDir dir{.mirror = item.dir,
                    .restored = window.restored.empty() ? nullptr : window.restored[i]};
  HeldName held = run_->find(dir, item.name, item.record);
  item.dir->relax();
  if (dir.restored) dir.restored->relax();
  return held;
}

void ContentPass::check_inode(const Window& window, std::size_t first, std::size_t last,
                              FileHasher& hasher) {
  const InodeRecord& record = window.items[first].record;
  const bool more_names = window.items[first].grouped && record.names > last - first;
  std::optional<Verdict> verdict;
  if (more_names) verdict = recall(record, last - first);
  const bool recalled = verdict.has_value();
  for (std::size_t i = first; i < last; ++i) {
    const WindowItem& item = window.items[i];
    const HeldName held = find(window, i);
    if (held.answer == Answer::kNoDirectory && !is_shortage(held.cause))
      continue;  // counted with its directory
    run_->step();
    if (held.answer != Answer::kHere) {
      absent(item, held);
      continue;
    }
    if (!verdict) verdict = read(item, held, hasher);
    if (verdict) tell(item, *verdict);
  }
  if (more_names && verdict && !recalled) keep(record, last - first, *verdict);
}

void ContentPass::absent(const WindowItem& item, const HeldName& held) {
  std::string path = item.dir->path_of(item.name);
  if (held.answer == Answer::kOther)
    return run_->found(ProblemKind::kMissing, std::move(path), {}, {}, "another file has its name");
  if (held.answer == Answer::kGone)
    return run_->found(ProblemKind::kMissing, std::move(path), {}, {}, "gone from the store");
  run_->found(ProblemKind::kCorrupt, std::move(path), "statx", held.cause, {});
}

void ContentPass::tell(const WindowItem& item, const Verdict& verdict) {
  if (!verdict.problem) return run_->found_ok();
  run_->found(*verdict.problem, item.dir->path_of(item.name), verdict.cause ? "read" : "",
              verdict.cause, verdict.reason);
}

/// nullopt: this name went away meanwhile, and was listed; another name of the inode may still
/// answer.
std::optional<ContentPass::Verdict> ContentPass::read(const WindowItem& item, const HeldName& held,
                                                      FileHasher& hasher) {
  if (item.record.size == 0 && held.stat.size == 0)
    return judge(item.record, held.stat, catalog::digest_of({}));
  SysResult<HashedFile> hashed = hasher.hash(*held.dir, item.name.c_str());
  for (int attempt = 1;
       !hashed && hashed.error().value() == EAGAIN && attempt < kLeaseTries && run_->goes_on();
       ++attempt) {
    std::this_thread::sleep_for(kLeaseWait);
    hashed = hasher.hash(*held.dir, item.name.c_str());
  }
  if (!hashed) {
    const int error = hashed.error().value();
    if (is_gone(hashed.error()) || error == EINVAL) {
      run_->found(ProblemKind::kMissing, item.dir->path_of(item.name), {}, {},
                  "went away while it was read");
      return std::nullopt;
    }
    if (error == EAGAIN)
      return Verdict{ProblemKind::kModified, hashed.error(),
                     "a program that writes to it does not let go of it"};
    const std::string_view changed = changed_metadata(item.record, held.stat);
    if ((error == EACCES || error == EPERM) && !changed.empty())
      return Verdict{ProblemKind::kModified, hashed.error(), changed};
    return Verdict{ProblemKind::kCorrupt, hashed.error(), "its content cannot be read"};
  }
  run_->tally.hashed_files.fetch_add(1, std::memory_order_relaxed);
  run_->tally.hashed_bytes.fetch_add(hashed->bytes_read, std::memory_order_relaxed);
  run_->progress.bytes.fetch_add(hashed->bytes_read, std::memory_order_relaxed);
  if (!hashed->stat.same_inode(held.stat)) {
    run_->found(ProblemKind::kMissing, item.dir->path_of(item.name), {}, {},
                "another file has its name");
    return std::nullopt;
  }
  return judge(item.record, hashed->stat, hashed->digest);
}

ContentPass::Verdict ContentPass::judge(const InodeRecord& record, const Stat& stat,
                                        const catalog::Digest& hash) const {
  Verdict verdict;
  if (hash != record.hash || stat.size != record.size) {
    const bool written = was_written(record, stat);
    verdict.problem = written ? ProblemKind::kModified : ProblemKind::kCorrupt;
    verdict.reason =
        written ? "written to since capture" : "its content changed, and nobody wrote to it";
  } else if (const std::string_view what = changed_metadata(record, stat); !what.empty()) {
    verdict.problem = ProblemKind::kModified;
    verdict.reason = what;
  }
  return verdict;
}

/// Did somebody do it, or the disk? Times that moved say somebody. A ctime that we moved ourselves,
/// by giving the inode a second name at restore, says nothing. Of held copies only the content's
/// own times count: what is recorded as ctime is the original's.
bool ContentPass::was_written(const InodeRecord& record, const Stat& stat) const {
  if (stat.size != record.size || stat.mtime != record.mtime) return true;
  if (record.held != Held::kLink || stat.ctime == record.ctime) return false;
  const auto& ours = run_->store.record().own_changes;
  return std::ranges::none_of(ours, [&](const OwnChange& change) {
    return change.from <= stat.ctime && stat.ctime <= change.to;
  });
}

std::optional<ContentPass::Verdict> ContentPass::recall(const InodeRecord& record,
                                                        std::uint64_t names) {
  const std::lock_guard lock(kept_mutex_);
  const auto kept = kept_.find(catalog::raw(record.held_inode));
  if (kept == kept_.end()) return std::nullopt;
  const Verdict verdict = kept->second.verdict;
  if (kept->second.names_left <= names) {
    kept_.erase(kept);
  } else {
    kept->second.names_left -= names;
  }
  return verdict;
}

void ContentPass::keep(const InodeRecord& record, std::uint64_t names, const Verdict& verdict) {
  const std::lock_guard lock(kept_mutex_);
  kept_[catalog::raw(record.held_inode)] = {.verdict = verdict, .names_left = record.names - names};
}

}  // namespace holdfast::core
