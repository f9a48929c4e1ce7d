// A disk that fails on command: one image, served by FUSE as the file DIR/disk, for a loop device.
//
//   faultdisk IMAGE DIR        in the foreground, until DIR is unmounted
//
// The image itself is never written. Two views lie over it: what the disk answers (current_), and
// what a power cut would leave (durable_). In mode "cache" a write reaches the second one with the
// next flush, which is fsync of the file: the loop driver makes one of every FLUSH and FUA of the
// filesystem. A cut decides by a seeded generator which writes since the last flush are on the
// medium; from then on every call fails, as without power. "reset" gives the next run the same
// image again without a copy.
//
// Commands are written to the xattr user.do of the file, and have happened when that returns:
//
//   reset                      the image as it was, mode pass, no faults, counters at 0
//   pass | cache               writes are durable at once | with the next flush
//   cut KEEP SEED              power cut now. KEEP: none, half (of the writes), torn (half of their
//                              4 KiB blocks), all
//   cut-at N KEEP SEED         the same at the Nth write or flush from now: a flush is not done, a
//                              write is one of the pending
//   revive                     power is back: what is durable is there; no faults, mode pass
//   fail-writes N ERRNO        from the Nth write or flush from now on they fail; ERRNO is a number
//   fail-reads N ERRNO         from the Nth read on
//   bad-read OFFSET LENGTH     bytes that cannot be read (EIO); may be given several times
//   bad-write OFFSET LENGTH    bytes that cannot be written
//   heal                       no faults any more; what is pending stays pending
//
// user.counters tells in JSON: reads, writes, flushes, pending writes, failed calls, dead. One
// thread serves all calls, so that "the Nth" has a meaning and nothing needs a lock.
//
// Blocks of 4 KiB are the unit of tearing: filesystems trust one to be whole (btrfs does not look
// for a second superblock when the first one is torn).

#define FUSE_USE_VERSION 35

#include <fcntl.h>
#include <fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t kBlock = 4096;
constexpr const char* kFile = "/disk";

using Block = std::array<char, kBlock>;
using Blocks = std::unordered_map<std::uint64_t, std::shared_ptr<Block>>;

struct Write {
  std::uint64_t offset = 0;
  std::string bytes;
};

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  [[nodiscard]] bool meets(std::uint64_t from, std::uint64_t count) const {
    return from < offset + length && offset < from + count;
  }
};

/// Which of the unflushed writes a cut leaves on the medium.
enum class Keep : std::uint8_t { kNone, kHalf, kTorn, kAll };

struct Cut {
  std::uint64_t after = 0;  // writes and flushes that still go well; counted down
  Keep keep = Keep::kNone;
  std::uint64_t seed = 0;
};

struct Failing {
  std::uint64_t after = 0;
  int error = 0;
};

struct Counters {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t flushes = 0;
  std::uint64_t failed = 0;
};

class Disk {
 public:
  Disk(int image, std::uint64_t size) : image_(image), size_(size) {}

  [[nodiscard]] std::uint64_t size() const { return size_; }

