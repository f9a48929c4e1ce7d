#include "cli/invocation.hpp"
#include "cli/listing.hpp"
#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_ls(const Session& session) {
  const Invocation& invocation = session.invocation;
  const ListingOptions& listing = invocation.listing;
  if (listing.missed || listing.skipped) {
    return core::list_problems(invocation.targets,
                               {.missed = listing.missed, .skipped = listing.skipped},
                               session.context);
  }
  EntryPrinter printer(listing_format(invocation), session.out);
  return core::list(
      invocation.targets, {.path = listing.path},
      [&printer](const core::ListedEntry& entry) { return printer.print(entry); }, session.context);
}

}  // namespace holdfast::cli
