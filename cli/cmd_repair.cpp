#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_repair(const Session& session) {
  return core::repair(session.invocation.targets, session.context);
}

}  // namespace holdfast::cli
