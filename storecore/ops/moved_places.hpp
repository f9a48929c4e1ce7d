#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/records.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// Where restores of mode `move` took names that the mirror does not have any more.
///
/// Asked by captured path, from any thread. Every note that covers the path is tried, the most
/// special first: several restores may have gone to several places. Users own these places, so
/// nothing is believed but type, device and inode. Directories are opened one component at a time
/// and kept for a while: who asks, asks for the next name of the same directory.
class MovedPlaces {
 public:
  /// nullptr when no restore moved anything. Destinations that are not mounted are left out.
  [[nodiscard]] static catalog::Result<std::unique_ptr<MovedPlaces>> load(const Store& store);

  struct Found {
    SharedFd dir;
    std::string name;  ///< may be another than the captured one
    Stat stat;
  };
  /// The recorded inode under @p path 's new name.
  [[nodiscard]] std::optional<Found> find(const std::string& path,
                                          const catalog::InodeRecord& record);
  [[nodiscard]] bool has_directory(const std::string& path);

 private:
  struct Target {
    std::size_t base = 0;  ///< index into bases_
    std::string into;
  };
  MovedPlaces() = default;
  void add(std::size_t base, const std::string& from, const std::string& into);
  /// Calls @p try_one with base and path there of every place that @p path may be at, until it says
  /// true.
  bool each_place(std::string_view path,
                  const std::function<bool(std::size_t base, const std::string& there)>& try_one);
  /// Null when there is no such directory.
  [[nodiscard]] SharedFd open(std::size_t base, const std::string& directory);

  std::uint64_t device_ = 0;
  std::vector<SharedFd> bases_;
  std::map<std::string, std::vector<Target>, std::less<>> targets_;  ///< by captured path
  std::mutex mutex_;
  std::unordered_map<std::string, SharedFd> open_;
};

}  // namespace holdfast::core
