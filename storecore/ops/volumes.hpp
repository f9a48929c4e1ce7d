#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/mounts.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/store.hpp"

/// Volumes that belong together, and where they are mounted today.
namespace holdfast::core {

/// What others need to find this store's ROOT again, wherever its volume is mounted.
[[nodiscard]] catalog::Result<TiedVolume> describe_volume(const Store& store);

/// The absolute path of a tied volume's ROOT now; nullopt when it is not mounted. @p hints are
/// --volume UUID=DIR.
[[nodiscard]] std::optional<std::string> find_volume(
    const TiedVolume& tied, const std::vector<Mount>& mounts,
    const std::map<std::string, std::string>& hints);

/// What a walk did not enter, for people: type and size of what is mounted there, or that it is a
/// subvolume or a read-only snapshot. @p fd is the directory at the border.
[[nodiscard]] std::string describe_border(int fd, const Stat& stat, bool subvolume);

/// False also where there are no subvolumes.
[[nodiscard]] bool is_read_only_subvolume(int fd) noexcept;

/// Fixed, real filesystems mounted below @p root, writable and not removable; absolute paths.
[[nodiscard]] catalog::Result<std::vector<std::string>> volumes_below(const std::string& root);

/// The selection as it looks from the directory @p components below its ROOT; nullopt when it wants
/// nothing there.
[[nodiscard]] std::optional<SelectionSpec> rebase_selection(
    const SelectionSpec& spec, const std::vector<std::string>& components);

/// The named ROOTs with the volumes tied to them, each once. Absent ones come back as reports of
/// their own (exit 3).
struct FollowedTargets {
  std::vector<std::string> roots;
  std::vector<TiedVolume> absent;
};
[[nodiscard]] FollowedTargets follow_volumes(const std::vector<std::string>& roots,
                                             const std::optional<std::string>& store,
                                             const std::map<std::string, std::string>& hints);

}  // namespace holdfast::core
