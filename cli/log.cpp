#include "cli/log.hpp"

#include <fcntl.h>
#include <spdlog/common.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/store/fd_sink.hpp"

namespace holdfast::cli {

namespace {

/// Hands records to the console, which knows about the bar.
class ConsoleSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit ConsoleSink(Console& console) : console_(&console) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string_view line(formatted.data(), formatted.size());
    if (line.ends_with('\n')) {
      line.remove_suffix(1);
    }
    console_->line(line);
  }
  void flush_() override {}

 private:
  Console* console_;
};

std::unique_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink, const std::string& pattern) {
  sink->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  return std::make_unique<spdlog::logger>("holdfast", std::move(sink));
}

/// Names in notes are the engine's business, roots are ours.
std::string with_root(std::string_view root, std::string_view text) {
  std::string line = catalog::escape_name(root);
  line += ": ";
  line += catalog::escape_name(text);
  return line;
}

}  // namespace

struct Log::Loggers {
  std::unique_ptr<spdlog::logger> file;
  std::unique_ptr<spdlog::logger> console;
  std::shared_ptr<std::atomic<int>> write_error = std::make_shared<std::atomic<int>>(0);
};

Log::Log(core::Fd file, Console* console) : loggers_(std::make_unique<Loggers>()) {
  if (file) {
    loggers_->file = make_logger(core::make_fd_sink(std::move(file), loggers_->write_error),
                                 "%Y-%m-%dT%H:%M:%S.%eZ %l %v");
  }
  if (console != nullptr) {
    loggers_->console = make_logger(std::make_shared<ConsoleSink>(*console), "%H:%M:%S %v");
  }
}

Log::~Log() = default;

void Log::note(std::string_view root, std::string_view text) {
  const std::string line = with_root(root, text);
  for (spdlog::logger* logger : {loggers_->file.get(), loggers_->console.get()}) {
    if (logger != nullptr) {
      logger->log(spdlog::level::info, spdlog::string_view_t(line));
    }
  }
}

void Log::problem(std::string_view root, const catalog::Problem& problem) {
  if (loggers_->file != nullptr) {
    loggers_->file->log(spdlog::level::warn,
                        spdlog::string_view_t(problem_text(problem, root, false)));
  }
}

void Log::error(std::string_view line) {
  if (loggers_->file != nullptr) {
    loggers_->file->log(spdlog::level::err, spdlog::string_view_t(line));
  }
}

void Log::mark(std::string_view line) {
  if (loggers_->file != nullptr) {
    loggers_->file->log(spdlog::level::info, spdlog::string_view_t(line));
  }
}

int Log::write_error() const noexcept {
  return loggers_->write_error->load(std::memory_order_relaxed);
}

catalog::Result<core::Fd> open_for_append(const std::string& path) {
  // O_NONBLOCK: a FIFO without a reader is an error here and not a command that never begins.
  core::Fd fd(::open(path.c_str(),
                     O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                     0600));
  if (!fd) {
    return catalog::failed("open", path, catalog::last_error());
  }
  return fd;
}

}  // namespace holdfast::cli
