#include "cli/listing.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <string>

#include "catalog/digest.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "cli/invocation.hpp"
#include "cli/json.hpp"
#include "cli/text.hpp"
#include "storecore/ops/operations.hpp"

namespace holdfast::cli {

namespace {
constexpr std::size_t kHashDigits = 32;
}

ListingFormat listing_format(const Invocation& invocation) noexcept {
  const ListingOptions& listing = invocation.listing;
  if (invocation.json) {
    return ListingFormat::kJson;
  }
  if (listing.nul) {
    return listing.detailed ? ListingFormat::kLongNul : ListingFormat::kNul;
  }
  return listing.detailed ? ListingFormat::kLong : ListingFormat::kPaths;
}

std::string shown_path(const core::ListedEntry& entry, const std::string& first_root) {
  std::string path = entry.path.empty() ? "." : entry.path;
  return entry.root == first_root ? path : catalog::join_path(entry.root, path);
}

std::string long_prefix(const core::ListedEntry& entry) {
  return fmt::format("{} {:>6} {:>6} {:>12} {} {:{}} ", mode_text(entry.type, entry.mode),
                     entry.uid, entry.gid, entry.size, iso_time(entry.mtime),
                     entry.hash ? catalog::to_hex(*entry.hash) : "-", kHashDigits);
}

bool EntryPrinter::print(const core::ListedEntry& entry) {
  ++printed_;
  if (format_ == ListingFormat::kJson) {
    return out_->write(entry_line(entry) + '\n');
  }
  if (!first_root_) {
    first_root_ = entry.root;
  }
  const bool nul = format_ == ListingFormat::kNul || format_ == ListingFormat::kLongNul;
  const bool detailed = format_ == ListingFormat::kLong || format_ == ListingFormat::kLongNul;
  const auto shown = [nul](const std::string& bytes) {
    return nul ? bytes : catalog::escape_name(bytes);
  };
  std::string text;
  if (!nul && group_ && entry.group != group_) {
    text += '\n';
  }
  group_ = entry.group;
  if (detailed) {
    text += long_prefix(entry);
  }
  text += shown(shown_path(entry, *first_root_));
  if (detailed && entry.type == catalog::FileType::kSymlink) {
    text += " -> ";
    text += shown(entry.link_target);
  }
  text += nul ? '\0' : '\n';
  return out_->write(text);
}

}  // namespace holdfast::cli
