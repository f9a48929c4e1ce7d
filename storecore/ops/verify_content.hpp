#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "catalog/reader.hpp"
#include "storecore/hash/hash_file.hpp"
#include "storecore/hash/window.hpp"
#include "storecore/ops/verify_run.hpp"

namespace holdfast::core {

/// Reads every hashed regular file again and compares it with its record, each inode once.
///
/// In windows of inode order, as the hash pass does, and for its reasons: one is read while the
/// next is cut. Names of one inode are neighbours in a window; what was found for those that have
/// more names in later windows is kept until the last of them came.
class ContentPass {
 public:
  explicit ContentPass(VerifyRun& run);

  /// Errors are in the run's.
  void work();

 private:
  using Window = std::vector<WindowItem>;

  /// What is to be said of an inode's content.
  struct Verdict {
    std::optional<catalog::ProblemKind> problem;  ///< nullopt: as recorded
    std::error_code cause;
    std::string_view reason;
  };
  struct Kept {
    Verdict verdict;
    std::uint64_t names_left = 0;
  };

  void check(const Window& window);
  void check_inode(const Window& window, std::size_t first, std::size_t last, FileHasher& hasher);
  [[nodiscard]] catalog::SysResult<HashedFile> hash_in_mirror(const WindowItem& item,
                                                              FileHasher& hasher);
  [[nodiscard]] bool is_as_recorded(const catalog::InodeRecord& record,
                                    const HashedFile& file) const;
  void count_read(std::uint64_t bytes);
  void absent(const WindowItem& item, const HeldName& held);
  void tell(const WindowItem& item, const Verdict& verdict);
  [[nodiscard]] std::optional<Verdict> read(const WindowItem& item, const HeldName& held,
                                            FileHasher& hasher,
                                            std::optional<catalog::SysResult<HashedFile>> first);
  [[nodiscard]] Verdict judge(const catalog::InodeRecord& record, const Stat& stat,
                              const catalog::Digest& hash) const;
  [[nodiscard]] std::optional<Verdict> recall(const catalog::InodeRecord& record,
                                              std::uint64_t names);
  void keep(const catalog::InodeRecord& record, std::uint64_t names, const Verdict& verdict);

  VerifyRun* run_;
  WindowReader windows_;
  std::mutex kept_mutex_;
  std::unordered_map<std::uint64_t, Kept> kept_;  ///< by held inode
};

}  // namespace holdfast::core
