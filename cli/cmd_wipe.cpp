#include "cli/invocation.hpp"
#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_wipe(const Session& session) {
  const Invocation& invocation = session.invocation;
  if (!invocation.yes && !invocation.wipe.dry_run) {
    return refuse_without_yes(invocation);
  }
  return core::wipe(invocation.targets, invocation.wipe, session.context);
}

}  // namespace holdfast::cli
