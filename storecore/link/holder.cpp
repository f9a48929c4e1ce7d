#include "storecore/link/holder.hpp"

#include <fcntl.h>

#include <cerrno>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/link/copy_file.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Held;
using catalog::Result;
using Answer = HoldResult::Answer;

namespace {

HoldResult missed(std::string_view operation, std::error_code cause, std::string_view reason = {}) {
  HoldResult result;
  result.answer = Answer::kMissed;
  result.operation = operation;
  result.cause = cause;
  result.reason = reason;
  return result;
}

HoldResult simple(Answer answer) {
  HoldResult result;
  result.answer = answer;
  return result;
}

}  // namespace

bool is_store_error(std::error_code error) noexcept {
  switch (error.value()) {
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EROFS:
    case ENOMEM:
    case ENFILE:
    case EMFILE:
    case ESTALE:
    case ENOTCONN:
    case EBADF:
      return true;
    default:
      return false;
  }
}

Result<HoldResult> Holder::look(DirFd mirror, const std::string& name, const EntryPath& path,
                                bool already) {
  const auto stat = stat_at(mirror, name);
  if (!stat) return failed("statx", path.text(), stat.error());
  HoldResult result;
  result.already = already;
  result.source = *stat;
  result.held_inode = stat->inode;
  result.answer = Answer::kHeld;
  if (!file_type(*stat)) {
    // A socket took the place between listing and linking; sockets are not captured.
    (void)unlink_at(mirror, name.c_str());
    result.answer = Answer::kSkipped;
  }
  return result;
}

Result<HoldResult> Holder::hold(DirFd from, const std::string& name, DirFd mirror,
                                const EntryPath& path) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    const auto linked = link_at(from, name.c_str(), mirror, name.c_str());
    if (linked) return look(mirror, name, path, false);
    if (linked.error().value() != EEXIST) return answer(linked.error(), from, name, mirror, path);
    const auto cleared = clear_way(from, name, mirror, path);
    if (!cleared) return std::unexpected(cleared.error());
    if (!*cleared) return look(mirror, name, path, true);
  }
  return missed("linkat", std::make_error_code(std::errc::resource_unavailable_try_again),
                "kept changing while it was linked");
}

/// The mirror has the name. False: it is this very inode. True: something else had it, and went to
/// dropped/.
Result<bool> Holder::clear_way(DirFd from, const std::string& name, DirFd mirror,
                               const EntryPath& path) {
  const auto there = stat_at(mirror, name);
  if (!there) {
    if (there.error().value() == ENOENT) return true;
    return failed("statx", path.text(), there.error());
  }
  const auto source = stat_at(from, name);
  if (source && source->same_inode(*there)) return false;
  if (auto taken = dropped_->take(mirror, name, path.text()); !taken)
    return std::unexpected(taken.error());
  return true;
}

Result<HoldResult> Holder::answer(std::error_code error, DirFd from, const std::string& name,
                                  DirFd mirror, const EntryPath& path) {
  switch (error.value()) {
    case ENOENT:
      return simple(Answer::kVanished);
    case EMLINK:
    case ERANGE:  // ntfs-3g's word for it
      return hold_copy(from, name, mirror, path);
    case EXDEV:
      return missed("linkat", error, "other mount, subvolume or project than the store");
    case EPERM: {
      const auto linked = flags_->with_cleared(from, name, path.text(), [&] {
        return link_at(from, name.c_str(), mirror, name.c_str());
      });
      if (linked) return look(mirror, name, path, false);
      if (is_store_error(linked.error())) return failed("linkat", path.text(), linked.error());
      return hold_node(from, name, mirror, path, linked.error());
    }
    default:
      if (is_store_error(error)) return failed("linkat", path.text(), error);
      return missed("linkat", error);
  }
}

/// EPERM without flags: the filesystem links no such type (made anew then), or
/// fs.protected_hardlinks forbids it.
Result<HoldResult> Holder::hold_node(DirFd from, const std::string& name, DirFd mirror,
                                     const EntryPath& path, std::error_code why) {
  const auto stat = stat_at(from, name);
  if (!stat)
    return stat.error().value() == ENOENT ? Result<HoldResult>(simple(Answer::kVanished))
                                          : missed("statx", stat.error());
  if (stat->is_directory() || stat->is_regular())
    return missed(
        "linkat", why,
        stat->is_regular() ? "not permitted: not the owner, or immutable" : "became a directory");
  const auto made = copy_node(from, name.c_str(), mirror, name.c_str());
  if (!made) {
    if (is_store_error(made.error())) return failed("mknodat", path.text(), made.error());
    return missed("linkat", why);
  }
  HoldResult result;
  result.answer = Answer::kHeld;
  result.how = Held::kNode;
  result.source = made->source;
  result.held_inode = made->made.inode;
  return result;
}

Result<HoldResult> Holder::hold_copy(DirFd from, const std::string& name, DirFd mirror,
                                     const EntryPath& path) {
  const auto stat = stat_at(from, name);
  if (!stat)
    return stat.error().value() == ENOENT ? Result<HoldResult>(simple(Answer::kVanished))
                                          : missed("statx", stat.error());
  if (!stat->is_regular()) return missed("linkat", std::make_error_code(std::errc::too_many_links));
  // One copy for the whole group: under the lock, so that two names of one inode do not make two.
  const std::lock_guard lock(copies_mutex_);
  if (const auto known = copies_.find(stat->inode); known != copies_.end()) {
    const auto linked =
        link_at(*known->second.dir, known->second.name.c_str(), mirror, name.c_str());
    if (linked) {
      HoldResult again = known->second.result;
      again.already = true;  // the copy is counted once
      return again;
    }
    if (linked.error().value() != EMLINK) return failed("linkat", path.text(), linked.error());
  }
  const std::string staged = "copy-" + std::to_string(stat->inode);
  (void)unlink_at(store_, staged.c_str());  // of an interrupted run
  auto how = Held::kReflink;
  auto done = copy_file(from, name.c_str(), store_, staged.c_str(), CopyHow::kReflink);
  if (!done && done.error().value() == EOPNOTSUPP) {
    how = Held::kCopy;
    done = copy_file(from, name.c_str(), store_, staged.c_str(), CopyHow::kCopy);
  }
  if (!done) {
    if (done.error().value() == ENOENT) return simple(Answer::kVanished);
    if (is_store_error(done.error())) return failed("copy", path.text(), done.error());
    return missed("copy", done.error(),
                  "has as many names as the filesystem allows, and could not be copied");
  }
  if (auto renamed = rename_no_replace(store_, staged.c_str(), mirror, name.c_str()); !renamed)
    return failed("renameat2", path.text(), renamed.error());
  HoldResult result;
  result.answer = Answer::kHeld;
  result.how = how;
  result.source = done->source;
  result.held_inode = done->made.inode;
  if (how == Held::kCopy && done->stable) result.hash = done->hash;
  auto dir = open_at(mirror, ".", O_RDONLY | O_DIRECTORY);
  if (dir) {
    copies_[stat->inode] =
        Copy{.result = result, .dir = std::make_shared<const Fd>(std::move(*dir)), .name = name};
  }
  return result;
}

}  // namespace holdfast::core
