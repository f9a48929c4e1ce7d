#include "cli/output.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>

namespace holdfast::cli {

namespace {
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
}

bool Output::write(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!open_) {
    return false;
  }
  buffer_.append(text);
  return buffer_.size() < kBufferBytes || flush_locked();
}

bool Output::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!open_) {
    return false;
  }
  buffer_.append(text);
  buffer_.push_back('\n');
  return flush_locked();
}

bool Output::flush() {
  const std::lock_guard lock(mutex_);
  return flush_locked();
}

std::error_code Output::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

bool Output::flush_locked() {
  if (open_ && !buffer_.empty()) {
    if (const std::error_code error = sink_->write(buffer_)) {
      open_ = false;
      if (error != std::errc::broken_pipe) {
        error_ = error;
      }
    }
  }
  buffer_.clear();
  return open_;
}

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  std::string bytes;
  erase_locked(bytes);
  bytes.append(text);
  bytes.push_back('\n');
  write_locked(bytes);
}

void Console::show_bar(std::string_view text) {
  const std::lock_guard lock(mutex_);
  std::string bytes = "\r";
  bytes.append(text);
  bytes.append("\x1b[K");
  bar_ = true;
  write_locked(bytes);
}

void Console::clear_bar() {
  const std::lock_guard lock(mutex_);
  std::string bytes;
  erase_locked(bytes);
  write_locked(bytes);
}

void Console::write_locked(std::string_view bytes) {
  if (!open_ || bytes.empty()) {
    return;
  }
  open_ = !sink_->write(bytes);  // whom could we tell?
}

void Console::erase_locked(std::string& bytes) {
  if (bar_) {
    bytes.append("\r\x1b[K");
    bar_ = false;
  }
}

}  // namespace holdfast::cli
