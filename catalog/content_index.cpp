#include "catalog/content_index.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/schema.hpp"

// External merge sort. Keys are collected until they fill run_bytes, sorted, and written behind
// each other into one temporary file, as a 16-bit length in the machine's order and the key.
// finish() reads all runs side by side through small buffers, always takes the smallest key, and
// appends it. What fits into one run never touches the disk.
namespace holdfast::catalog {
namespace {

constexpr std::size_t kCommitRows = 20'000;
constexpr std::size_t kLengthBytes = sizeof(std::uint16_t);
constexpr std::size_t kLeastBuffer = 4096;  // more than the longest row
constexpr std::size_t kMostBuffer = std::size_t{256} << 10;
constexpr std::string_view kPlace = "sorting the content index";

class ScratchFile {
 public:
  explicit ScratchFile(int directory_fd) noexcept : directory_fd_(directory_fd) {}
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { close(); }

  [[nodiscard]] Status append(std::string_view bytes) {
    if (fd_ < 0) {
      if (Status opened = open(); !opened) {
        return opened;
      }
    }
    while (!bytes.empty()) {
      const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (put < 0 && errno == EINTR) {
        continue;
      }
      if (put < 0) {
        return failed("pwrite", kPlace, last_error());
      }
      size_ += static_cast<std::uint64_t>(put);
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
  }

  /// Reads exactly @p bytes.
  [[nodiscard]] Status read(std::uint64_t offset, char* to, std::size_t bytes) const {
    while (bytes != 0) {
      const ssize_t got = ::pread(fd_, to, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        return failed("pread", kPlace, last_error());
      }
      if (got == 0) {
        return fail(Fault::kFailed, kPlace, "the temporary file became shorter");
      }
      to += got;
      offset += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::size_t>(got);
    }
    return {};
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  void close() noexcept {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    fd_ = -1;
    size_ = 0;
  }

 private:
  [[nodiscard]] Status open() {
    fd_ = ::openat(directory_fd_, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    // FUSE and old kernels have no O_TMPFILE, and disagree about how to say so.
    return fd_ >= 0 ? Status() : open_by_name();
  }

  [[nodiscard]] Status open_by_name() {
    static std::atomic<unsigned> sequence{0};
    const std::string name =
        "sort-" + std::to_string(::getpid()) + "-" + std::to_string(sequence.fetch_add(1));
    fd_ = ::openat(directory_fd_, name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC,
                   0600);
    if (fd_ < 0) {
      return failed("openat", kPlace, last_error());
    }
    if (::unlinkat(directory_fd_, name.c_str(), 0) != 0) {
      return failed("unlinkat", kPlace, last_error());
    }
    return {};
  }

  int directory_fd_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

struct Run {
  std::uint64_t begin;
  std::uint64_t end;
};

// One run as a stream of keys.
class RunReader {
 public:
  RunReader(const ScratchFile& file, const Run& run, std::size_t buffer_bytes)
      : file_(&file), offset_(run.begin), end_(run.end), buffer_(buffer_bytes) {}

  /// Moves to the next key; false at the end of the run. The last key's view dies.
  [[nodiscard]] Result<bool> next() {
    if (position_ == filled_ && offset_ == end_) {
      return false;
    }
    if (Status there = need(kLengthBytes); !there) {
      return std::unexpected(std::move(there.error()));
    }
    const std::size_t length = static_cast<std::size_t>(octet(position_)) |
                               (static_cast<std::size_t>(octet(position_ + 1)) << 8U);
    position_ += kLengthBytes;
    if (Status there = need(length); !there) {
      return std::unexpected(std::move(there.error()));
    }
    key_ = std::string_view(buffer_.data() + position_, length);
    position_ += length;
    return true;
  }
  [[nodiscard]] std::string_view key() const noexcept { return key_; }

 private:
  [[nodiscard]] unsigned octet(std::size_t at) const noexcept {
    return static_cast<unsigned char>(buffer_[at]);
  }

  // Makes `bytes` readable from position_ on.
  [[nodiscard]] Status need(std::size_t bytes) {
    if (filled_ - position_ >= bytes) {
      return {};
    }
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(position_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(filled_), buffer_.begin());
    filled_ -= position_;
    position_ = 0;
    const auto more =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size() - filled_, end_ - offset_));
    if (filled_ + more < bytes) {
      return fail(Fault::kFailed, kPlace, "the temporary file holds something else");
    }
    Status read = file_->read(offset_, buffer_.data() + filled_, more);
    filled_ += more;
    offset_ += more;
    return read;
  }

  const ScratchFile* file_;
  std::uint64_t offset_;
  std::uint64_t end_;
  std::vector<char> buffer_;
  std::size_t position_ = 0;
  std::size_t filled_ = 0;
  std::string_view key_;
};

// Appends keys to the table, a transaction for every kCommitRows.
class Appender {
 public:
  explicit Appender(Env& env) noexcept : env_(&env) {}

  [[nodiscard]] Status begin() {
    auto txn = WriteTxn::begin(*env_);
    if (!txn) {
      return std::unexpected(std::move(txn.error()));
    }
    txn_ = std::make_unique<WriteTxn>(std::move(*txn));
    rows_ = 0;
    return {};
  }

  [[nodiscard]] Status drop() { return txn_->drop(Table::kContent); }

  [[nodiscard]] Status append(std::string_view key) {
    if (key == last_) {
      return {};  // added twice is the same as added once
    }
    if (rows_ == kCommitRows) {
      if (Status done = commit(); !done) {
        return done;
      }
      if (Status begun = begin(); !begun) {
        return begun;
      }
    }
    ++rows_;
    last_ = key;
    return txn_->append(Table::kContent, key, {});
  }

  [[nodiscard]] Status commit() {
    Status status = txn_->commit();
    txn_.reset();
    return status;
  }

 private:
  Env* env_;
  std::unique_ptr<WriteTxn> txn_;
  std::size_t rows_ = 0;
  std::string last_;
};

}  // namespace

struct ContentIndexBuilder::Impl {
  // The first bytes of a hash decide nearly every comparison without looking at the key.
  struct Slot {
    std::uint64_t prefix;
    std::uint32_t offset;
    std::uint16_t size;
  };

