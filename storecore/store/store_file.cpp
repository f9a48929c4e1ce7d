#include "storecore/store/store_file.hpp"

#include <sys/types.h>

#include <cerrno>
#include <expected>
#include <system_error>
#include <utility>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"

namespace holdfast::core {

using catalog::Fault;
using catalog::Result;

namespace {

constexpr const char* kHint = "the files are safe in tree/: see the README in the store";

}  // namespace

std::unexpected<catalog::Error> not_opened(const char* name, std::error_code cause) {
  auto error = catalog::failed("openat", name, cause);
  switch (cause.value()) {
    case ELOOP:    // a symlink
    case ENOTDIR:  // a file where a folder belongs
    case EISDIR:
    case ENXIO:  // a FIFO or socket
      error.error().fault = Fault::kCatalogBad;
      error.error().hint = kHint;
      break;
    default:
      break;
  }
  return error;
}

Result<Fd> open_store_file(DirFd dir, const char* name, int flags, mode_t mode) {
  auto fd = open_at(dir, name, flags, mode);
  if (!fd) return not_opened(name, fd.error());
  const auto stat = stat_fd(fd->get());
  if (!stat) return catalog::failed("statx", name, stat.error());
  if (!stat->is_regular())
    return catalog::fail(Fault::kCatalogBad, name, "is not a regular file", kHint);
  return std::move(*fd);
}

}  // namespace holdfast::core
