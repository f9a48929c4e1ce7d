#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

/// What one wipe moves, written durably before it begins. Whoever goes on later moves only this: an
/// image that was put on meanwhile is not in it, and an inode number that is alive in aside/ cannot
/// be anybody else's.
struct WipePlan {
  struct Item {
    std::string path;  ///< relative to ROOT
    std::uint64_t inode = 0;
  };
  /// A directory that stays because something in it does; ROOT (empty path) is the first.
  struct Split {
    std::string path;
    std::uint64_t inode = 0;
    catalog::DirectoryRecord record;  ///< as it was: rollback gives it back
  };
  std::vector<Item> moves;
  std::vector<Split> splits;
  std::vector<Item> stays;  ///< --keep paths, mount points, subvolumes, lost+found
  /// Lines were lost to damage: what it does not name may be the old system's all the same.
  bool incomplete = false;

  /// True when @p path is one that stays or lies below one.
  [[nodiscard]] bool stays_there(std::string_view path) const;
  /// True when @p path is a split directory.
  [[nodiscard]] bool is_split(std::string_view path) const;
};

/// Looks at ROOT and decides. @p keep and @p borders are paths relative to ROOT, checked; nothing
/// is changed.
[[nodiscard]] catalog::Result<WipePlan> make_wipe_plan(const Store& store,
                                                       const std::set<std::string>& keep,
                                                       const std::vector<std::string>& borders);
/// Durable when it returns.
[[nodiscard]] catalog::Status save_wipe_plan(const Store& store, std::uint32_t number,
                                             const WipePlan& plan);
/// Takes one line of a saved plan, but for its end. False: not a line that save_wipe_plan() writes.
[[nodiscard]] bool add_plan_line(std::string_view line, WipePlan& plan);
/// kCatalogBad when damaged or missing.
[[nodiscard]] catalog::Result<WipePlan> load_wipe_plan(const Store& store, std::uint32_t number);

/// For repair: makes a plan that cannot be read readable again. Lines that are whole stay; what
/// lies in aside/N and has no line gets one, so that rollback can bring it back. When these are not
/// all that were lost, as the end of the plan tells, it is marked incomplete: rollback and wipe
/// --again, which take what it does not name for an image's, refuse then. False: the plan is sound.
[[nodiscard]] catalog::Result<bool> mend_wipe_plan(const Store& store, std::uint32_t number);
/// kRefused "plan-incomplete" for such a plan.
[[nodiscard]] catalog::Status check_complete(const Store& store, const WipePlan& plan);

/// The directory that holds @p path's last component, below @p top.
[[nodiscard]] catalog::SysResult<Fd> open_parent(DirFd top, std::string_view path);
/// True for the answers that mean that nothing stands at a path. All others say that nobody knows.
[[nodiscard]] bool is_absent(std::error_code error) noexcept;
/// What stands at @p path below @p top; nullopt when nothing does. What cannot be looked at is an
/// error: it must not pass for moved or gone.
[[nodiscard]] catalog::Result<std::optional<Stat>> find_below(DirFd top, std::string_view path);
/// The last component.
[[nodiscard]] std::string last_component(std::string_view path);

}  // namespace holdfast::core
