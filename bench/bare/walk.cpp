#include "walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::bench {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{64} << 10;
constexpr int kOpenDirectory =
    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_NONBLOCK | O_CLOEXEC;

/// As the kernel writes it; glibc has no type for it that it promises.
struct RawEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  std::uint8_t type;
  char name[1];
};

unsigned char look_up_type(int fd, const char* name) {
  struct stat found{};
  if (fstatat(fd, name, &found, AT_SYMLINK_NOFOLLOW) != 0) die("fstatat", name);
  return static_cast<unsigned char>(IFTODT(found.st_mode));
}

class Walk {
 public:
  explicit Walk(const Visitor& visitor) : visitor_(&visitor) {}

  void run(const DirPtr& top, unsigned threads) {
    top->leave = visitor_->leave;
    if (visitor_->enter) visitor_->enter(*top);
    unfinished_ = 1;
    waiting_.push_back({top, {}});
    std::vector<std::thread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
    work();
    for (std::thread& other : others) other.join();
  }

 private:
  /// A directory that is to be opened below @p parent; with no name it is @p parent itself.
  struct Task {
    DirPtr parent;
    std::string name;
  };

  // One lock for all: it is taken twice a directory, which is nothing beside the calls in between.
  void work() {
    const auto buffer = std::make_unique<std::byte[]>(kChunkBytes);
    std::vector<Task> found;
    std::unique_lock lock(mutex_);
    while (true) {
      wakeup_.wait(lock, [this] { return !waiting_.empty() || unfinished_ == 0; });
      if (waiting_.empty()) return;
      Task task = std::move(waiting_.back());
      waiting_.pop_back();
      lock.unlock();
      directory(open(std::move(task)), buffer.get(), found);
      lock.lock();
      unfinished_ += found.size();
      --unfinished_;
      for (Task& child : found) waiting_.push_back(std::move(child));
      if (!found.empty() || unfinished_ == 0) wakeup_.notify_all();
      found.clear();
    }
  }

  DirPtr open(Task task) const {
    if (task.name.empty()) return std::move(task.parent);
    auto dir = std::make_shared<Dir>();
    dir->fd = openat(task.parent->fd, task.name.c_str(), kOpenDirectory);
    if (dir->fd < 0) die("openat", task.name.c_str());
    dir->parent = std::move(task.parent);
    dir->name = std::move(task.name);
    dir->leave = visitor_->leave;
    if (visitor_->enter) visitor_->enter(*dir);
    return dir;
  }

  void directory(const DirPtr& dir, std::byte* buffer, std::vector<Task>& found) const {
    while (true) {
      const long got = syscall(SYS_getdents64, dir->fd, buffer, kChunkBytes);
      if (got < 0) die("getdents64", dir->name.c_str());
      if (got == 0) return;
      for (long at = 0; at < got;) {
        const std::byte* raw = buffer + at;
        RawEntry head{};
        std::memcpy(&head, raw, offsetof(RawEntry, name));
        at += head.length;
        const char* name = reinterpret_cast<const char*>(raw) + offsetof(RawEntry, name);
        const std::string_view view(name);
        if (view == "." || view == "..") continue;
        const unsigned char type =
            head.type == DT_UNKNOWN ? look_up_type(dir->fd, name) : head.type;
        visitor_->see(dir, {.name = name, .inode = head.inode, .type = type});
        if (type == DT_DIR) found.push_back({dir, std::string(view)});
      }
    }
  }

  const Visitor* visitor_;
  std::mutex mutex_;
  std::condition_variable wakeup_;
  std::vector<Task> waiting_;
  std::size_t unfinished_ = 0;
};

}  // namespace

Dir::~Dir() {
  if (fd >= 0) close(fd);
  if (twin >= 0) close(twin);
  if (leave) leave(*this);
}

void Counts::count(unsigned char type) noexcept {
  std::atomic<std::uint64_t>& kind = type == DT_DIR ? directories : type == DT_REG ? files : others;
  kind.fetch_add(1, std::memory_order_relaxed);
}

DirPtr open_top(const char* path) {
  auto top = std::make_shared<Dir>();
  top->fd = ::open(path, kOpenDirectory);
  if (top->fd < 0) die("open", path);
  return top;
}

void walk(const char* top, unsigned threads, const Visitor& visitor) {
  walk_from(open_top(top), threads, visitor);
}

void walk_from(const DirPtr& top, unsigned threads, const Visitor& visitor) {
  Walk(visitor).run(top, threads);
}

void die(const char* what, const char* name) {
  std::fprintf(stderr, "%s: %s: %s\n", what, name, std::strerror(errno));
  std::fflush(nullptr);
  _exit(1);
}

Arguments parse(int argc, char** argv, int positionals, const char* usage) {
  Arguments arguments;
  int found = 0;
  bool good = true;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--threads" && has_value) {
      arguments.threads = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
    } else if (word == "--window" && has_value) {
      arguments.window = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
    } else if (word == "--order" && has_value) {
      const std::string_view order = argv[++i];
      arguments.by_inode = order == "inode";
      good = good && (order == "inode" || order == "walk");
    } else if (word.starts_with("--") || found == positionals) {
      good = false;
    } else {
      (found++ == 0 ? arguments.first : arguments.second) = argv[i];
    }
  }
  if (!good || found != positionals || arguments.threads == 0 || arguments.window == 0) {
    std::fprintf(stderr, "usage: %s\n", usage);
    _exit(2);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
  }
  umask(0);
  return arguments;
}

double now() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void report(const Counts& counts, double seconds, const std::string& more) {
  std::printf("{\"directories\":%" PRIu64 ",\"files\":%" PRIu64 ",\"others\":%" PRIu64
              ",\"bytes\":%" PRIu64 "%s,\"seconds\":%.6f}\n",
              counts.directories.load(), counts.files.load(), counts.others.load(),
              counts.bytes.load(), more.c_str(), seconds);
}

}  // namespace holdfast::bench
