#include "storecore/ops/protect.hpp"

#include <array>
#include <cerrno>
#include <expected>
#include <memory>
#include <system_error>
#include <utility>

#include "catalog/error.hpp"
#include "catalog/problem.hpp"
#include "storecore/ops/session.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/run/failpoint.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"
#include "storecore/walk/dir_node.hpp"
#include "storecore/walk/tree_walk.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Status;

namespace {

constexpr std::array<const char*, 4> kProtected{layout::kCatalog, layout::kSelection,
                                                layout::kJournal, layout::kDropped};

bool cannot(std::error_code error) {
  const int value = error.value();
  return value == ENOTTY || value == EOPNOTSUPP || value == EPERM || value == EACCES ||
         value == EINVAL;
}

Status set_all(Session& session, const Store& store, bool immutable) {
  auto tree = store.tree(std::make_shared<FdBudget>(FdBudget::default_size()));
  if (!tree) return std::unexpected(tree.error());
  const auto flag = [immutable](const Fd& dir, DirNode& node) -> Status {
    if (auto set = set_immutable(dir.get(), immutable); !set)
      return failed("ioctl(FS_IOC_SETFLAGS)", node.path(), set.error());
    failpoint("directory-flagged");
    return {};
  };
  if (auto set = TreeWalk(session.context(), flag, {}).run(std::move(*tree)); !set) return set;
  for (const char* name : kProtected) {
    const auto dir = store.subdir(name);
    if (!dir) return std::unexpected(dir.error());
    if (auto set = set_immutable(dir->get(), immutable); !set)
      return failed("ioctl(FS_IOC_SETFLAGS)", name, set.error());
  }
  return {};
}

}  // namespace

Status protect_store(Session& session, Store& store) {
  store.record().protected_dirs = true;
  if (auto saved = store.save(); !saved) return saved;
  failpoint("protecting");
  // The store's own directory first: whether it can be done at all shows at once.
  const auto top = set_immutable(store.dir().fd, true);
  // A failure leaves the record: directories further down may still have the flag of an earlier
  // run.
  if (!top && !cannot(top.error()))
    return failed("ioctl(FS_IOC_SETFLAGS)", store.place().store, top.error());
  if (!top) {
    store.record().protected_dirs = false;
    if (auto saved = store.save(); !saved) return saved;
    session.problem({.kind = catalog::ProblemKind::kWarning,
                     .path = layout::kStore,
                     .operation = "ioctl(FS_IOC_SETFLAGS)",
                     .error_number = top.error().value(),
                     .reason = "the store cannot be made immutable here: apply the image without "
                               "deleting what it lacks"});
    return {};
  }
  return set_all(session, store, true);
}

Status unprotect_store(Session& session, Store& store) {
  if (!store.record().protected_dirs) return {};
  if (auto set = set_immutable(store.dir().fd, false); !set)
    return failed("ioctl(FS_IOC_SETFLAGS)", store.place().store, set.error());
  if (auto cleared = set_all(session, store, false); !cleared) return cleared;
  failpoint("unprotected");
  // A record that says "none are set" before that is durable would leave flags that nobody clears.
  if (auto barrier = store.barrier(); !barrier) return barrier;
  store.record().protected_dirs = false;
  return store.save();
}

}  // namespace holdfast::core
