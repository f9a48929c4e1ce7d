#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/ids.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"

/// Records with every field in use, and a directory of their own for tests that need files.
namespace holdfast::catalog::testing {

[[nodiscard]] Digest digest_of_text(std::string_view text);

[[nodiscard]] InodeRecord sample_file();
[[nodiscard]] InodeRecord sample_copy();
[[nodiscard]] InodeRecord sample_symlink();
[[nodiscard]] InodeRecord sample_device();
/// All of the above and a few corner values.
[[nodiscard]] std::vector<InodeRecord> sample_inodes();

[[nodiscard]] Directory sample_root();
[[nodiscard]] Directory sample_directory();
[[nodiscard]] Problem sample_problem();

[[nodiscard]] Entry inline_entry(std::string_view name, const InodeRecord& record);
[[nodiscard]] Entry grouped_entry(std::string_view name, InodeNo group);
[[nodiscard]] Entry directory_entry(std::string_view name, DirId directory);

/// A fresh directory, removed with its files at the end.
class TempDirectory {
 public:
  TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory();
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string file(std::string_view name) const;
  /// Names in it, without "." and "..".
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace holdfast::catalog::testing
