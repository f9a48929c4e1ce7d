#include "storecore/store/fd_sink.hpp"

#include <spdlog/common.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "storecore/os/fd.hpp"

namespace holdfast::core {

namespace {

class FdSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FdSink(Fd fd, std::shared_ptr<std::atomic<int>> first_error)
      : fd_(std::move(fd)), first_error_(std::move(first_error)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string_view rest(formatted.data(), formatted.size());
    while (!rest.empty()) {
      const ssize_t written = ::write(fd_.get(), rest.data(), rest.size());
      if (written >= 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
      } else if (errno != EINTR) {
        note_error(errno);
        return;
      }
    }
  }
  void flush_() override {}

 private:
  void note_error(int error) noexcept {
    int none = 0;
    if (first_error_ != nullptr) {
      first_error_->compare_exchange_strong(none, error, std::memory_order_relaxed);
    }
  }

  Fd fd_;
  std::shared_ptr<std::atomic<int>> first_error_;
};

}  // namespace

std::shared_ptr<spdlog::sinks::sink> make_fd_sink(Fd fd,
                                                  std::shared_ptr<std::atomic<int>> first_error) {
  return std::make_shared<FdSink>(std::move(fd), std::move(first_error));
}

}  // namespace holdfast::core
