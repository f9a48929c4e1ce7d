#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "catalog/error.hpp"
#include "catalog/reader.hpp"
#include "storecore/ops/conflict.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

/// Directories at the destination.
///
/// A directory that the destination lacks is built under a staging name beside its place, 0700 and
/// ours, filled, given its captured metadata, and renamed: nobody sees a half-restored directory
/// under its own name, and an interrupted run knows its own work again (a directory with the wanted
/// name is never taken for one of ours). Only the topmost new directory needs that; what is inside
/// is built in place and finished bottom-up. A directory that is only on the way to something is
/// made when the first entry needs it, so that a restore of parts, or one that maps everything out
/// of it, leaves no empty shells.
namespace holdfast::core {

class RestoreBuilder {
 public:
  explicit RestoreBuilder(RestoreRun& run) noexcept : run_(&run) {}

  /// Finds out what has the directory's place and settles conflicts about it. Sets place and, when
  /// it is there, dest.
  void locate(RestoreDir& dir, RestorePass pass, const catalog::Reader& reader);
  /// The directory and all above it exist afterwards. False: they do not, and it was said why.
  [[nodiscard]] bool ensure(RestoreDir& dir);
  /// Mode move: renames the mirror's directory with all below it to its place. False: it has to be
  /// built.
  [[nodiscard]] bool move_whole(RestoreDir& dir);
  /// All below is done: metadata, and its own name.
  void finish(RestoreDir& dir);
  /// Gives a directory the captured record when it differs.
  void apply(RestoreDir& dir, const Fd& fd, bool flags_too);
  /// A directory's place and node, as tasks of its children may see them.
  struct Standing {
    RestoreDir::Place place;
    std::shared_ptr<DirNode> dest;
  };
  [[nodiscard]] static Standing standing(RestoreDir& dir);
  /// The first name "NAME (N)" that nobody has, or under which @p fits finds what is wanted;
  /// nullopt: too many.
  [[nodiscard]] std::optional<std::string> free_name_beside(
      const RestoreDir& dir, const std::string& name, DirFd dest, bool is_directory,
      const catalog::Reader& reader,
      const std::function<bool(const Stat&, const std::string&)>& fits);

 private:
  void take_existing(RestoreDir& dir, RestorePass pass, const Fd& parent, const Stat& stat,
                     bool fresh);
  void settle_occupied(RestoreDir& dir, RestorePass pass, const Fd& parent, const Stat& existing,
                       const catalog::Reader& reader);
  void stand_beside(RestoreDir& dir, RestorePass pass, const Fd& parent,
                    const catalog::Reader& reader);
  void block(RestoreDir& dir, RestorePass pass, std::string_view reason);
  [[nodiscard]] bool make(RestoreDir& dir);
  [[nodiscard]] catalog::SysStatus mark(const Fd& fd) const;
  void mark_unopened(const RestoreDir& dir) const;
  /// nullopt: the filesystem has no attributes.
  [[nodiscard]] std::optional<bool> carries_mark(const Fd& fd) const;
  [[nodiscard]] bool is_marked(const Fd& fd) const;
  [[nodiscard]] catalog::SysResult<Fd> make_new_staging(const Fd& parent,
                                                        const std::string& staging) const;
  [[nodiscard]] bool make_staged(RestoreDir& dir, const Fd& parent);
  [[nodiscard]] bool make_inside(RestoreDir& dir, const Fd& parent);
  void put_in_place(RestoreDir& dir, const Fd& fd);
  [[nodiscard]] bool keeps_own_record(const RestoreDir& dir) const;
  void make_writable(const RestoreDir& dir, const Fd& parent, const std::string& name);

  RestoreRun* run_;
};

/// How an undecided symlink on the way is best answered: "--map bin=usr/bin restores it there", or
/// empty.
[[nodiscard]] std::string map_hint(DirFd dir, const std::string& name, const RestoreDir& claim);

/// Of a directory whose flags are given back, or given up, later. What fails shows at the first
/// change.
void clear_blocking_flags(int fd);

/// Gives what an interrupted run built under @p staging in @p parent back to the mirror, because a
/// directory with the wanted name has come meanwhile and the two must be merged. In mode move these
/// may be the only names.
[[nodiscard]] catalog::Status dissolve_staging(RestoreRun& run, const Fd& parent,
                                               const std::string& staging, const RestoreDir& dir);

}  // namespace holdfast::core
