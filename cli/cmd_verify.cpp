#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_verify(const Session& session) {
  return core::verify(session.invocation.targets, session.invocation.verify, session.context);
}

}  // namespace holdfast::cli
