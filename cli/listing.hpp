#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/invocation.hpp"
#include "cli/output.hpp"
#include "storecore/ops/operations.hpp"

namespace holdfast::cli {

enum class ListingFormat : std::uint8_t {
  kPaths,  ///< one escaped path a line
  kLong,
  kNul,  ///< raw paths, each ended by NUL
  kLongNul,
  kJson,
};

[[nodiscard]] ListingFormat listing_format(const Invocation& invocation) noexcept;

/// Prints entries as ls and find hand them over. One thread.
class EntryPrinter {
 public:
  EntryPrinter(ListingFormat format, Output& out) : format_(format), out_(&out) {}
  /// False when nobody reads any more.
  bool print(const core::ListedEntry& entry);
  [[nodiscard]] std::uint64_t printed() const noexcept { return printed_; }

 private:
  ListingFormat format_;
  Output* out_;
  std::optional<std::string> first_root_;
  std::optional<std::uint64_t> group_;
  std::uint64_t printed_ = 0;
};

/// Raw bytes as they are printed: relative to ROOT, but beginning with the volume's own root when
/// that is not
/// @p first_root. No recorded path begins with a slash, so the two cannot be mixed up.
[[nodiscard]] std::string shown_path(const core::ListedEntry& entry, const std::string& first_root);
/// Everything but the path of a --long line.
[[nodiscard]] std::string long_prefix(const core::ListedEntry& entry);

}  // namespace holdfast::cli
