#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <system_error>

#include "cli/io.hpp"

/// The two streams, each with its lock.
namespace holdfast::cli {

/// stdout. Any thread. After the first failed write everything is dropped; a reader that went away
/// (EPIPE) is no error: `holdfast ls | head` ends quietly.
class Output {
 public:
  explicit Output(Sink& sink) noexcept : sink_(&sink) {}
  /// Buffered. False when nobody reads any more.
  bool write(std::string_view text);
  /// @p text and a newline, at once: a consumer may be waiting for the event.
  bool line(std::string_view text);
  bool flush();
  /// What kept results from being written, unless it was EPIPE. After the last flush().
  [[nodiscard]] std::error_code error() const;

 private:
  bool flush_locked();
  Sink* sink_;
  mutable std::mutex mutex_;
  std::string buffer_;
  bool open_ = true;
  std::error_code error_;
};

/// stderr: whole lines, and at most one bar below them. Any thread. Errors of writing are nobody's
/// business.
class Console {
 public:
  explicit Console(Sink& sink) noexcept : sink_(&sink) {}
  /// Takes a bar away before it writes; the next redraw brings it back.
  void line(std::string_view text);
  void show_bar(std::string_view text);
  void clear_bar();

 private:
  void erase_locked(std::string& bytes);
  void write_locked(std::string_view bytes);
  Sink* sink_;
  std::mutex mutex_;
  bool bar_ = false;
  bool open_ = true;
};

}  // namespace holdfast::cli
