#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "catalog/records.hpp"

/// Little-endian numbers and bytes, written and read one after the other. For codec.cpp only.
namespace holdfast::catalog {

/// Nothing is checked here: encoders write what they are given.
class Output {
 public:
  explicit Output(std::size_t expected) { bytes_.reserve(expected); }

  template <class Number>
  void number(Number value) {
    auto rest = static_cast<std::uint64_t>(value);
    std::array<char, sizeof(Number)> little{};
    for (char& byte : little) {
      byte = static_cast<char>(rest & 0xffU);
      rest >>= 8U;
    }
    bytes_.append(little.data(), little.size());
  }
  void u8(std::uint32_t value) { number(static_cast<std::uint8_t>(value)); }
  void u16(std::size_t value) { number(static_cast<std::uint16_t>(value)); }
  void u32(std::size_t value) { number(static_cast<std::uint32_t>(value)); }
  void text(std::string_view bytes) { bytes_ += bytes; }
  void time(const Timestamp& time) {
    number(time.seconds);
    number(time.nanoseconds);
  }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads from the front. The first failure sticks and later reads give zeros: a decoder asks once.
class Input {
 public:
  explicit Input(std::string_view bytes) noexcept : left_(bytes) {}

  template <class Number>
  Number number() noexcept {
    const std::string_view bytes = text(sizeof(Number));
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i != 0; --i) {
      value = (value << 8U) | static_cast<unsigned char>(bytes[i - 1]);
    }
    return static_cast<Number>(value);
  }
  std::uint8_t u8() noexcept { return number<std::uint8_t>(); }
  std::uint16_t u16() noexcept { return number<std::uint16_t>(); }
  std::uint32_t u32() noexcept { return number<std::uint32_t>(); }
  std::uint64_t u64() noexcept { return number<std::uint64_t>(); }
  std::string_view text(std::size_t size) noexcept {
    if (!good_ || size > left_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view bytes = left_.substr(0, size);
    left_.remove_prefix(size);
    return bytes;
  }
  Timestamp time() noexcept {
    Timestamp time;
    time.seconds = number<std::int64_t>();
    time.nanoseconds = u32();
    require(time.nanoseconds < 1'000'000'000);
    return time;
  }
  void require(bool condition) noexcept { good_ = good_ && condition; }
  [[nodiscard]] bool good() const noexcept { return good_; }
  [[nodiscard]] bool finished() const noexcept { return good_ && left_.empty(); }

 private:
  std::string_view left_;
  bool good_ = true;
};

}  // namespace holdfast::catalog
