#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_status(const Session& session) {
  return core::status(session.invocation.targets, session.context);
}

}  // namespace holdfast::cli
