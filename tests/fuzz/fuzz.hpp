#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

/// What the fuzz targets share. A target is one LLVMFuzzerTestOneInput: libFuzzer drives it in the
/// fuzz preset, replay.cpp drives it over the kept corpus everywhere else.
namespace holdfast::fuzz {

/// A promise that a target makes for any input. Aborts, so that both drivers keep the input.
inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

/// Takes an input apart from its front. Missing bytes are zeros.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size)
      : left_(size == 0 ? std::string_view() : view(data, size)) {}

  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return first;
  }
  /// Up to @p size bytes.
  std::string take(std::size_t size) {
    const std::string_view part = left_.substr(0, size);
    left_.remove_prefix(part.size());
    return std::string(part);
  }
  std::string rest() { return take(left_.size()); }
  /// Up to the next NUL, or the rest.
  std::string text() {
    const std::size_t end = left_.find('\0');
    if (end == std::string_view::npos) return rest();
    std::string part = take(end);
    left_.remove_prefix(1);
    return part;
  }
  [[nodiscard]] bool empty() const { return left_.empty(); }

 private:
  static std::string_view view(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};  // NOLINT(*-reinterpret-cast)
  }
  std::string_view left_;
};

/// Bytes in a buffer of exactly their size: a sanitizer sees a read of one byte more.
class Exact {
 public:
  explicit Exact(std::string_view bytes) : bytes_(bytes.begin(), bytes.end()) {}
  [[nodiscard]] std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  std::vector<char> bytes_;
};

}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
