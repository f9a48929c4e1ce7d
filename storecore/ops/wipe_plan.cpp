#include "storecore/ops/wipe_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/codec.hpp"
#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "storecore/ops/capture_walk.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/journal.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Fault;
using catalog::Result;
using catalog::Status;

namespace {

bool is_below(std::string_view path, std::string_view top) {
  return path.size() > top.size() && path.starts_with(top) &&
         (top.empty() || path[top.size()] == '/');
}

std::string plan_name(std::uint32_t number) { return fmt::format("wipe-{}", number); }

class Planner {
 public:
  Planner(const Store& store, std::set<std::string> stays)
      : store_(&store), stays_(std::move(stays)) {}
  [[nodiscard]] Status visit(const std::string& path, const Fd& dir);
  [[nodiscard]] WipePlan take() { return std::move(plan_); }

 private:
  [[nodiscard]] bool leads_to_stay(const std::string& path) const {
    const auto at = stays_.lower_bound(path + "/");
    return at != stays_.end() && is_below(*at, path);
  }
  [[nodiscard]] Status name(const std::string& path, const Fd& dir, const std::string& name);

  const Store* store_;
  std::set<std::string> stays_;
  WipePlan plan_;
};

Status Planner::name(const std::string& path, const Fd& dir, const std::string& name) {
  const std::string full = catalog::join_path(path, name);
  const auto stat = stat_at(dir, name);
  if (!stat) return stat.error().value() == ENOENT ? Status{} : failed("statx", full, stat.error());
  if (stat->same_inode(store_->store_stat())) return {};
  const bool border = !stat->same_volume(store_->root_stat()) || stat->is_mount_root();
  const bool found = path.empty() && name == "lost+found" && stat->is_directory() && stat->uid == 0;
  if (border || found || stays_.contains(full)) {
    plan_.stays.push_back({.path = full, .inode = stat->inode});
    return {};
  }
  if (!stat->is_directory() || !leads_to_stay(full)) {
    plan_.moves.push_back({.path = full, .inode = stat->inode});
    return {};
  }
  const auto below = open_dir_at(dir, name.c_str());
  if (!below) return failed("openat", full, below.error());
  return visit(full, *below);
}

Status Planner::visit(const std::string& path, const Fd& dir) {
  auto record = read_directory_record(dir.get());
  if (!record) return failed("statx", path, record.error());
  plan_.splits.push_back(
      {.path = path, .inode = catalog::raw(record->inode), .record = std::move(*record)});
  DirReader listing;
  std::vector<std::string> names;
  while (true) {
    const auto more = listing.fill(dir.get());
    if (!more) return failed("getdents64", path, more.error());
    if (!*more) break;
    Dirent dirent;
    while (listing.next(dirent)) names.emplace_back(dirent.view());
  }
  for (const std::string& entry : names) {
    if (auto status = name(path, dir, entry); !status) return status;
  }
  return {};
}

/// "move INODE BASE64(PATH)", "stay ...", "split INODE BASE64(PATH) BASE64(RECORD)".
std::string line_of(std::string_view word, const WipePlan::Item& item) {
  return fmt::format("{} {} {}", word, item.inode, catalog::to_base64(item.path));
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t blank = line.find(' ');
    words.push_back(line.substr(0, blank));
    if (blank == std::string_view::npos) return words;
    line.remove_prefix(blank + 1);
  }
}

}  // namespace

bool WipePlan::stays_there(std::string_view path) const {
  return std::ranges::any_of(
      stays, [&](const Item& stay) { return path == stay.path || is_below(path, stay.path); });
}

bool WipePlan::is_split(std::string_view path) const {
  return std::ranges::any_of(splits, [&](const Split& split) { return path == split.path; });
}

Result<WipePlan> make_wipe_plan(const Store& store, const std::set<std::string>& keep,
                                const std::vector<std::string>& borders) {
  std::set<std::string> stays = keep;
  stays.insert(borders.begin(), borders.end());
  Planner planner(store, std::move(stays));
  auto root = open_dir_at(store.root(), ".");
  if (!root) return failed("openat", store.place().root, root.error());
  if (auto status = planner.visit("", *root); !status) return std::unexpected(status.error());
  return planner.take();
}

namespace {

constexpr std::string_view kIncomplete = "incomplete";
constexpr std::string_view kEnd = "end ";

std::size_t size_of(const WipePlan& plan) {
  return plan.moves.size() + plan.splits.size() + plan.stays.size() + (plan.incomplete ? 1 : 0);
}

std::vector<std::string> lines_of(const WipePlan& plan) {
  std::vector<std::string> lines;
  for (const WipePlan::Split& split : plan.splits) {
    const catalog::Directory row{
        .id = catalog::kRootDir, .parent = catalog::kNoDir, .name = {}, .record = split.record};
    lines.push_back(fmt::format("split {} {} {}", split.inode, catalog::to_base64(split.path),
                                catalog::to_base64(catalog::encode(row))));
  }
  for (const WipePlan::Item& item : plan.stays) lines.push_back(line_of("stay", item));
  for (const WipePlan::Item& item : plan.moves) lines.push_back(line_of("move", item));
  if (plan.incomplete) lines.emplace_back(kIncomplete);
  lines.push_back(fmt::format("end {}", lines.size()));
  return lines;
}

/// Adds what lies in one directory of aside/N and is in no line.
Status add_unlisted(DirFd aside, const std::string& path, WipePlan& plan) {
  const auto components = catalog::split_path(path);
  const auto dir = components ? open_dir_below(aside, *components)
                              : catalog::SysResult<Fd>(catalog::sys_error(EINVAL));
  if (!dir) return {};
  DirReader listing;
  while (true) {
    const auto more = listing.fill(dir->get());
    if (!more) return failed("getdents64", path, more.error());
    if (!*more) return {};
    for (Dirent dirent; listing.next(dirent);) {
      const std::string full = catalog::join_path(path, dirent.view());
      const bool listed =
          plan.is_split(full) ||
          std::ranges::any_of(plan.moves, [&](const auto& move) { return move.path == full; });
      const auto stat = stat_at(*dir, dirent.name);
      if (!listed && stat) plan.moves.push_back({.path = full, .inode = stat->inode});
    }
  }
}

}  // namespace

