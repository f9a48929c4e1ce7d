#include "catalog/digest.hpp"

#include <xxhash.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::catalog {
namespace {

Digest canonical(XXH128_hash_t hash) noexcept {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Digest digest;
  static_assert(sizeof bytes.digest == sizeof digest.bytes);
  std::memcpy(digest.bytes.data(), static_cast<const unsigned char*>(bytes.digest),
              digest.bytes.size());
  return digest;
}

std::optional<std::uint8_t> hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') {
    return static_cast<std::uint8_t>(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    return static_cast<std::uint8_t>(c - 'a' + 10);
  }
  if (c >= 'A' && c <= 'F') {
    return static_cast<std::uint8_t>(c - 'A' + 10);
  }
  return std::nullopt;
}

}  // namespace

// One state serves both widths: XXH3 accumulates the same way and differs in the last step only.
// The library makes it, since the type's size is not part of its stable interface.
struct Hasher::State {
  XXH3_state_t* xxh;
};

void Hasher::Free::operator()(State* state) const noexcept {
  XXH3_freeState(state->xxh);
  delete state;
}

Hasher::Hasher() : state_(new State{XXH3_createState()}) {
  if (state_->xxh == nullptr) {
    throw std::bad_alloc();
  }
  reset();
}

void Hasher::reset() noexcept { XXH3_128bits_reset(state_->xxh); }

void Hasher::update(std::span<const std::byte> bytes) noexcept {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

Digest Hasher::digest() const noexcept { return canonical(XXH3_128bits_digest(state_->xxh)); }

std::uint64_t Hasher::digest64() const noexcept { return XXH3_64bits_digest(state_->xxh); }

void append_hex(std::string& out, const Digest& digest) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<char, 2 * sizeof(Digest::bytes)> hex{};
  auto at = hex.begin();
  for (const std::uint8_t byte : digest.bytes) {
    *at++ = digits[byte >> 4U];
    *at++ = digits[byte & 15U];
  }
  out.append(hex.data(), hex.size());
}

std::string to_hex(const Digest& digest) {
  std::string hex;
  append_hex(hex, digest);
  return hex;
}

std::optional<Digest> digest_from_hex(std::string_view hex) {
  Digest digest;
  if (hex.size() != 2 * digest.bytes.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
    const auto high = hex_value(hex[2 * i]);
    const auto low = hex_value(hex[2 * i + 1]);
    if (!high || !low) {
      return std::nullopt;
    }
    digest.bytes[i] = static_cast<std::uint8_t>(*high * 16 + *low);
  }
  return digest;
}

Digest digest_of(std::span<const std::byte> bytes) noexcept {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

std::uint64_t checksum64(std::string_view bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace holdfast::catalog
