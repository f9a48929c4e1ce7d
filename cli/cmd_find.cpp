#include "cli/invocation.hpp"
#include "cli/listing.hpp"
#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_find(const Session& session) {
  const Invocation& invocation = session.invocation;
  EntryPrinter printer(listing_format(invocation), session.out);
  return core::find(
      invocation.targets, invocation.find,
      [&printer](const core::ListedEntry& entry) { return printer.print(entry); }, session.context);
}

}  // namespace holdfast::cli
