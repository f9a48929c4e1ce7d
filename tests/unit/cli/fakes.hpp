#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/io.hpp"
#include "cli/run.hpp"
#include "storecore/run/context.hpp"

namespace holdfast::cli {

/// Keeps what is written, or fails like a pipe without a reader.
class StringSink : public Sink {
 public:
  [[nodiscard]] std::error_code write(std::string_view bytes) override {
    if (error) {
      return error;
    }
    text.append(bytes);
    return {};
  }
  std::string text;
  std::error_code error;
};

/// A process around run(), without the process.
class Terminal {
 public:
  Terminal() {
    io_.out = &out;
    io_.err = &err;
    io_.width = [] { return 80U; };
    io_.cpus = 4;
    io_.stop = &stop;
    io_.environment = [this](const char* name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
  }
  int run(const std::vector<std::string>& args) {
    io_.err_is_terminal = is_terminal;
    return cli::run(args, io_);
  }

  StringSink out;
  StringSink err;
  core::StopToken stop;
  bool is_terminal = false;
  std::map<std::string, std::string> environment;

 private:
  Io io_;
};

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace holdfast::cli
