#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalog/reader.hpp"
#include "catalog/records.hpp"
#include "storecore/hash/mirror_dirs.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

/// One catalogued name whose content is to be looked at.
struct WindowItem {
  std::string key;  ///< of the entries row
  std::string name;
  std::shared_ptr<DirNode> dir;  ///< where the name is
  bool grouped = false;
  catalog::InodeRecord record;
};

/// Cuts the catalog into windows of at most kItems entries (or kDirs directories) in key order,
/// each sorted by inode number.
///
/// Reading in inode order is what makes a cold pass fast (neighbouring inodes lie beside each
/// other); a window is as good as sorting everything, keeps memory flat at any size, and needs no
/// index from inode to name. One thread.
class WindowReader {
 public:
  static constexpr std::size_t kItems = 16'384;
  static constexpr std::size_t kDirs = 4'096;

  /// @p want chooses entries (directories never come).
  WindowReader(std::shared_ptr<DirNode> tree, std::function<bool(const catalog::Entry&)> want);
  /// The next window; empty at the end. @p reader may be a new one each time: the position is a
  /// key.
  [[nodiscard]] catalog::Result<std::vector<WindowItem>> next(const catalog::Reader& reader);

 private:
  MirrorDirs dirs_;
  std::function<bool(const catalog::Entry&)> want_;
  std::string position_;
  bool ended_ = false;
};

}  // namespace holdfast::core
