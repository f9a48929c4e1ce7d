#include "catalog/schema.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "catalog/digest.hpp"
#include "catalog/ids.hpp"

namespace holdfast::catalog {
namespace {

constexpr std::size_t kIdBytes = 8;

void append_big_endian(std::string& out, std::uint64_t value) {
  for (unsigned shift = 64; shift != 0; shift -= 8) {
    out += static_cast<char>((value >> (shift - 8)) & 0xffU);
  }
}

std::uint64_t read_big_endian(std::string_view bytes) noexcept {
  std::uint64_t value = 0;
  for (const char c : bytes.substr(0, kIdBytes)) {
    value = (value << 8U) | static_cast<unsigned char>(c);
  }
  return value;
}

std::string u64_key(std::uint64_t value) {
  std::string key;
  key.reserve(kIdBytes);
  append_big_endian(key, value);
  return key;
}

void append_digest(std::string& out, const Digest& digest) {
  for (const std::uint8_t byte : digest.bytes) {
    out += static_cast<char>(byte);
  }
}

}  // namespace

const char* table_name(Table table) noexcept {
  static constexpr std::array<const char*, kTables> names = {
      "entries", "inodes", "content", "dirs", "owners", "problems", "meta"};
  const auto index = static_cast<std::size_t>(table);
  return index < names.size() ? names[index] : "unknown";
}

std::string entry_key(DirId parent, std::string_view name) {
  std::string key;
  key.reserve(kIdBytes + name.size());
  append_big_endian(key, raw(parent));
  if (name.size() <= kMaxNameInKey) {
    key += name;
    return key;
  }
  key += name.substr(0, kLongNamePrefix);
  key += '\0';
  append_digest(key, digest_of(std::as_bytes(std::span(name.data(), name.size()))));
  return key;
}

std::string dir_key(DirId id) { return u64_key(raw(id)); }

std::string inode_key(InodeNo number) { return u64_key(raw(number)); }

std::string content_key(const Digest& hash, std::string_view entry_key) {
  std::string key;
  key.reserve(hash.bytes.size() + entry_key.size());
  append_digest(key, hash);
  key += entry_key;
  return key;
}

std::string sequence_key(std::uint64_t sequence) { return u64_key(sequence); }

std::optional<DirId> parent_of_key(std::string_view entry_key) noexcept {
  if (entry_key.size() <= kIdBytes) {
    return std::nullopt;
  }
  return DirId{read_big_endian(entry_key)};
}

bool key_has_long_name(std::string_view entry_key) noexcept {
  return name_part(entry_key).size() > kMaxNameInKey;
}

std::string_view name_part(std::string_view entry_key) noexcept {
  return entry_key.size() <= kIdBytes ? std::string_view() : entry_key.substr(kIdBytes);
}

std::optional<std::uint64_t> decode_u64_key(std::string_view key) noexcept {
  if (key.size() != kIdBytes) {
    return std::nullopt;
  }
  return read_big_endian(key);
}

}  // namespace holdfast::catalog
