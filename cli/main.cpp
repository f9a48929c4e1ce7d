#include <fcntl.h>
#include <malloc.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction(2) is not in <csignal>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catalog/map_guard.hpp"
#include "cli/io.hpp"
#include "cli/run.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/run/context.hpp"

/// The process: signals, descriptors, limits. Everything else is run().
namespace {

using holdfast::catalog::is_in_catalog_map;
using holdfast::catalog::is_in_lock_map;
using holdfast::catalog::is_lock_volume_full;
using holdfast::catalog::is_map_being_made;
using holdfast::core::StopToken;

StopToken stop_token;  // global, since a handler sets it

constexpr std::string_view kDamagedText =
    "holdfast: catalog is damaged (a read fault inside its map)\n"
    "hint: the captured files are safe, plain files below tree/ in the store; holdfast repair ROOT "
    "makes a new catalog of them\n";
constexpr std::string_view kDiskText =
    "holdfast: catalog/lock.mdb: Input/output error (a fault inside its map)\n"
    "hint: the disk or the filesystem failed: mount the volume again, then run the command again\n";
constexpr std::string_view kFullText =
    "holdfast: catalog/lock.mdb: No space left on device (a fault inside its map)\n"
    "hint: make room on this volume, then run the command again\n";
constexpr int kFailed = 1;
constexpr int kNoSpace = 13;
constexpr int kCatalogBad = 12;
constexpr unsigned kDefaultWidth = 80;
constexpr std::array kStopSignals = {SIGINT, SIGTERM, SIGHUP};

void set_default(int signal_number) noexcept {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  (void)sigaction(signal_number, &action, nullptr);
}

/// The first one asks the run to stop where it can be resumed, the next one of any kind ends the
/// process.
extern "C" void on_stop_signal(int signal_number) {
  stop_token.stop(signal_number);
  for (const int each : kStopSignals) {
    struct sigaction now = {};
    if (sigaction(each, nullptr, &now) == 0 && now.sa_handler == on_stop_signal) {
      set_default(each);
    }
  }
}

[[noreturn]] void leave_damaged_catalog() noexcept {
  (void)!write(STDERR_FILENO, kDamagedText.data(), kDamagedText.size());
  _exit(kCatalogBad);
}

extern "C" void on_fault(int signal_number, siginfo_t* info, void* /*context*/) {
  // A positive code comes from the kernel; kill(2) sets no address.
  if (info->si_code > 0 && is_in_catalog_map(info->si_addr)) {
    leave_damaged_catalog();
  }
  const bool opening = signal_number == SIGBUS && is_map_being_made();
  if (info->si_code > 0 && (opening || is_in_lock_map(info->si_addr))) {
    const bool full = is_lock_volume_full(info->si_addr);
    const std::string_view text = full ? kFullText : kDiskText;
    (void)!write(STDERR_FILENO, text.data(), text.size());
    _exit(full ? kNoSpace : kFailed);
  }
  set_default(signal_number);
  (void)raise(signal_number);
}

void install_handlers() {
  struct sigaction stop = {};
  stop.sa_handler = on_stop_signal;
  // Nothing else is interrupted: an EINTR in the middle of a file would be listed as a fault of
  // that file.
  stop.sa_flags = SA_RESTART;
  // One at a time: two that come together are a first and a second one.
  (void)sigemptyset(&stop.sa_mask);
  for (const int signal_number : kStopSignals) {
    (void)sigaddset(&stop.sa_mask, signal_number);
  }
  for (const int signal_number : kStopSignals) {
    struct sigaction old = {};
    // nohup(1) and background jobs of shells have reasons to ignore some.
    if (sigaction(signal_number, nullptr, &old) == 0 && old.sa_handler != SIG_IGN) {
      (void)sigaction(signal_number, &stop, nullptr);
    }
  }
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  (void)sigaction(SIGPIPE, &ignore, nullptr);
  // A file that may not grow further answers EFBIG then: an error like any other.
  (void)sigaction(SIGXFSZ, &ignore, nullptr);
  struct sigaction fault = {};
  fault.sa_sigaction = on_fault;
  fault.sa_flags = SA_SIGINFO;
  (void)sigaction(SIGSEGV, &fault, nullptr);
  (void)sigaction(SIGBUS, &fault, nullptr);
  holdfast::catalog::set_damage_handler([](const char*) { leave_damaged_catalog(); });
}

/// Only the three standard descriptors, and all of these: a file of ours must never become
/// somebody's stdout.
void tidy_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) {
      (void)open("/dev/null", O_RDWR);  // the lowest free number, which is fd
    }
  }
  (void)close_range(STDERR_FILENO + 1, ~0U, 0);
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

unsigned terminal_width() {
  winsize size{};
  // NOLINTNEXTLINE(misc-include-cleaner): <sys/ioctl.h> has TIOCGWINSZ from <asm-generic/ioctls.h>
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col
                                                                          : kDefaultWidth;
}

/// Large buffers go back to the system when they are freed. glibc raises this threshold whenever a
/// larger mapped block is freed; then the buffers of readers, who come and go with every window,
/// lie in as many arenas as there were readers and stay: 161 MiB instead of some 20 to verify a
/// million files. Setting it, to its own first value, keeps it (mallopt(3), M_MMAP_THRESHOLD).
void keep_memory_low() noexcept { (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024); }

}  // namespace

int main(int argc, char** argv) {
  keep_memory_low();
  (void)umask(077);
  tidy_descriptors();
  (void)holdfast::core::raise_fd_limit();
  install_handlers();

  holdfast::cli::DescriptorSink out(STDOUT_FILENO);
  holdfast::cli::DescriptorSink err(STDERR_FILENO);
  holdfast::cli::Io io;
  io.out = &out;
  io.err = &err;
  io.out_is_terminal = isatty(STDOUT_FILENO) != 0;
  io.err_is_terminal = isatty(STDERR_FILENO) != 0;
  io.width = terminal_width;
  io.environment = environment;
  io.cpus = std::thread::hardware_concurrency();
  io.stop = &stop_token;
  const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  return holdfast::cli::run(args, io);
}
