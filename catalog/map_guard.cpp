#include "catalog/map_guard.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace holdfast::catalog {
namespace {

// A signal handler reads these, so they are plain lock-free words. begin is written last and erased
// first: a range with begin 0 is free, or not yet valid.
struct Range {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<int> lock_volume{-1};  // of lock.mdb: a descriptor on its volume
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);
constexpr std::size_t kRanges = 64;
std::array<Range, kRanges> ranges;
std::atomic<int> opening_directory{-1};
// Less than this is no room: btrfs keeps some of it back for itself.
constexpr std::uint64_t kFullBytes = std::uint64_t{4} << 20;

void default_damage_handler(const char* what) {
  constexpr std::string_view prefix = "holdfast: the catalog is damaged: ";
  // Nothing is left to be done about a failing stderr.
  [[maybe_unused]] ssize_t ignored = ::write(STDERR_FILENO, prefix.data(), prefix.size());
  ignored = ::write(STDERR_FILENO, what, std::strlen(what));
  ignored = ::write(STDERR_FILENO, "\n", 1);
  std::abort();
}

std::atomic<DamageHandler> damage_handler{default_damage_handler};

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uint64_t offset = 0;
  std::uint64_t inode = 0;
  std::string_view path;
};

template <class Number>
bool take_number(std::string_view& text, Number& value, int base) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) {
    return false;
  }
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  return true;
}

bool take_char(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

void skip_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find(' '), text.size()));
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
}

// "7f0000000000-7f0000001000 r--s 00000000 fe:00 1234   /path", see proc(5).
std::optional<Mapping> parse_mapping(std::string_view line) {
  Mapping mapping;
  if (!take_number(line, mapping.begin, 16) || !take_char(line, '-') ||
      !take_number(line, mapping.end, 16) || !take_char(line, ' ')) {
    return std::nullopt;
  }
  skip_word(line);  // permissions
  if (!take_number(line, mapping.offset, 16) || !take_char(line, ' ')) {
    return std::nullopt;
  }
  skip_word(line);  // device: not st_dev on btrfs, so of no use
  if (!take_number(line, mapping.inode, 10)) {
    return std::nullopt;
  }
  skip_word(line);
  mapping.path = line;
  return mapping;
}

std::string read_own_maps() {
  std::string text;
  const int fd = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return text;
  }
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return text;
}

bool is_remembered(std::uintptr_t begin) noexcept {
  return std::any_of(ranges.begin(), ranges.end(), [begin](const Range& range) {
    return range.begin.load(std::memory_order_acquire) == begin;
  });
}

// The inode decides. Where /proc shows another one (overlayfs), size and name do.
std::optional<Mapping> find_new_mapping(std::string_view maps, std::uint64_t inode,
                                        std::size_t bytes) {
  std::optional<Mapping> similar;
  while (!maps.empty()) {
    const std::size_t end = std::min(maps.find('\n'), maps.size());
    const auto mapping = parse_mapping(maps.substr(0, end));
    maps.remove_prefix(std::min(end + 1, maps.size()));
    if (!mapping || mapping->offset != 0 || is_remembered(mapping->begin)) {
      continue;
    }
    if (mapping->inode == inode) {
      return mapping;
    }
    if (mapping->inode != 0 && mapping->end - mapping->begin == bytes &&
        mapping->path.ends_with("/data.mdb")) {
      similar = mapping;
    }
  }
  return similar;
}

const Range* find_range(const void* address) noexcept {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  const auto found = std::find_if(ranges.begin(), ranges.end(), [value](const Range& range) {
    const std::uintptr_t begin = range.begin.load(std::memory_order_acquire);
    return begin != 0 && value >= begin && value < range.end.load(std::memory_order_relaxed);
  });
  return found == ranges.end() ? nullptr : &*found;
}

int keep_range(const std::optional<Mapping>& mapping, int lock_volume) noexcept {
  if (!mapping) {
    return -1;
  }
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].begin.load(std::memory_order_relaxed) == 0) {
      ranges[i].end.store(mapping->end, std::memory_order_relaxed);
      ranges[i].lock_volume.store(lock_volume, std::memory_order_relaxed);
      ranges[i].begin.store(mapping->begin, std::memory_order_release);
      return static_cast<int>(i);
    }
  }
  return -1;
}

}  // namespace

bool is_in_catalog_map(const void* address) noexcept {
  const Range* range = find_range(address);
  return range != nullptr && range->lock_volume.load(std::memory_order_relaxed) < 0;
}

bool is_in_lock_map(const void* address) noexcept {
  const Range* range = find_range(address);
  return range != nullptr && range->lock_volume.load(std::memory_order_relaxed) >= 0;
}

bool is_map_being_made() noexcept { return opening_directory.load() >= 0; }

bool is_lock_volume_full(const void* address) noexcept {
  const Range* range = find_range(address);
  const int fd = range != nullptr ? range->lock_volume.load(std::memory_order_relaxed)
                                  : opening_directory.load();
  struct statfs volume{};
  return fd >= 0 && ::fstatfs(fd, &volume) == 0 &&
         static_cast<std::uint64_t>(volume.f_bavail) * static_cast<std::uint64_t>(volume.f_bsize) <
             kFullBytes;
}

void begin_map(int directory_fd) noexcept { opening_directory.store(directory_fd); }

void end_map() noexcept { opening_directory.store(-1); }

void set_damage_handler(DamageHandler handler) noexcept {
  damage_handler.store(handler != nullptr ? handler : default_damage_handler);
}

void report_damage(const char* what) noexcept {
  damage_handler.load()(what);
  std::abort();
}

int remember_map(int data_fd, std::size_t bytes) {
  struct stat status{};
  if (::fstat(data_fd, &status) != 0) {
    return -1;
  }
  const std::string maps = read_own_maps();
  return keep_range(find_new_mapping(maps, status.st_ino, bytes), -1);
}

int remember_lock_map(int data_fd, std::uint64_t inode) {
  const std::string maps = read_own_maps();
  return keep_range(find_new_mapping(maps, inode, 0), data_fd);
}

void forget_map(int slot) noexcept {
  if (slot >= 0) {
    ranges[static_cast<std::size_t>(slot)].begin.store(0, std::memory_order_release);
  }
}

}  // namespace holdfast::catalog
