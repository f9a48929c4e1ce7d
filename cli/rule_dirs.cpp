#include "cli/rule_dirs.hpp"

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <boost/system/error_code.hpp>

#include "cli/io.hpp"
#include "storecore/rules/rule_files.hpp"

namespace holdfast::cli {

namespace {

constexpr const char* kSiteDir = "/etc/holdfast/rules.d";

}  // namespace

void find_rule_dirs(const Io& io, core::RuleSources& sources) {
  sources.site_dir = kSiteDir;
  if (const auto named = io.environment ? io.environment("HOLDFAST_RULES_DIR") : std::nullopt;
      named && !named->empty()) {
    sources.builtin_dir = *named;
    return;
  }
  sources.builtin_dir = HOLDFAST_RULES_DIR;
  boost::system::error_code failed;
  const auto program = boost::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) {
    return;
  }
  const auto beside = program.parent_path().parent_path() / "share" / "holdfast" / "rules.d";
  if (boost::filesystem::is_directory(beside, failed)) {
    sources.builtin_dir = beside.string();
  }
}

}  // namespace holdfast::cli
