#pragma once

#include "cli/io.hpp"
#include "storecore/rules/rule_files.hpp"

namespace holdfast::cli {

/// Fills in where the built-in rules and those of the site are.
///
/// Built-in: HOLDFAST_RULES_DIR; else share/holdfast/rules.d beside the program's own folder, which
/// moves with an installation; else where it was to be installed when it was built.
void find_rule_dirs(const Io& io, core::RuleSources& sources);

}  // namespace holdfast::cli
