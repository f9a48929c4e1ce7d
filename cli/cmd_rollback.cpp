#include "cli/invocation.hpp"
#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_rollback(const Session& session) {
  const Invocation& invocation = session.invocation;
  return invocation.yes ? core::rollback(invocation.targets, session.context)
                        : refuse_without_yes(invocation);
}

}  // namespace holdfast::cli
