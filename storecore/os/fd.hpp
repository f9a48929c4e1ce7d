#pragma once

#include <utility>

namespace holdfast::core {

/// Owns one file descriptor; closes it on destruction. Close errors of files that were written are
/// found by fsync before, never by close.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// A borrowed directory descriptor. Whoever passes it keeps it open during the call.
struct DirFd {
  int fd = -1;
  DirFd() noexcept = default;
  explicit DirFd(int descriptor) noexcept : fd(descriptor) {}
  DirFd(const Fd& owner) noexcept : fd(owner.get()) {}  // implicit: borrowing is what it is for
};

/// Raises RLIMIT_NOFILE's soft limit to its hard limit and grows the descriptor table at once,
/// since growing it later stalls threads. Call before threads start.
/// @return the soft limit now in force
unsigned long raise_fd_limit() noexcept;

}  // namespace holdfast::core
