#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "storecore/run/context.hpp"

/// The world outside as run() sees it: tests hand in strings and constants, main() hands in
/// descriptors.
namespace holdfast::cli {

/// Takes bytes. One thread at a time; Output and Console hold the locks.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;
  /// All of @p bytes or an error; what was written before it failed is unknown.
  [[nodiscard]] virtual std::error_code write(std::string_view bytes) = 0;
};

/// Writes to a borrowed descriptor. EINTR is repeated and a full non-blocking pipe waited for.
class DescriptorSink : public Sink {
 public:
  explicit DescriptorSink(int fd) noexcept : fd_(fd) {}
  [[nodiscard]] std::error_code write(std::string_view bytes) override;

 private:
  int fd_;
};

struct Io {
  Sink* out = nullptr;
  Sink* err = nullptr;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::function<unsigned()> width;  ///< columns of the terminal behind err; asked at every redraw
  std::function<std::optional<std::string>(const char* name)> environment;
  unsigned cpus = 1;
  const core::StopToken* stop = nullptr;
};

}  // namespace holdfast::cli
