#include "storecore/ops/verify_run.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::Entry;
using catalog::FileType;
using catalog::HashState;
using catalog::Held;
using catalog::InodeRecord;
using catalog::ProblemKind;
using Answer = HeldName::Answer;

namespace {

HeldName look_in(DirNode& node, const std::string& name, const InodeRecord& record,
                 std::uint64_t device) {
  HeldName held;
  auto dir = node.open();
  if (!dir) {
    held.answer = Answer::kNoDirectory;
    held.cause = dir.error();
    return held;
  }
  const auto stat = stat_at(**dir, name);
  if (!stat) {
    held.answer = stat.error().value() == ENOENT ? Answer::kGone : Answer::kUnreadable;
    held.cause = stat.error();
    return held;
  }
  const bool same = file_type(*stat) == record.type &&
                    stat->inode == catalog::raw(record.held_inode) && stat->device == device;
  held.answer = same ? Answer::kHere : Answer::kOther;
  held.dir = std::move(*dir);
  held.name = name;
  held.stat = *stat;
  return held;
}

}  // namespace

bool VerifyRun::has_content(const Entry& entry) const noexcept {
  return full && entry.kind != Entry::Kind::kDirectory && entry.inode.type == FileType::kFile &&
         entry.inode.hash_state == HashState::kHashed;
}

HeldName VerifyRun::find(DirNode& dir, bool lost, const std::string& name,
                         const InodeRecord& record) const {
  HeldName held;
  held.answer = Answer::kNoDirectory;
  held.cause = std::make_error_code(std::errc::no_such_file_or_directory);
  if (!lost) held = look_in(dir, name, record, store.store_stat().device);
  if (moved == nullptr || held.answer == Answer::kHere || is_shortage(held.cause)) return held;
  if (auto place = moved->find(dir.path_of(name), record)) {
    held.answer = Answer::kHere;
    held.dir = std::move(place->dir);
    held.name = std::move(place->name);
    held.stat = place->stat;
  } else if (held.answer == Answer::kNoDirectory && moved->has_directory(dir.path())) {
    held.answer = Answer::kGone;
  }
  return held;
}

bool VerifyRun::goes_on() {
  if (context.stopped())
    errors.set(catalog::fail(catalog::Fault::kFailed, store.place().root, "interrupted",
                             "run the command again")
                   .error());
  return !errors.failed();
}

void VerifyRun::count(ProblemKind kind) {
  auto& count = kind == ProblemKind::kModified  ? tally.modified
                : kind == ProblemKind::kCorrupt ? tally.corrupt
                : kind == ProblemKind::kMissing ? tally.missing
                                                : tally.extra;
  count.fetch_add(1, std::memory_order_relaxed);
}

void VerifyRun::found(ProblemKind kind, std::string path, std::string_view operation,
                      std::error_code cause, std::string_view reason) {
  if (is_shortage(cause)) return errors.set(catalog::failed(operation, path, cause).error());
  count(kind);
  context.observer->problem(store.place().root, {.kind = kind,
                                                 .path = std::move(path),
                                                 .operation = std::string(operation),
                                                 .error_number = cause.value(),
                                                 .reason = std::string(reason)});
}

bool is_shortage(std::error_code error) noexcept {
  const int number = error.value();
  return number == ENOMEM || number == EMFILE || number == ENFILE;
}

bool is_gone(std::error_code error) noexcept {
  const int number = error.value();
  return number == ENOENT || number == ENOTDIR || number == ELOOP || number == ESTALE;
}

ProblemKind lost_kind(std::error_code error) noexcept {
  return is_gone(error) ? ProblemKind::kMissing : ProblemKind::kCorrupt;
}

std::string_view changed_metadata(const InodeRecord& record, const Stat& stat) noexcept {
  if (record.held != Held::kLink) return {};
  const bool owner = stat.uid != record.uid || stat.gid != record.gid;
  const bool mode = stat.mode != record.mode;
  if (owner && mode) return "owner and mode changed since capture";
  if (owner) return "owner changed since capture";
  if (mode) return "mode changed since capture";
  return {};
}

}  // namespace holdfast::core
