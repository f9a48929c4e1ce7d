#include "storecore/link/attic.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Result;
using catalog::Status;

namespace {

/// A directory that only this store reaches: made if missing, opened.
Result<SharedFd> step(const Fd& parent, const std::string& name) {
  const auto made = mkdir_at(parent, name.c_str(), 0700);
  if (!made && made.error().value() != EEXIST) return failed("mkdirat", name, made.error());
  auto fd = open_dir_at(parent, name.c_str());
  if (!fd) return failed("openat", name, fd.error());
  return std::make_shared<const Fd>(std::move(*fd));
}

}  // namespace

std::string make_run_name() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return fmt::format("{}-{}", std::string_view(text.data(), length), getpid());
}

Attic::Attic(DirFd store, std::string area, std::string run)
    : store_(store), area_(std::move(area)), run_(std::move(run)) {}

Result<SharedFd> Attic::parent_for(std::string_view parent_path, unsigned attempt) {
  if (cached_ && cached_path_ == parent_path && cached_attempt_ == attempt) return cached_;
  auto area = open_dir_at(store_, area_.c_str());
  if (!area) return failed("openat", area_, area.error());
  auto at = step(*area, attempt == 1 ? run_ : fmt::format("{}.{}", run_, attempt));
  if (!at) return at;
  // The path was built from checked components; an existing non-directory on the way is EEXIST's
  // business.
  std::string_view rest = parent_path;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    const std::string component(rest.substr(0, slash));
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    at = step(**at, component);
    if (!at) return at;
  }
  cached_path_ = parent_path;
  cached_attempt_ = attempt;
  cached_ = *at;
  return at;
}

Status Attic::take(DirFd from, const std::string& name, std::string_view path) {
  const std::lock_guard lock(mutex_);
  const std::size_t slash = path.rfind('/');
  const std::string_view parent =
      slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
  const std::string last(slash == std::string_view::npos ? path : path.substr(slash + 1));
  for (unsigned attempt = 1;; ++attempt) {
    auto to = parent_for(parent, attempt);
    if (!to) {
      // A file taken earlier stands where this entry needs a directory.
      if (to.error().cause.value() == ENOTDIR) continue;
      return std::unexpected(to.error());
    }
    const auto renamed = rename_no_replace(from, name.c_str(), **to, last.c_str());
    if (renamed) break;
    if (renamed.error().value() != EEXIST && renamed.error().value() != ENOTEMPTY)
      return failed("renameat2", path, renamed.error());
  }
  ++taken_;
  return {};
}

}  // namespace holdfast::core
