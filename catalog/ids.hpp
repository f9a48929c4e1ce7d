#pragma once

#include <cstdint>

namespace holdfast::catalog {

/// Names a directory inside one catalog. Given out in the order of discovery, never used again.
/// A parent's id is always smaller than its children's. 0 means none.
enum class DirId : std::uint64_t {};
inline constexpr DirId kNoDir{0};
inline constexpr DirId kRootDir{1};

/// Inode number on the volume of the store.
enum class InodeNo : std::uint64_t {};

constexpr std::uint64_t raw(DirId id) noexcept { return static_cast<std::uint64_t>(id); }
constexpr std::uint64_t raw(InodeNo number) noexcept { return static_cast<std::uint64_t>(number); }

}  // namespace holdfast::catalog
