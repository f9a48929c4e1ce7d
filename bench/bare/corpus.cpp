// Makes the tree that everything is measured on, from a seed: the same names, sizes and bytes each
// time.
//
//   corpus [--files N] [--seed S] [--median BYTES] [--sigma X] [--largest BYTES] [--per-directory
//   N]
//          [--empty] [--one-directory] [--threads N] DIR
//
// Sizes are log-normal, as those of files on people's disks are; directories hold about a dozen
// files and hang in a tree whose depth grows with the logarithm of their number; names have 12 to
// 24 bytes, 18 on average; bytes are random, so that no peer gains by compressing or by finding
// duplicates.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <ranges>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "walk.hpp"

namespace {

using holdfast::bench::die;

struct Options {
  std::uint64_t files = 200'000;
  std::uint64_t seed = 1;
  double median = 4096;
  double sigma = 1.9;  ///< mean = median * exp(sigma^2 / 2) = 6.1 medians
  std::uint64_t largest = std::uint64_t{64} << 20;
  std::uint64_t per_directory = 12;
  bool empty = false;
  bool one_directory = false;
  unsigned threads = 2;
  const char* top = nullptr;
};

/// The standard library's distributions may differ from one version to the next: these do not.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }
  /// xoshiro256**
  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  std::uint64_t below(std::uint64_t end) noexcept { return next() % end; }
  /// In (0, 1].
  double unit() noexcept { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }
  double normal() noexcept {
    return std::sqrt(-2 * std::log(unit())) * std::cos(2 * std::numbers::pi * unit());
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

struct Directory {
  std::size_t parent = 0;
  std::uint64_t first = 0;  ///< number of its first file
  std::uint64_t count = 0;
};

std::string directory_name(std::size_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "folder-%05zx", number);
  return text;
}

std::vector<Directory> plan(const Options& options) {
  Dice dice(options.seed);
  std::vector<Directory> directories;
  for (std::uint64_t next = 0; next < options.files;) {
    const std::uint64_t wanted =
        options.one_directory ? options.files : dice.below(2 * options.per_directory + 1);
    const std::size_t parent = directories.empty() ? 0 : dice.below(directories.size());
    const std::uint64_t count = std::min(wanted, options.files - next);
    directories.push_back({.parent = parent, .first = next, .count = count});
    next += count;
  }
  return directories;
}

std::string path_of(const std::vector<Directory>& directories, std::size_t number) {
  std::vector<std::size_t> way{number};
  while (way.back() != 0) way.push_back(directories[way.back()].parent);
  std::string path;
  for (const std::size_t step : std::views::reverse(way)) {
    if (!path.empty()) path += '/';
    path += directory_name(step);
  }
  return path;
}

class Filler {
 public:
  Filler(const Options& options, int top, const std::vector<Directory>& directories)
      : options_(&options), top_(top), directories_(&directories), buffer_(kBufferWords) {}

  /// @return bytes written
  std::uint64_t fill(std::size_t number) {
    const Directory& directory = (*directories_)[number];
    const std::string path = path_of(*directories_, number);
    const int fd = openat(top_, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) die("openat", path.c_str());
    std::uint64_t bytes = 0;
    for (std::uint64_t i = 0; i < directory.count; ++i) bytes += file(fd, directory.first + i);
    close(fd);
    return bytes;
  }

 private:
  static constexpr std::size_t kBufferWords = std::size_t{32} << 10;

  std::uint64_t file(int dir, std::uint64_t number) {
    Dice dice(options_->seed * 0x100000001b3 + number);
    char name[32];
    const std::uint64_t letters = 3 + dice.below(13);
    for (std::uint64_t i = 0; i < letters; ++i) name[i] = static_cast<char>('a' + dice.below(26));
    std::snprintf(name + letters, sizeof name - letters, "-%08" PRIx64, number);
    const int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) die("openat", name);
    std::uint64_t size = 0;
    if (!options_->empty) {
      const double wanted = options_->median * std::exp(options_->sigma * dice.normal());
      size = std::min(static_cast<std::uint64_t>(wanted), options_->largest);
    }
    for (std::uint64_t left = size; left != 0;) {
      const std::uint64_t now = std::min(left, std::uint64_t{kBufferWords * sizeof(std::uint64_t)});
      for (std::size_t i = 0; i < (now + 7) / 8; ++i) buffer_[i] = dice.next();
      const ssize_t written = write(fd, buffer_.data(), now);
      if (written <= 0) die("write", name);
      left -= static_cast<std::uint64_t>(written);
    }
    close(fd);
    return size;
  }

  const Options* options_;
  int top_;
  const std::vector<Directory>* directories_;
  std::vector<std::uint64_t> buffer_;
};

bool take_number(std::string_view word, const char* value, Options& options) {
  const auto number = std::strtoull(value, nullptr, 10);
  if (word == "--files") {
    options.files = number;
  } else if (word == "--seed") {
    options.seed = number;
  } else if (word == "--median") {
    options.median = std::strtod(value, nullptr);
  } else if (word == "--sigma") {
    options.sigma = std::strtod(value, nullptr);
  } else if (word == "--largest") {
    options.largest = number;
  } else if (word == "--per-directory") {
    options.per_directory = number;
  } else if (word == "--threads") {
    options.threads = static_cast<unsigned>(number);
  } else {
    return false;
  }
  return true;
}

bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--empty") {
      options.empty = true;
    } else if (word == "--one-directory") {
      options.one_directory = true;
    } else if (word.starts_with("--")) {
      ++i;
      if (i == argc || !take_number(word, argv[i], options)) return false;
    } else if (options.top == nullptr) {
      options.top = argv[i];
    } else {
      return false;
    }
  }
  return options.top != nullptr && options.threads != 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) {
    std::fputs("usage: corpus [OPTIONS] DIR (see the head of corpus.cpp)\n", stderr);
    return 2;
  }
  const double begun = holdfast::bench::now();
  umask(022);
  const int top = open(options.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (top < 0) die("open", options.top);
  const std::vector<Directory> directories = plan(options);
  for (std::size_t i = 0; i < directories.size(); ++i) {
    const std::string path = path_of(directories, i);
    if (mkdirat(top, path.c_str(), 0755) != 0) die("mkdirat", path.c_str());
  }
  holdfast::bench::Counts counts;
  counts.directories = directories.size();
  counts.files = options.files;
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    Filler filler(options, top, directories);
    for (std::size_t i = next++; i < directories.size(); i = next++) counts.bytes += filler.fill(i);
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < options.threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  close(top);
  holdfast::bench::report(counts, holdfast::bench::now() - begun);
  return 0;
}