  int read(std::uint64_t offset, char* to, std::size_t count) {
    ++counters_.reads;
    if (dead_ || has_bad(bad_reads_, offset, count)) return failure(EIO);
    if (const int error = strikes(failing_reads_)) return failure(error);
    if (offset >= size_) return 0;
    count = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - offset));
    for (std::size_t done = 0; done < count;) {
      const std::uint64_t at = offset + done;
      const std::size_t inside = at % kBlock;
      const std::size_t part = std::min(kBlock - inside, count - done);
      const auto found = current_.find(at / kBlock);
      if (found != current_.end()) {
        std::memcpy(to + done, found->second->data() + inside, part);
      } else if (!read_image(at, to + done, part)) {
        return failure(EIO);
      }
      done += part;
    }
    return static_cast<int>(count);
  }

  int write(std::uint64_t offset, const char* from, std::size_t count) {
    ++counters_.writes;
    if (dead_) return failure(EIO);
    if (offset + count > size_) return failure(ENOSPC);
    if (const int error = strikes(failing_writes_)) return failure(error);
    if (has_bad(bad_writes_, offset, count)) return failure(EIO);
    const std::string_view bytes(from, count);
    if (caching_) pending_.push_back({.offset = offset, .bytes = std::string(bytes)});
    if (cut_is_due()) return failure(EIO);
    if (!apply(current_, offset, bytes)) return failure(EIO);
    if (!caching_ && !apply(durable_, offset, bytes)) return failure(EIO);
    return static_cast<int>(count);
  }

  int flush() {
    ++counters_.flushes;
    if (dead_) return failure(EIO);
    if (const int error = strikes(failing_writes_)) return failure(error);
    if (cut_is_due()) return failure(EIO);
    return settle() ? 0 : failure(EIO);
  }

  /// 0, or an error number with its sign turned.
  int command(std::string_view text);
  [[nodiscard]] std::string counters() const;

 private:
  static bool has_bad(const std::vector<Range>& ranges, std::uint64_t offset, std::size_t count) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const Range& range) { return range.meets(offset, count); });
  }

  static int strikes(std::optional<Failing>& failing) {
    if (!failing) return 0;
    if (failing->after == 0) return failing->error;
    --failing->after;
    return 0;
  }

  int failure(int error) {
    ++counters_.failed;
    return -error;
  }

  bool read_image(std::uint64_t offset, char* to, std::size_t count) const {
    std::memset(to, 0, count);  // the image may end inside of its last block
    return pread(image_, to, count, static_cast<off_t>(offset)) >= 0;
  }

  bool apply(Blocks& blocks, std::uint64_t offset, std::string_view bytes) const {
    while (!bytes.empty()) {
      const std::size_t inside = offset % kBlock;
      const std::size_t part = std::min(kBlock - inside, bytes.size());
      std::shared_ptr<Block>& block = blocks[offset / kBlock];
      auto next = std::make_shared<Block>();  // the two views share blocks: never written in place
      if (block) {
        *next = *block;
      } else if (part < kBlock && !read_image(offset - inside, next->data(), kBlock)) {
        return false;
      }
      std::memcpy(next->data() + inside, bytes.data(), part);
      block = std::move(next);
      offset += part;
      bytes.remove_prefix(part);
    }
    return true;
  }

  /// All that is pending reaches the medium.
  bool settle() {
    for (const Write& write : pending_) {
      if (!apply(durable_, write.offset, write.bytes)) return false;
    }
    pending_.clear();
    return true;
  }

  bool cut_is_due() {
    if (!cut_) return false;
    if (cut_->after > 0) {
      --cut_->after;
      return false;
    }
    cut(cut_->keep, cut_->seed);
    return true;
  }

  /// Kept writes are applied in the order of their coming: a block that was written twice ends as
  /// either of the two, or as it was.
  void cut(Keep keep, std::uint64_t seed) {
    std::mt19937_64 dice(seed);
    const auto heads = [&dice] { return (dice() >> 32 & 1) != 0; };
    for (const Write& write : pending_) {
      const std::string_view bytes = write.bytes;
      if (keep == Keep::kAll || (keep == Keep::kHalf && heads())) {
        (void)apply(durable_, write.offset, bytes);  // fails only if the image cannot be read
      } else if (keep == Keep::kTorn) {
        for (std::size_t done = 0; done < bytes.size();) {
          const std::uint64_t at = write.offset + done;
          const std::size_t part = std::min(kBlock - at % kBlock, bytes.size() - done);
          if (heads()) (void)apply(durable_, at, bytes.substr(done, part));
          done += part;
        }
      }
    }
    pending_.clear();
    dead_ = true;
    cut_.reset();
  }

  void heal() {
    failing_reads_.reset();
    failing_writes_.reset();
    bad_reads_.clear();
    bad_writes_.clear();
    cut_.reset();
  }

  int image_;
  std::uint64_t size_;
  Blocks current_;
  Blocks durable_;
  std::vector<Write> pending_;
  bool caching_ = false;
  bool dead_ = false;
  std::optional<Cut> cut_;
  std::optional<Failing> failing_reads_;
  std::optional<Failing> failing_writes_;
  std::vector<Range> bad_reads_;
  std::vector<Range> bad_writes_;
  Counters counters_;
};

std::optional<Keep> keep_of(const std::string& word) {
  if (word == "none") return Keep::kNone;
  if (word == "half") return Keep::kHalf;
  if (word == "torn") return Keep::kTorn;
  if (word == "all") return Keep::kAll;
  return std::nullopt;
}

int Disk::command(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string verb;
  words >> verb;
  if (verb == "reset") {
    heal();
    current_.clear();
    durable_.clear();
    pending_.clear();
    caching_ = dead_ = false;
    counters_ = {};
  } else if (verb == "pass") {
    caching_ = false;
    return settle() ? 0 : -EIO;
  } else if (verb == "cache") {
    caching_ = true;
  } else if (verb == "revive") {
    heal();
    current_ = durable_;
    pending_.clear();
    caching_ = dead_ = false;
  } else if (verb == "heal") {
    heal();
  } else if (verb == "cut" || verb == "cut-at") {
    Cut wanted;
    std::uint64_t number = 1;
    std::string keep;
    if (verb == "cut-at") words >> number;
    words >> keep >> wanted.seed;
    const std::optional<Keep> kept = keep_of(keep);
    if (!words || !kept || number == 0) return -EINVAL;
    if (verb == "cut") {
      cut(*kept, wanted.seed);
    } else {
      wanted.after = number - 1;
      wanted.keep = *kept;
      cut_ = wanted;
    }
  } else if (verb == "fail-writes" || verb == "fail-reads") {
    std::uint64_t number = 0;
    Failing wanted;
    words >> number >> wanted.error;
    if (!words || number == 0 || wanted.error <= 0) return -EINVAL;
    wanted.after = number - 1;
    (verb == "fail-writes" ? failing_writes_ : failing_reads_) = wanted;
  } else if (verb == "bad-read" || verb == "bad-write") {
    Range range;
    words >> range.offset >> range.length;
    if (!words) return -EINVAL;
    (verb == "bad-read" ? bad_reads_ : bad_writes_).push_back(range);
  } else {
    return -EINVAL;
  }
  return 0;
}

