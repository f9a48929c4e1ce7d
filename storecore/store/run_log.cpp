#include "storecore/store/run_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/run/context.hpp"
#include "storecore/store/fd_sink.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

namespace {

/// A JSON string of escaped text: what escape_name leaves needs only backslashes and quotes
/// doubled.
std::string quoted(std::string_view raw) {
  std::string text = "\"";
  for (const char c : catalog::escape_name(raw)) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

std::string file_name(std::string_view command) {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return fmt::format("{}-{}-{}.jsonl", std::string_view(text.data(), length), command, getpid());
}

}  // namespace

RunLog::RunLog(std::shared_ptr<spdlog::logger> logger) noexcept : logger_(std::move(logger)) {}
RunLog::RunLog(RunLog&&) noexcept = default;
RunLog& RunLog::operator=(RunLog&&) noexcept = default;
RunLog::~RunLog() = default;

catalog::Result<RunLog> RunLog::open(const Store& store, std::string_view command,
                                     const RunContext& context) {
  const auto dir = store.subdir(layout::kLog);
  if (!dir) return std::unexpected(dir.error());
  auto fd = open_at(*dir, file_name(command).c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (!fd) return catalog::failed("openat", layout::kLog, fd.error());
  auto logger = std::make_shared<spdlog::logger>("run", make_fd_sink(std::move(*fd)));
  logger->set_pattern("%v");
  RunLog log(std::move(logger));
  log.logger_->info(
      "{{\"event\":\"begin\",\"at\":\"{}\",\"command\":{},\"version\":{},\"arguments\":{}}}",
      utc_now(), quoted(command), quoted(context.version), quoted(context.command_line));
  return log;
}

void RunLog::phase(std::string_view name, double seconds, std::uint64_t files,
                   std::uint64_t bytes) {
  logger_->info(
      "{{\"event\":\"phase\",\"at\":\"{}\",\"name\":{},\"seconds\":{:.6f},\"files\":{},\"bytes\":{}"
      "}}",
      utc_now(), quoted(name), seconds, files, bytes);
}

void RunLog::problem(const catalog::Problem& problem) {
  logger_->info(
      "{{\"event\":\"problem\",\"kind\":{},\"path\":{},\"op\":{},\"errno\":{},\"reason\":{}}}",
      quoted(catalog::to_word(problem.kind)), quoted(problem.path), quoted(problem.operation),
      problem.error_number, quoted(problem.reason));
}

void RunLog::note(std::string_view text) {
  logger_->info("{{\"event\":\"note\",\"at\":\"{}\",\"text\":{}}}", utc_now(), quoted(text));
}

void RunLog::end(int exit_code, std::string_view error) {
  logger_->info("{{\"event\":\"end\",\"at\":\"{}\",\"exit_code\":{},\"error\":{}}}", utc_now(),
                exit_code, quoted(error));
}

}  // namespace holdfast::core
