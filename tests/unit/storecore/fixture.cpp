#include "fixture.hpp"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): POSIX, not C
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "storecore/os/fd.hpp"

namespace holdfast::test {
namespace {

using core::Fd;

[[noreturn]] void give_up(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string read_to_end(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 1; count > 0;) {
    count = ::read(fd, buffer.data(), buffer.size());
    if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

/// An unlinked file that holds @p text, at its begin: no pipe that both sides could wait at.
Fd scratch_file(std::string_view text) {
  Fd fd(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) give_up("O_TMPFILE");
  while (!text.empty()) {
    const ssize_t count = ::write(fd.get(), text.data(), text.size());
    if (count <= 0) give_up("write");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) give_up("waitpid");
  }
  return status;
}

}  // namespace

int run_program(const std::vector<std::string>& argv, std::string_view input, std::string* output) {
  const Fd in = scratch_file(input);
  const Fd out = scratch_file({});
  std::vector<std::string> copies = argv;
  std::vector<char*> pointers;
  pointers.reserve(copies.size() + 1);
  for (std::string& copy : copies) pointers.push_back(copy.data());
  pointers.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) give_up("fork");
  if (child == 0) {
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(in.get(), STDIN_FILENO);
    ::dup2(out.get(), STDOUT_FILENO);
    if (null >= 0) ::dup2(null, STDERR_FILENO);
    ::execvp(pointers[0], pointers.data());
    ::_exit(127);
  }
  const int status = wait_for(child);
  ::lseek(out.get(), 0, SEEK_SET);
  if (output != nullptr) *output = read_to_end(out.get());
  const bool ran = WIFEXITED(status) && WEXITSTATUS(status) != 127;
  return ran ? WEXITSTATUS(status) : -1;
}

TempDir::TempDir() {
  const char* base = ::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/holdfast-test-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) give_up("mkdtemp " + path_);
  fd_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd_) give_up("open " + path_);
}

TempDir::~TempDir() {
  // rm keeps no path and no descriptor for each level: trees here are deeper than either would
  // bear.
  run_program({"rm", "-rf", "--one-file-system", path_});
}

std::string TempDir::path(std::string_view below) const { return path_ + "/" + std::string(below); }

void TempDir::dir(const std::string& name) const {
  if (::mkdirat(fd_.get(), name.c_str(), 0755) != 0) give_up("mkdir " + name);
}

void TempDir::file(const std::string& name, std::string_view content) const {
  const Fd fd(::openat(fd_.get(), name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) give_up("create " + name);
  const ssize_t count = ::write(fd.get(), content.data(), content.size());
  if (count < 0 || static_cast<std::size_t>(count) != content.size()) give_up("write " + name);
}

void TempDir::symlink(const std::string& target, const std::string& name) const {
  if (::symlinkat(target.c_str(), fd_.get(), name.c_str()) != 0) give_up("symlink " + name);
}

void TempDir::fifo(const std::string& name) const {
  if (::mkfifoat(fd_.get(), name.c_str(), 0644) != 0) give_up("mkfifo " + name);
}

std::string TempDir::content(const std::string& name) const {
  const Fd fd(::openat(fd_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) give_up("open " + name);
  return read_to_end(fd.get());
}

std::string in_child(const std::function<std::string()>& body) {
  const Fd answer = scratch_file({});
  const pid_t child = ::fork();
  if (child < 0) give_up("fork");
  if (child == 0) {
    std::string text;
    try {
      text = body();
    } catch (const std::exception& error) {
      text = error.what();
    }
    const bool told = ::write(answer.get(), text.data(), text.size()) >= 0;
    ::_exit(told ? 0 : 1);
  }
  const int status = wait_for(child);
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return "exit code " + std::to_string(WEXITSTATUS(status));
  ::lseek(answer.get(), 0, SEEK_SET);
  return read_to_end(answer.get());
}

bool enter_private_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

int make_image(const TempDir& tree, std::vector<std::string> argv) {
  constexpr off_t image_bytes = 512L << 20;  // sparse; mkfs.xfs wants 300 MiB
  tree.dir("m");
  tree.file("image");
  if (::truncate(tree.path("image").c_str(), image_bytes) != 0) give_up("truncate");
  argv.push_back(tree.path("image"));
  return run_program(argv);
}

bool mount_image(const TempDir& tree, const std::vector<std::string>& options) {
  std::vector<std::string> argv{"mount"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(tree.path("image"));
  argv.push_back(tree.path("m"));
  return run_program(argv) == 0;
}

void unmount_image(const TempDir& tree) { ::umount2(tree.path("m").c_str(), MNT_DETACH); }

bool is_root() noexcept { return ::geteuid() == 0; }

}  // namespace holdfast::test
