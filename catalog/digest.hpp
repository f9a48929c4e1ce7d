#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::catalog {

/// XXH3-128 of a file's content in canonical (big-endian) form: its hex is what `xxh128sum` prints.
/// Finds accidents, not adversaries.
struct Digest {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const Digest&) const = default;
};

[[nodiscard]] std::string to_hex(const Digest& digest);
void append_hex(std::string& out, const Digest& digest);
/// 32 hex digits of either case; nullopt for anything else.
[[nodiscard]] std::optional<Digest> digest_from_hex(std::string_view hex);

/// Hashes a stream of bytes. One thread at a time; reset() makes it ready for the next file.
class Hasher {
 public:
  Hasher();
  void reset() noexcept;
  void update(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] Digest digest() const noexcept;
  /// 64-bit XXH3 of the same stream, as used for checksums of our own files.
  [[nodiscard]] std::uint64_t digest64() const noexcept;

 private:
  struct State;
  struct Free {
    void operator()(State* state) const noexcept;
  };
  std::unique_ptr<State, Free> state_;
};

/// XXH3-128 of one buffer, without a Hasher.
[[nodiscard]] Digest digest_of(std::span<const std::byte> bytes) noexcept;
/// XXH3-64 of one buffer: checksums of state slots and manifest trailers.
[[nodiscard]] std::uint64_t checksum64(std::string_view bytes) noexcept;

}  // namespace holdfast::catalog
