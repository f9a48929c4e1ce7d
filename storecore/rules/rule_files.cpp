#include "storecore/rules/rule_files.hpp"

#include <fcntl.h>

#include <boost/filesystem/directory.hpp>
#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <boost/system/error_code.hpp>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/path_error.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/rules/rule_book.hpp"
#include "storecore/rules/rule_file.hpp"
#include "storecore/select/rule.hpp"

namespace holdfast::core {
namespace {

namespace fs = boost::filesystem;
using catalog::Fault;
using catalog::Result;
using catalog::Status;
using FilesByName = std::map<std::string, FoundRuleFile>;

constexpr std::string_view kSuffix = ".toml";

std::unexpected<catalog::Error> unusable(std::string_view operation, const std::string& path,
                                         const std::error_code& error) {
  if (is_callers_mistake(error)) return catalog::fail(Fault::kUsage, path, error.message());
  return catalog::failed(operation, path, error);
}

std::error_code to_std(const boost::system::error_code& error) {
  return {error.value(), std::generic_category()};
}

bool is_rule_file_name(std::string_view name) noexcept {
  return name.ends_with(kSuffix) && !name.starts_with('.');
}

/// Replaces what @p files has of the same name.
Status add_directory(const std::string& dir, RuleLayer layer, FilesByName& files) {
  boost::system::error_code error;
  fs::directory_iterator entry(dir, error);
  if (error == boost::system::errc::no_such_file_or_directory) {
    if (layer == RuleLayer::kSite) return {};
    return catalog::fail(Fault::kFailed, dir, "the folder of the built-in rules is missing");
  }
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!is_rule_file_name(name)) continue;
    files.insert_or_assign(name, FoundRuleFile{.path = entry->path().string(), .layer = layer});
  }
  if (error) return unusable("readdir", dir, to_std(error));
  return {};
}

}  // namespace

Result<std::vector<FoundRuleFile>> find_rule_files(const RuleSources& sources) {
  FilesByName by_name;
  if (!sources.builtin_dir.empty()) {
    if (auto added = add_directory(sources.builtin_dir, RuleLayer::kBuiltin, by_name); !added) {
      return std::unexpected(std::move(added.error()));
    }
  }
  if (!sources.site_dir.empty()) {
    if (auto added = add_directory(sources.site_dir, RuleLayer::kSite, by_name); !added) {
      return std::unexpected(std::move(added.error()));
    }
  }
  std::vector<FoundRuleFile> files;
  for (auto& [name, file] : by_name) files.push_back(std::move(file));
  for (const std::string& path : sources.given) {
    files.push_back({.path = path, .layer = RuleLayer::kGiven});
  }
  return files;
}

Result<std::string> read_rule_file(const std::string& path) {
  // Whoever writes rules may keep them elsewhere and link them here.
  boost::system::error_code error;
  const std::string real = fs::canonical(path, error).string();
  if (error) return unusable("realpath", path, to_std(error));
  if (real == "/dev/null") return std::string();
  const auto stat = stat_path(real);
  if (!stat) return unusable("statx", path, stat.error());
  if (!stat->is_regular()) {
    return catalog::fail(Fault::kUsage, path,
                         stat->is_directory() ? "is a directory" : "is no regular file");
  }
  const auto fd = open_at(DirFd(AT_FDCWD), real.c_str(), O_RDONLY);
  if (!fd) return unusable("openat", path, fd.error());
  auto text = read_all(fd->get(), kMaxRuleFileBytes);
  if (text) return std::move(*text);
  if (text.error() == std::errc::file_too_large) {
    return catalog::fail(Fault::kUsage, path, "is larger than 1 MiB, too large for a rule file");
  }
  return unusable("read", path, text.error());
}

Result<RuleBook> load_rules(const RuleSources& sources) {
  const auto files = find_rule_files(sources);
  if (!files) return std::unexpected(files.error());
  RuleBook book;
  for (const FoundRuleFile& file : *files) {
    const auto text = read_rule_file(file.path);
    if (!text) return std::unexpected(text.error());
    auto parsed = parse_rules(*text, file.path, file.layer);
    if (!parsed) return std::unexpected(std::move(parsed.error()));
    if (auto added = book.add(std::move(*parsed)); !added) {
      return std::unexpected(std::move(added.error()));
    }
  }
  return book;
}

}  // namespace holdfast::core
