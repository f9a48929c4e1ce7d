#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_restore(const Session& session) {
  return core::restore(session.invocation.targets, session.invocation.restore, session.context);
}

}  // namespace holdfast::cli
