#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storecore/os/fd.hpp"

namespace holdfast::test {

/// Runs a program found in PATH and waits for it.
/// @param input   what it reads; its standard error is discarded
/// @param output  receives what it prints
/// @return its exit code; -1 when it could not be run or was killed
int run_program(const std::vector<std::string>& argv, std::string_view input = {},
                std::string* output = nullptr);

/// A new directory below TMPDIR (or /tmp), removed with all it holds when the test ends.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string path(std::string_view below) const;
  [[nodiscard]] core::DirFd fd() const noexcept { return core::DirFd(fd_); }

  /// Names are relative; their parents must exist.
  void dir(const std::string& name) const;
  void file(const std::string& name, std::string_view content = {}) const;
  void symlink(const std::string& target, const std::string& name) const;
  void fifo(const std::string& name) const;
  [[nodiscard]] std::string content(const std::string& name) const;

 private:
  std::string path_;
  core::Fd fd_;
};

/// Runs @p body in a forked child, so that what it does to its process (mounts, user, signals,
/// limits) ends with it. @p body returns what is wrong, or nothing.
/// @return what @p body returned; "killed by signal N" when it did not return
std::string in_child(const std::function<std::string()>& body);

/// In a child: mounts made from here on are seen by nobody else and end with the process.
/// False without CAP_SYS_ADMIN.
bool enter_private_mounts();

/// Makes a filesystem in the file "image" of @p tree. @p argv is its mkfs, without the path.
/// @return mkfs's exit code; -1 when it is not installed
int make_image(const TempDir& tree, std::vector<std::string> argv);
/// In a child: mounts "image" at "m", both in @p tree. False when the kernel has no such
/// filesystem.
bool mount_image(const TempDir& tree, const std::vector<std::string>& options);
/// To be called before the child ends: the daemon of a FUSE filesystem would keep the namespace
/// that keeps its mount.
void unmount_image(const TempDir& tree);

bool is_root() noexcept;

}  // namespace holdfast::test
