#include "cli/invocation.hpp"
#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_discard(const Session& session) {
  const Invocation& invocation = session.invocation;
  return invocation.yes ? core::discard(invocation.targets, invocation.discard, session.context)
                        : refuse_without_yes(invocation);
}

}  // namespace holdfast::cli
