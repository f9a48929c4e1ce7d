#include "storecore/ops/verify_content.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/problem.hpp"
#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/hash/hash_file.hpp"
#include "storecore/hash/hash_pass.hpp"
#include "storecore/hash/window.hpp"
#include "storecore/ops/restore_check.hpp"
#include "storecore/ops/verify_run.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/run/pool.hpp"

namespace holdfast::core {

using catalog::Entry;
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

bool is_first_name(const std::vector<WindowItem>& items, std::size_t i) {
  return i == 0 || !items[i].grouped || !items[i - 1].grouped ||
         items[i].record.held_inode != items[i - 1].record.held_inode;
}

}  // namespace

ContentPass::ContentPass(VerifyRun& run)
    : run_(&run),
      windows_(run.tree, [&run](const Entry& entry) { return run.has_content(entry); }) {}

void ContentPass::work() {
  auto txn = catalog::ReadTxn::begin(run_->env);
  if (!txn) return run_->errors.set(std::move(txn.error()));
  const catalog::Reader reader(*txn);
  auto window = windows_.next(reader);
  while (window && !window->empty() && run_->goes_on()) {
    Result<Window> next;
    const auto step = [&](std::size_t part) {
      if (part == 0) check(*window);
      if (part == 1) next = windows_.next(reader);
    };
    parallel_for(run_->context.jobs == 1 ? 1 : 2, 2, step);
    window = std::move(next);
  }
  if (!window) run_->errors.set(std::move(window.error()));
}

void ContentPass::check(const Window& window) {
  std::atomic<std::size_t> next{0};
  constexpr std::size_t chunk = 16;
  const unsigned readers = reader_threads(run_->context);
  parallel_for(readers, readers, [&](std::size_t) {
    FileHasher hasher;
    while (true) {
      const std::size_t first = next.fetch_add(chunk, std::memory_order_relaxed);
      if (first >= window.size()) break;
      for (std::size_t i = first; i < std::min(first + chunk, window.size()); ++i) {
        if (!is_first_name(window, i)) continue;  // whoever has the first takes them all
        if (!run_->goes_on()) return;
        std::size_t last = i + 1;
        while (last < window.size() && !is_first_name(window, last)) ++last;
        check_inode(window, i, last, hasher);
      }
    }
  });
}

void ContentPass::check_inode(const Window& window, std::size_t first, std::size_t last,
                              FileHasher& hasher) {
  const InodeRecord& record = window[first].record;
  const bool more_names = window[first].grouped && record.names > last - first;
  std::optional<Verdict> verdict;
  if (more_names) verdict = recall(record, last - first);
  const bool recalled = verdict.has_value();
  for (std::size_t i = first; i < last; ++i) {
    const WindowItem& item = window[i];
    run_->step();
    std::optional<SysResult<HashedFile>> hashed;
    if (!verdict && record.size != 0) {
      hashed = hash_in_mirror(item, hasher);
      if (*hashed && is_as_recorded(record, **hashed)) {
        verdict = Verdict{};
        tell(item, *verdict);
        continue;
      }
    }
    const HeldName held = run_->find(*item.dir, false, item.name, record);
    if (held.answer != Answer::kHere) {
      absent(item, held);
      continue;
    }
    if (!verdict) verdict = read(item, held, hasher, std::move(hashed));
    if (verdict) tell(item, *verdict);
  }
  if (more_names && verdict && !recalled) keep(record, last - first, *verdict);
}

/// Opened, read, looked at once: for nearly all files there is nothing more to be done.
SysResult<HashedFile> ContentPass::hash_in_mirror(const WindowItem& item, FileHasher& hasher) {
  const auto dir = item.dir->open();
  if (!dir) return std::unexpected(dir.error());
  auto hashed = hasher.hash_once(**dir, item.name.c_str(), item.record.size);
  if (hashed) count_read(hashed->bytes_read);
  return hashed;
}

/// Content with the recorded hash is the captured one, whoever writes meanwhile.
bool ContentPass::is_as_recorded(const InodeRecord& record, const HashedFile& file) const {
  const Stat& stat = file.stat;
  return file.digest == record.hash && stat.inode == catalog::raw(record.held_inode) &&
         stat.size == record.size && stat.device == run_->store.store_stat().device &&
         changed_metadata(record, stat).empty();
}

void ContentPass::count_read(std::uint64_t bytes) {
  run_->tally.hashed_files.fetch_add(1, std::memory_order_relaxed);
  run_->tally.hashed_bytes.fetch_add(bytes, std::memory_order_relaxed);
  run_->progress.bytes.fetch_add(bytes, std::memory_order_relaxed);
}

void ContentPass::absent(const WindowItem& item, const HeldName& held) {
  if (held.answer == Answer::kNoDirectory && !is_shortage(held.cause))
    return run_->count(lost_kind(held.cause));  // the names pass lists the directory
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
/// answer. @p first is what the mirror's name gave: it is not read again to give something else.
std::optional<ContentPass::Verdict> ContentPass::read(const WindowItem& item, const HeldName& held,
                                                      FileHasher& hasher,
                                                      std::optional<SysResult<HashedFile>> first) {
  if (item.record.size == 0 && held.stat.size == 0)
    return judge(item.record, held.stat, catalog::digest_of({}));
  const auto read_held = [&] {
    auto again = hasher.hash_once(*held.dir, held.name.c_str(), item.record.size);
    if (again) count_read(again->bytes_read);
    return again;
  };
  // Restore may have moved it elsewhere, or another file had the name by then.
  const bool of_held =
      first && (*first ? (*first)->stat.same_inode(held.stat) : !is_gone(first->error()));
  SysResult<HashedFile> hashed = of_held ? std::move(*first) : read_held();
  for (int attempt = 1;
       !hashed && hashed.error().value() == EAGAIN && attempt < kLeaseTries && run_->goes_on();
       ++attempt) {
    std::this_thread::sleep_for(kLeaseWait);
    hashed = read_held();
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
    const ContentVerdict content = judge_content(run_->store, record, stat);
    verdict.problem = content.kind;
    verdict.reason = content.reason;
  } else if (const std::string_view what = changed_metadata(record, stat); !what.empty()) {
    verdict.problem = ProblemKind::kModified;
    verdict.reason = what;
  }
  return verdict;
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