std::string Disk::counters() const {
  std::ostringstream text;
  text << R"({"reads":)" << counters_.reads << R"(,"writes":)" << counters_.writes
       << R"(,"flushes":)" << counters_.flushes << R"(,"pending":)" << pending_.size()
       << R"(,"failed":)" << counters_.failed << R"(,"dead":)" << (dead_ ? "true" : "false") << "}";
  return text.str();
}

// libfuse calls functions, so the one disk is found here.
std::unique_ptr<Disk> the_disk;

bool is_disk(const char* path) { return std::string_view(path) == kFile; }

int on_getattr(const char* path, struct stat* found, fuse_file_info* /*file*/) {
  *found = {};
  if (std::string_view(path) == "/") {
    found->st_mode = S_IFDIR | 0700;
    found->st_nlink = 2;
    return 0;
  }
  if (!is_disk(path)) return -ENOENT;
  found->st_mode = S_IFREG | 0600;
  found->st_nlink = 1;
  found->st_size = static_cast<off_t>(the_disk->size());
  return 0;
}

int on_readdir(const char* /*path*/, void* list, fuse_fill_dir_t fill, off_t /*offset*/,
               fuse_file_info* /*file*/, fuse_readdir_flags /*flags*/) {
  (void)fill(list, kFile + 1, nullptr, 0, fuse_fill_dir_flags{});
  return 0;
}

int on_open(const char* path, fuse_file_info* file) {
  if (!is_disk(path)) return -ENOENT;
  file->direct_io = 1;  // no cache of the kernel between the filesystem and the faults
  return 0;
}

int on_read(const char* /*path*/, char* to, std::size_t count, off_t offset,
            fuse_file_info* /*file*/) {
  return the_disk->read(static_cast<std::uint64_t>(offset), to, count);
}

int on_write(const char* /*path*/, const char* from, std::size_t count, off_t offset,
             fuse_file_info* /*file*/) {
  return the_disk->write(static_cast<std::uint64_t>(offset), from, count);
}

int on_fsync(const char* /*path*/, int /*data_only*/, fuse_file_info* /*file*/) {
  return the_disk->flush();
}

int on_setxattr(const char* path, const char* name, const char* value, std::size_t size,
                int /*flags*/) {
  if (!is_disk(path) || std::string_view(name) != "user.do") return -ENOTSUP;
  return the_disk->command(std::string_view(value, size));
}

int on_getxattr(const char* path, const char* name, char* value, std::size_t size) {
  if (!is_disk(path) || std::string_view(name) != "user.counters") return -ENODATA;
  const std::string text = the_disk->counters();
  if (size == 0) return static_cast<int>(text.size());
  if (size < text.size()) return -ERANGE;
  std::copy(text.begin(), text.end(), value);
  return static_cast<int>(text.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    (void)std::fputs("usage: faultdisk IMAGE DIR\n", stderr);
    return 2;
  }
  const int image = open(argv[1], O_RDONLY | O_CLOEXEC);
  struct stat found = {};
  if (image < 0 || fstat(image, &found) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  the_disk = std::make_unique<Disk>(image, static_cast<std::uint64_t>(found.st_size));
  fuse_operations operations = {};
  operations.getattr = on_getattr;
  operations.readdir = on_readdir;
  operations.open = on_open;
  operations.read = on_read;
  operations.write = on_write;
  operations.fsync = on_fsync;
  operations.setxattr = on_setxattr;
  operations.getxattr = on_getxattr;
  // -s: one thread. No fallocate: the kernel then writes zeros where it would have discarded.
  std::string program = "faultdisk";
  std::array<std::string, 5> words = {program, "-f", "-s", "-ofsname=faultdisk", argv[2]};
  std::vector<char*> arguments;
  arguments.reserve(words.size());
  for (std::string& word : words) arguments.push_back(word.data());
  return fuse_main(static_cast<int>(arguments.size()), arguments.data(), &operations, nullptr);
}
