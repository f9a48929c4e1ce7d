#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/restore_build.hpp"
#include "storecore/ops/restore_dir.hpp"
#include "storecore/ops/restore_run.hpp"
#include "storecore/os/at_calls.hpp"

/// Files, symlinks and nodes at the destination.
///
/// The mirror's name is looked at first: nobody but us can touch it, so what is linked, renamed or
/// copied a moment later is what was looked at, and no second look at the destination is needed.
/// Nothing at the destination is touched before it is certain that the mirror has what shall take
/// its place.
namespace holdfast::core {

class RestorePlacer {
 public:
  RestorePlacer(RestoreRun& run, RestoreBuilder& builder) noexcept
      : run_(&run), builder_(&builder) {}

  /// Puts one entry into its place, under @p name, or says why not.
  void place(RestoreDir& dir, const catalog::Entry& entry, const std::string& name,
             const catalog::Reader& reader);
  /// Says what place() would do, and changes nothing.
  void look(RestoreDir& dir, const catalog::Entry& entry, const std::string& name,
            const catalog::Reader& reader);

 private:
  /// One entry and where it comes from and goes to.
  struct Item {
    RestoreDir& dir;
    const catalog::Entry& entry;
    const catalog::Reader& reader;
    std::string name;  ///< at the destination
    SharedFd mirror = nullptr;
    Stat held = {};
    SharedFd dest = nullptr;
  };
  [[nodiscard]] bool find_held(Item& item);
  void without_mirror(Item& item);
  [[nodiscard]] catalog::SysStatus give(Item& item);
  [[nodiscard]] catalog::SysStatus link(Item& item);
  [[nodiscard]] catalog::SysStatus copy(Item& item);
  [[nodiscard]] catalog::SysStatus copy_of_group(Item& item);
  [[nodiscard]] catalog::SysStatus copy_once(Item& item);
  [[nodiscard]] catalog::SysStatus remove_staged(Item& item, const std::string& staged);
  void remember_group(const Item& item);
  void count_group_name(const Item& item);
  void check_copy(Item& item, const catalog::Digest& hash);
  [[nodiscard]] bool is_in_place(Item& item, const Stat& existing);
  void settle(Item& item);
  void displace_and_give(Item& item, const Stat& existing);
  void give_beside(Item& item);
  [[nodiscard]] ConflictVerdict judge(const Item& item, const Stat& existing) const;
  void placed(Item& item, bool by_us);
  void not_given(Item& item, std::error_code cause);
  void keep_existing(Item& item, std::string_view reason);

  RestoreRun* run_;
  RestoreBuilder* builder_;
};

/// Tells of a setuid, setgid or capability file: an old program with privileges is back in the new
/// system.
void list_privileged_file(RestoreRun& run, DirFd dir, const std::string& name,
                          const catalog::InodeRecord& record, const std::string& path);

}  // namespace holdfast::core
