#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/store/journal.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// One line of journal/flags.jsonl: what an inode had before it was changed.
struct FlagNote {
  bool is_mode = false;  ///< `value` is a mode, else inode flags
  std::uint64_t inode = 0;
  std::uint32_t value = 0;
  std::string path;  ///< relative to ROOT, to the mirror and to aside/
};
/// nullopt: not a line that FlagJournal writes.
[[nodiscard]] std::optional<FlagNote> parse_flag_note(std::string_view line);

/// Takes off what forbids one change, for as long as it needs: immutable and append-only flags, and
/// for ordinary users a directory's missing u+w.
///
/// Such an inode can be linked, renamed and unlinked under none of its names. What is cleared is
/// durable in the journal first (path, inode, flags), so that a crash in between is mended by the
/// next command. Thread-safe.
class FlagJournal {
 public:
  /// @p store must outlive the journal.
  explicit FlagJournal(Store& store) : store_(&store) {}

  /// Runs @p change with the flags of @p name in @p dir cleared, then sets them again on the same
  /// inode.
  /// @p path is relative to ROOT (and to the mirror): where recovery looks for the inode.
  /// The change's own error comes back as it is. An entry without such flags: just runs the change.
  [[nodiscard]] catalog::SysStatus with_cleared(DirFd dir, const std::string& name,
                                                std::string_view path,
                                                const std::function<catalog::SysStatus()>& change);
  /// Clears the flags and notes them, for good: the caller sets them again through recovery or
  /// discards them.
  [[nodiscard]] catalog::SysStatus clear_for_good(DirFd dir, const std::string& name,
                                                  std::string_view path);
  /// Takes project inheritance off an open directory: under it, nothing of another project can be
  /// renamed or linked in (EXDEV). Noted, and set again by recover() unless finish() came first.
  [[nodiscard]] catalog::SysStatus clear_inheritance(int dir, std::string_view path);
  /// Runs @p change with u+rwx added to directory @p name, which an ordinary user needs to move a
  /// directory of his own: its
  /// ".." changes with it. Anything but a directory of the caller's: just runs the change.
  [[nodiscard]] catalog::SysStatus with_writable(DirFd dir, const std::string& name,
                                                 std::string_view path,
                                                 const std::function<catalog::SysStatus()>& change);
  /// The run ended well: nothing is left cleared. If anything ever was, a barrier comes before the
  /// journal forgets it: what was set again must not be younger on the disk than that.
  [[nodiscard]] catalog::Status finish();

  /// Sets flags again that a crash left cleared: looks in ROOT, in the mirror and in aside/. Called
  /// by every command that takes the exclusive lock.
  [[nodiscard]] static catalog::Status recover(Store& store);

 private:
  [[nodiscard]] catalog::SysStatus note(std::string_view what, std::string_view path,
                                        std::uint64_t inode, std::uint32_t value);
  Store* store_;
  std::mutex mutex_;
  std::optional<Journal> journal_;
};

}  // namespace holdfast::core