  Impl(int directory_fd, std::size_t bytes) : scratch(directory_fd), run_bytes(bytes) {}

  [[nodiscard]] std::string_view key_of(const Slot& slot) const {
    return std::string_view(keys).substr(slot.offset, slot.size);
  }

  void sort() {
    std::sort(slots.begin(), slots.end(), [this](const Slot& a, const Slot& b) {
      return a.prefix != b.prefix ? a.prefix < b.prefix : key_of(a) < key_of(b);
    });
  }

  void clear() noexcept {
    keys.clear();
    slots.clear();
  }

  [[nodiscard]] Status write_run() {
    sort();
    const std::uint64_t begin = scratch.size();
    std::string chunk;
    for (const Slot& slot : slots) {
      chunk += static_cast<char>(slot.size & 0xffU);
      chunk += static_cast<char>(slot.size >> 8U);
      chunk += key_of(slot);
      if (chunk.size() >= kMostBuffer) {
        if (Status written = scratch.append(chunk); !written) {
          return written;
        }
        chunk.clear();
      }
    }
    if (Status written = scratch.append(chunk); !written) {
      return written;
    }
    runs.push_back(Run{begin, scratch.size()});
    clear();
    return {};
  }

  [[nodiscard]] Status append_memory(Appender& to) {
    sort();
    for (const Slot& slot : slots) {
      if (Status appended = to.append(key_of(slot)); !appended) {
        return appended;
      }
    }
    return {};
  }

  [[nodiscard]] Status merge(Appender& to) const {
    const std::size_t buffer =
        std::clamp(run_bytes / std::max<std::size_t>(runs.size(), 1), kLeastBuffer, kMostBuffer);
    std::vector<RunReader> readers;
    std::vector<RunReader*> heap;
    readers.reserve(runs.size());
    for (const Run& run : runs) {
      RunReader& reader = readers.emplace_back(scratch, run, buffer);
      const auto more = reader.next();
      if (!more) {
        return std::unexpected(more.error());
      }
      if (*more) {
        heap.push_back(&reader);
      }
    }
    const auto later = [](const RunReader* a, const RunReader* b) { return a->key() > b->key(); };
    std::make_heap(heap.begin(), heap.end(), later);
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), later);
      if (Status appended = to.append(heap.back()->key()); !appended) {
        return appended;
      }
      const auto more = heap.back()->next();
      if (!more) {
        return std::unexpected(more.error());
      }
      if (*more) {
        std::push_heap(heap.begin(), heap.end(), later);
      } else {
        heap.pop_back();
      }
    }
    return {};
  }

  ScratchFile scratch;
  std::size_t run_bytes;
  std::string keys;
  std::vector<Slot> slots;
  std::vector<Run> runs;
};

ContentIndexBuilder::ContentIndexBuilder(int scratch_directory_fd, std::size_t run_bytes)
    : impl_(std::make_unique<Impl>(scratch_directory_fd, run_bytes)) {}

ContentIndexBuilder::~ContentIndexBuilder() = default;

Status ContentIndexBuilder::add(const Digest& hash, std::string_view entry_key) {
  const std::string key = content_key(hash, entry_key);
  std::uint64_t prefix = 0;
  for (std::size_t i = 0; i < sizeof prefix; ++i) {
    prefix = (prefix << 8U) | hash.bytes[i];
  }
  impl_->slots.push_back(Impl::Slot{prefix, static_cast<std::uint32_t>(impl_->keys.size()),
                                    static_cast<std::uint16_t>(key.size())});
  impl_->keys += key;
  const std::size_t held = impl_->keys.size() + impl_->slots.size() * sizeof(Impl::Slot);
  return held >= impl_->run_bytes ? impl_->write_run() : Status();
}

Status ContentIndexBuilder::finish(Env& env) {
  if (!impl_->runs.empty() && !impl_->slots.empty()) {
    if (Status written = impl_->write_run(); !written) {
      return written;
    }
  }
  Appender appender(env);
  if (Status begun = appender.begin(); !begun) {
    return begun;
  }
  if (Status dropped = appender.drop(); !dropped) {
    return dropped;
  }
  Status appended = impl_->runs.empty() ? impl_->append_memory(appender) : impl_->merge(appender);
  if (!appended) {
    return appended;
  }
  impl_->clear();
  impl_->runs.clear();
  impl_->scratch.close();
  return appender.commit();
}

}  // namespace holdfast::catalog