Status save_wipe_plan(const Store& store, std::uint32_t number, const WipePlan& plan) {
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  auto journal = Journal::open(*dir, plan_name(number).c_str());
  if (!journal) return std::unexpected(journal.error());
  if (auto cleared = journal->clear(); !cleared) return cleared;
  return journal->append_all(lines_of(plan));
}

Result<bool> mend_wipe_plan(const Store& store, std::uint32_t number) {
  if (const auto sound = load_wipe_plan(store, number);
      sound || sound.error().fault != Fault::kCatalogBad)
    return sound ? Result<bool>(false) : std::unexpected(sound.error());
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  WipePlan plan;
  std::size_t planned = 0;  // what the end says, if it is whole
  const auto read = Journal::read_whole_lines(
      *dir, plan_name(number).c_str(), [&](std::string_view line) -> Status {
        if (line == kIncomplete) plan.incomplete = true;
        if (line.starts_with(kEnd)) {
          const std::string_view digits = line.substr(kEnd.size());
          (void)std::from_chars(digits.data(), digits.data() + digits.size(), planned);
        }
        (void)add_plan_line(line, plan);
        return {};
      });
  if (!read) return std::unexpected(read.error());
  if (!plan.is_split("")) {
    auto record = read_directory_record(store.root().fd);
    if (!record) return failed("statx", store.place().root, record.error());
    plan.splits.insert(
        plan.splits.begin(),
        {.path = {}, .inode = catalog::raw(record->inode), .record = std::move(*record)});
  }
  const std::vector<std::string> parts{layout::kAside, std::to_string(number)};
  if (const auto aside = open_dir_below(store.dir(), parts)) {
    for (std::size_t i = 0; i < plan.splits.size(); ++i) {
      if (auto added = add_unlisted(*aside, plan.splits[i].path, plan); !added)
        return std::unexpected(added.error());
    }
  }
  plan.incomplete = plan.incomplete || planned != size_of(plan);
  if (auto replaced = Journal::replace(*dir, plan_name(number), lines_of(plan)); !replaced)
    return std::unexpected(replaced.error());
  return true;
}

bool add_plan_line(std::string_view line, WipePlan& plan) {
  const auto words = words_of(line);
  if (words.size() < 3) return false;
  WipePlan::Item item;
  const auto [end, error] =
      std::from_chars(words[1].data(), words[1].data() + words[1].size(), item.inode);
  if (error != std::errc{} || end != words[1].data() + words[1].size()) return false;
  auto path = catalog::from_base64(words[2]);
  if (!path || !catalog::is_clean_path(*path)) return false;
  item.path = std::move(*path);
  if (words[0] == "move" && words.size() == 3 && !item.path.empty()) {
    plan.moves.push_back(std::move(item));
    return true;
  }
  if (words[0] == "stay" && words.size() == 3 && !item.path.empty()) {
    plan.stays.push_back(std::move(item));
    return true;
  }
  if (words[0] != "split" || words.size() != 4) return false;
  const auto bytes = catalog::from_base64(words[3]);
  if (!bytes) return false;
  auto row = catalog::decode_directory(catalog::kRootDir, *bytes);
  if (!row) return false;
  plan.splits.push_back(
      {.path = std::move(item.path), .inode = item.inode, .record = std::move(row->record)});
  return true;
}

Result<WipePlan> load_wipe_plan(const Store& store, std::uint32_t number) {
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  WipePlan plan;
  bool ended = false;
  const auto damaged = [&] {
    return catalog::fail(Fault::kCatalogBad, plan_name(number), "the wipe plan is damaged");
  };
  const auto read =
      Journal::read(*dir, plan_name(number).c_str(), [&](std::string_view line) -> Status {
        if (line == fmt::format("end {}", size_of(plan))) {
          ended = true;
          return {};
        }
        if (line == kIncomplete) {
          plan.incomplete = true;
          return {};
        }
        if (ended || !add_plan_line(line, plan)) return damaged();
        return {};
      });
  if (!read) return std::unexpected(read.error());
  if (!ended) return damaged();
  return plan;
}

Status check_complete(const Store& store, const WipePlan& plan) {
  if (!plan.incomplete) return {};
  return catalog::refused(
      "plan-incomplete", store.place().root,
      "lines of the wipe plan were lost: what is in ROOT cannot be told from an image",
      "holdfast restore brings back what was captured; the rest is in aside/ of the store");
}

catalog::SysResult<Fd> open_parent(DirFd top, std::string_view path) {
  const auto components = catalog::split_path(path);
  if (!components || components->empty()) return catalog::sys_error(EINVAL);
  return open_dir_below(top, std::span(*components).first(components->size() - 1));
}

bool is_absent(std::error_code error) noexcept {
  const int number = error.value();
  return number == ENOENT || number == ENOTDIR || number == ELOOP;
}

Result<std::optional<Stat>> find_below(DirFd top, std::string_view path) {
  const auto parent = open_parent(top, path);
  const auto stat = parent ? stat_at(*parent, last_component(path))
                           : catalog::SysResult<Stat>(std::unexpected(parent.error()));
  if (stat) return *stat;
  if (is_absent(stat.error())) return std::nullopt;
  return failed(parent ? "statx" : "openat", path, stat.error());
}

std::string last_component(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

}  // namespace holdfast::core
