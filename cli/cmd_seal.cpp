#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_seal(const Session& session) {
  return core::seal(session.invocation.targets, session.context);
}

}  // namespace holdfast::cli
