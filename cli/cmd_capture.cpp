#include "cli/rule_dirs.hpp"
#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_capture(const Session& session) {
  core::CaptureOptions options = session.invocation.capture;
  if (options.rules && !options.rules->only_given) {
    find_rule_dirs(session.io, options.rules->sources);
  }
  return core::capture(session.invocation.targets, options, session.context);
}

}  // namespace holdfast::cli
