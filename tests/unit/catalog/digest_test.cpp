#include "catalog/digest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using testing::digest_of_text;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// The bytes 0, 7, 14, ... modulo 256.
std::string pattern(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += static_cast<char>((i * 7) & 255U);
  }
  return text;
}

std::string numbers() {
  std::string text;
  for (int i = 1; i <= 1000; ++i) {
    text += std::to_string(i);
    text += '\n';
  }
  return text;
}

// Printed by xxh128sum 0.8.1.
TEST(Digest, IsWhatXxh128sumPrints) {
  EXPECT_EQ(to_hex(digest_of_text("")), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(to_hex(digest_of_text("hello")), "b5e9c1ad071b3e7fc779cfaa5e523818");
  EXPECT_EQ(to_hex(digest_of_text(numbers())), "8527d9296fb8f4a6764aaaecde28829e");  // seq 1 1000
  EXPECT_EQ(to_hex(digest_of_text(pattern(5000))), "a4ba2a60fb07e0166abe8be5abcb2760");
}

// Printed by xxhsum -H3 0.8.1.
TEST(Digest, OfSixtyFourBitsIsWhatXxhsumPrints) {
  EXPECT_EQ(checksum64("hello"), 0x9555e8555c62dcfdU);
  EXPECT_EQ(checksum64(pattern(5000)), 0x6abe8be5abcb2760U);
}

TEST(Hasher, DoesNotMindHowTheStreamIsCut) {
  const std::string text = pattern(5000);
  Hasher hasher;
  for (const std::size_t piece : {1U, 7U, 64U, 255U, 256U, 1024U, 4999U, 5000U}) {
    hasher.reset();
    for (std::size_t at = 0; at < text.size(); at += piece) {
      hasher.update(bytes_of(std::string_view(text).substr(at, piece)));
    }
    EXPECT_EQ(hasher.digest(), digest_of_text(text));
    EXPECT_EQ(hasher.digest64(), checksum64(text));
  }
}

TEST(Hasher, MayBeAskedInBetween) {
  Hasher hasher;
  EXPECT_EQ(hasher.digest(), digest_of_text(""));
  hasher.update(bytes_of("hel"));
  EXPECT_EQ(hasher.digest(), digest_of_text("hel"));
  hasher.update(bytes_of("lo"));
  EXPECT_EQ(hasher.digest(), digest_of_text("hello"));
  EXPECT_EQ(hasher.digest64(), checksum64("hello"));
}

TEST(Digest, HexRoundTrips) {
  const Digest digest = digest_of_text("x");
  std::string hex = to_hex(digest);
  EXPECT_EQ(digest_from_hex(hex), digest);
  std::transform(hex.begin(), hex.end(), hex.begin(),
                 [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
  EXPECT_EQ(digest_from_hex(hex), digest);
}

TEST(Digest, HexOfAnotherShapeIsRefused) {
  const std::string hex = to_hex(digest_of_text("x"));
  EXPECT_FALSE(digest_from_hex(""));
  EXPECT_FALSE(digest_from_hex(hex.substr(1)));
  EXPECT_FALSE(digest_from_hex(hex + "0"));
  for (const char c : {'g', ' ', '/', ':', '@', '`'}) {
    std::string other = hex;
    other.front() = c;
    EXPECT_FALSE(digest_from_hex(other));
    other = hex;
    other.back() = c;
    EXPECT_FALSE(digest_from_hex(other));
  }
}

}  // namespace
}  // namespace holdfast::catalog
