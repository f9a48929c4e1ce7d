#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_capture(const Session& session) {
  return core::capture(session.invocation.targets, session.invocation.capture, session.context);
}

}  // namespace holdfast::cli
