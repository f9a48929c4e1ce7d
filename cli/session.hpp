#pragma once

#include "cli/invocation.hpp"
#include "cli/io.hpp"
#include "cli/output.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/run/context.hpp"

/// What one command works with, and the commands themselves, one a file: each calls the engine and
/// gives back its report, which run() prints.
namespace holdfast::cli {

struct Session {
  const Invocation& invocation;
  Output& out;
  const core::RunContext& context;
  const Io& io;
};

[[nodiscard]] core::RunReport run_capture(const Session& session);
[[nodiscard]] core::RunReport run_seal(const Session& session);
[[nodiscard]] core::RunReport run_verify(const Session& session);
[[nodiscard]] core::RunReport run_wipe(const Session& session);
[[nodiscard]] core::RunReport run_rollback(const Session& session);
[[nodiscard]] core::RunReport run_restore(const Session& session);
[[nodiscard]] core::RunReport run_discard(const Session& session);
[[nodiscard]] core::RunReport run_status(const Session& session);
[[nodiscard]] core::RunReport run_ls(const Session& session);
[[nodiscard]] core::RunReport run_find(const Session& session);
[[nodiscard]] core::RunReport run_repair(const Session& session);
[[nodiscard]] core::RunReport run_explain(const Session& session);

/// What a destructive command without --yes answers: refused [no-yes], nothing looked at.
[[nodiscard]] core::RunReport refuse_without_yes(const Invocation& invocation);

}  // namespace holdfast::cli
