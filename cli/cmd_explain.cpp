#include "cli/explanation.hpp"
#include "cli/invocation.hpp"
#include "cli/json.hpp"
#include "cli/rule_dirs.hpp"
#include "cli/session.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"

namespace holdfast::cli {

core::RunReport run_explain(const Session& session) {
  const Invocation& invocation = session.invocation;
  core::ExplainOptions options = invocation.explain;
  if (!options.rules.only_given) {
    find_rule_dirs(session.io, options.rules.sources);
  }
  return core::explain(
      invocation.targets, options,
      [&](const core::ExplainedPath& explained) {
        return session.out.write(invocation.json ? explanation_line(explained) + '\n'
                                                 : explanation_text(explained));
      },
      session.context);
}

}  // namespace holdfast::cli
