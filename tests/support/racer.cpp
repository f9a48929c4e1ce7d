// A hostile user, fast: changes a tree as hard as it can while the program under test works on it.
//
//     racer HOME TAG        until standard input ends; then one JSON object on standard output
//
// HOME holds what tests/support/races.py builds. Two kinds of access, since a wipe ends only one of
// them: by path (ends when an ancestor is renamed away) and by descriptors opened before the start
// (last as long as the process). Python is too slow for this: it hits a window once in a while,
// this program tens of thousands of times a second.
//
//   swap:     exchanges directories with symlinks that lead to the canary, a file with a symlink to
//             it, and a file with a FIFO, on which an open would wait for ever
//
//   mutate:   appends to, truncates and overwrites files in place
//
//   replace:  by path: writes a file of unique content and renames it over a slot
//
//   churn:    makes and removes directories and files, moves directories between parents
//
// `last` in the answer is, for each slot, the last version whose rename succeeded: what the owner
// may rely on.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kSlots = 8;
constexpr int kMutated = 6;

std::atomic<bool> over{false};

struct Count {
  std::atomic<std::uint64_t> done{0};
  void add(bool succeeded) {
    if (succeeded) done.fetch_add(1, std::memory_order_relaxed);
  }
};

int open_dir(int at, const char* path) {
  const int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    std::perror(path);
    std::exit(2);
  }
  return fd;
}

void swap(int dir, const char* a, const char* b, Count& count) {
  while (!over) count.add(renameat2(dir, a, dir, b, RENAME_EXCHANGE) == 0);
}

void mutate(int dir, Count& count) {
  unsigned turn = 0;
  const std::string block(3000, 'm');
  while (!over) {
    const std::string name = "m-" + std::to_string(turn % kMutated);
    const int fd = openat(dir, name.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    switch (turn++ % 3) {
      case 0:
        count.add(lseek(fd, 0, SEEK_END) < (1 << 18) && write(fd, block.data(), block.size()) > 0);
        break;
      case 1:
        count.add(ftruncate(fd, static_cast<off_t>(turn % 5000)) == 0);
        break;
      default:
        count.add(pwrite(fd, block.data(), 100, turn % 700) > 0);
    }
    close(fd);
  }
}

/// The slots that one thread works on are its own: no other name for its content is ever made.
void replace(const std::string& home, const std::string& tag, int first,
             std::array<std::int64_t, kSlots>& last, Count& count) {
  for (std::int64_t version = 1; !over; ++version) {
    for (int slot = first; slot < kSlots && !over; slot += 2) {
      const std::string place = home + "/replace/slot-" + std::to_string(slot);
      const std::string temporary = place + ".tmp";
      const std::string text =
          tag + " slot " + std::to_string(slot) + " version " + std::to_string(version) + "\n";
      const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
      if (fd < 0) continue;
      const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
      close(fd);
      if (!written || rename(temporary.c_str(), place.c_str()) != 0) continue;
      last.at(static_cast<std::size_t>(slot)) = version;
      count.add(true);
    }
  }
}

void churn(int dir, Count& count) {
  for (unsigned turn = 0; !over; ++turn) {
    const std::string name = "made-" + std::to_string(turn % 40);
    if (mkdirat(dir, name.c_str(), 0755) == 0) {
      const int inner = openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (inner >= 0) {
        const int fd = openat(inner, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0) close(fd);
        count.add(symlinkat("../../../../../..", inner, "up") == 0);
        close(inner);
      }
    } else {
      count.add(unlinkat(dir, (name + "/file").c_str(), 0) == 0);
      count.add(unlinkat(dir, (name + "/up").c_str(), 0) == 0);
      count.add(unlinkat(dir, name.c_str(), AT_REMOVEDIR) == 0);
    }
    // A directory that wanders while it is walked.
    count.add(renameat(dir, "a/wanderer", dir, "b/wanderer") == 0 ||
              renameat(dir, "b/wanderer", dir, "a/wanderer") == 0);
    // A name that is now a file, now a directory.
    if (turn % 2 == 0) {
      count.add(unlinkat(dir, "changeling", AT_REMOVEDIR) == 0);
      const int fd = openat(dir, "changeling", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
      if (fd >= 0) close(fd);
    } else {
      count.add(unlinkat(dir, "changeling", 0) == 0);
      count.add(mkdirat(dir, "changeling", 0755) == 0);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string home = argv[1];
  const std::string tag = argv[2];
  const int top = open_dir(AT_FDCWD, home.c_str());
  const int swapped = open_dir(top, "swap");
  const int mutated = open_dir(top, "mutate");
  const int churned = open_dir(top, "churn");
  const int replaced = open_dir(top, "replace");
  close(replaced);

  Count swaps;
  Count mutations;
  Count replacements;
  Count churns;
  std::array<std::int64_t, kSlots> last{};
  std::vector<std::thread> threads;
  threads.emplace_back([&] { swap(swapped, "directory", "way-out", swaps); });
  threads.emplace_back([&] { swap(swapped, "leaf", "leaf-out", swaps); });
  threads.emplace_back([&] { swap(swapped, "plain", "pipe", swaps); });
  threads.emplace_back([&] { swap(top, "whole", "whole-out", swaps); });
  threads.emplace_back([&] { mutate(mutated, mutations); });
  threads.emplace_back([&] { replace(home, tag, 0, last, replacements); });
  threads.emplace_back([&] { replace(home, tag, 1, last, replacements); });
  threads.emplace_back([&] { churn(churned, churns); });

  std::puts("racing");
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  std::printf("{\"swap\": %lu, \"mutate\": %lu, \"replace\": %lu, \"churn\": %lu, \"last\": [",
              swaps.done.load(), mutations.done.load(), replacements.done.load(),
              churns.done.load());
  for (int slot = 0; slot < kSlots; ++slot)
    std::printf("%s%ld", slot == 0 ? "" : ", ", last.at(static_cast<std::size_t>(slot)));
  std::puts("]}");
  return 0;
}
