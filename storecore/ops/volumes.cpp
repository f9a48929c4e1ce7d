#include "storecore/ops/volumes.hpp"

#include <fmt/format.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/identity.hpp"
#include "storecore/os/mounts.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/state.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::core {

using catalog::Result;

namespace {

/// What is left of @p path below @p top, both absolute; nullopt when it is not below. Empty: the
/// same.
std::optional<std::string> below(std::string_view path, std::string_view top) {
  if (top == "/") return std::string(path == "/" ? "" : path);
  if (!path.starts_with(top)) return std::nullopt;
  if (path.size() == top.size()) return std::string();
  if (path[top.size()] != '/') return std::nullopt;
  return std::string(path.substr(top.size()));
}

std::string join(std::string_view top, std::string_view rest) {
  if (rest.empty()) return std::string(top);
  return top == "/" ? std::string(rest) : std::string(top) + std::string(rest);
}

/// Is the tied ROOT at @p path?
bool is_there(const TiedVolume& tied, const std::string& path) {
  const auto dir = open_dir_path(path);
  if (!dir) return false;
  const auto root = identify_dir(*dir);
  if (!root || *root != tied.root) return false;
  const auto volume = identify_volume(*dir);
  return volume && volume->subvolume == tied.volume.subvolume &&
         (volume->fs_uuid.empty() || tied.volume.fs_uuid.empty() ||
          volume->fs_uuid == tied.volume.fs_uuid);
}

/// A pattern's components before any `**`, for comparing with a literal path.
std::vector<std::string> parts_of(std::string_view pattern) {
  std::vector<std::string> parts;
  while (!pattern.empty()) {
    const std::size_t slash = pattern.find('/');
    if (slash != 0) parts.emplace_back(pattern.substr(0, slash));
    if (slash == std::string_view::npos) break;
    pattern.remove_prefix(slash + 1);
  }
  return parts;
}

enum class Fit { kNo, kCovers, kRest };

/// How an anchored pattern looks from below @p components: takes all there, has a rest, or does not
/// lead there.
Fit fit(const std::vector<std::string>& parts, const std::vector<std::string>& components,
        std::string& rest) {
  for (std::size_t i = 0; i < components.size(); ++i) {
    if (i == parts.size()) return Fit::kCovers;
    if (parts[i] == "**") {  // matches any depth from here on
      rest.clear();
      for (std::size_t k = i; k < parts.size(); ++k) rest += (rest.empty() ? "" : "/") + parts[k];
      return Fit::kRest;
    }
    if (!glob_match(parts[i], components[i])) return Fit::kNo;
  }
  if (parts.size() == components.size()) return Fit::kCovers;
  rest.clear();
  for (std::size_t k = components.size(); k < parts.size(); ++k)
    rest += (rest.empty() ? "" : "/") + parts[k];
  return Fit::kRest;
}

bool is_anchored(const SelectionRule& rule) {
  if (rule.effect == RuleEffect::kInclude) return true;  // `**/` is a part like others
  return rule.pattern.find('/') < rule.pattern.size() - 1;
}

/// Rules that may match below @p components, and one in the place of what decides there: it matches
/// the names at the top, and gives way to every rule that matches them as well.
Result<std::vector<SelectionRule>> rules_below(const SelectionSpec& spec,
                                               const std::vector<std::string>& components) {
  std::vector<SelectionRule> rules;
  const auto selection = Selection::compile(spec);
  if (!selection) return std::unexpected(selection.error());
  const Explanation why =
      selection->explain(fmt::format("{}", fmt::join(components, "/")), /*is_directory=*/true);
  const Explanation::Match* decided = why.decided_by();
  if (why.verdict == Selection::Verdict::kUnselected) return rules;
  if (why.verdict == Selection::Verdict::kSelected && decided != nullptr &&
      decided->by == Explanation::By::kRule) {
    rules.push_back(spec.rules[decided->index]);
    rules.back().layer = RuleLayer::kBuiltin;
    rules.back().pattern = "/*";
  }
  std::string rest;
  for (const SelectionRule& rule : spec.rules) {
    if (!is_anchored(rule)) {
      rules.push_back(rule);
    } else if (fit(parts_of(rule.pattern), components, rest) == Fit::kRest) {
      rules.push_back(rule);
      rules.back().pattern = rest.starts_with("**") ? rest : "/" + rest;
    }
  }
  return rules;
}

}  // namespace

Result<TiedVolume> describe_volume(const Store& store) {
  const StoreRecord& record = store.record();
  TiedVolume tied{
      .volume = record.volume, .root = record.root, .path = store.place().root, .inside = {}};
  const auto mounts = read_mounts();
  if (!mounts) return std::unexpected(mounts.error());
  if (const Mount* mount = find_mount(*mounts, store.root_stat().mount_id)) {
    if (const auto rest = below(tied.path, mount->mount_point))
      tied.inside = join(mount->root, *rest);
  }
  return tied;
}

std::optional<std::string> find_volume(const TiedVolume& tied, const std::vector<Mount>& mounts,
                                       const std::map<std::string, std::string>& hints) {
  if (const auto hint = hints.find(tied.volume.fs_uuid); hint != hints.end()) {
    if (is_there(tied, hint->second)) return hint->second;
  }
  if (is_there(tied, tied.path)) return tied.path;
  for (const Mount& mount : mounts) {
    const FsClass kind = classify_fs(mount.fs_type);
    if (kind == FsClass::kPseudo || kind == FsClass::kNetwork)
      continue;  // looking into those can hang
    const auto rest = below(tied.inside, mount.root);
    if (!rest) continue;
    std::string candidate = join(mount.mount_point, *rest);
    if (is_there(tied, candidate)) return candidate;
  }
  return std::nullopt;
}

bool is_read_only_subvolume(int fd) noexcept {
  std::uint64_t flags = 0;
  return ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) == 0 && (flags & BTRFS_SUBVOL_RDONLY) != 0;
}

std::string describe_border(int fd, const Stat& stat, bool subvolume) {
  if (subvolume)
    return is_read_only_subvolume(fd) ? "a read-only btrfs snapshot"
                                      : "a btrfs subvolume of its own";
  std::string type = "unknown type";
  if (const auto mounts = read_mounts()) {
    if (const Mount* mount = find_mount(*mounts, stat.mount_id)) type = mount->fs_type;
  }
  const auto space = space_of(fd);
  if (!space) return fmt::format("another volume is mounted here: {}", type);
  constexpr double mebibyte = 1024.0 * 1024.0;
  const auto used =
      static_cast<double>(space->total_bytes - std::min(space->total_bytes, space->free_bytes));
  return fmt::format("another volume is mounted here: {}, {:.1f} MiB in use", type,
                     used / mebibyte);
}

Result<std::vector<std::string>> volumes_below(const std::string& root) {
  const auto mounts = read_mounts();
  if (!mounts) return std::unexpected(mounts.error());
  std::vector<std::string> found;
  for (const Mount& mount : *mounts) {
    const auto rest = below(mount.mount_point, root);
    if (!rest || rest->empty() || mount.read_only) continue;
    if (classify_fs(mount.fs_type) != FsClass::kReal || is_removable(mount.device)) continue;
    // Only what is on top of its mount point counts: a mount may lie under another.
    const auto dir = open_dir_path(mount.mount_point);
    const auto stat =
        dir ? stat_fd(dir->get()) : catalog::SysResult<Stat>(std::unexpected(dir.error()));
    if (stat && (stat->mount_id == mount.id || stat->mount_id == 0))
      found.push_back(mount.mount_point);
  }
  std::ranges::sort(found);
  const auto same = std::ranges::unique(found);
  found.erase(same.begin(), same.end());
  return found;
}

std::optional<SelectionSpec> rebase_selection(const SelectionSpec& spec,
                                              const std::vector<std::string>& components) {
  SelectionSpec below_spec;
  below_spec.everything = spec.everything;
  std::string rest;
  for (const std::string& pattern : spec.include) {
    switch (fit(parts_of(pattern), components, rest)) {
      case Fit::kCovers:
        below_spec.everything = true;
        break;
      case Fit::kRest:
        below_spec.include.push_back(rest);
        break;
      case Fit::kNo:
        break;
    }
  }
  if (below_spec.everything) below_spec.include.clear();
  if (!spec.rules.empty() && !below_spec.everything) {
    auto rules = rules_below(spec, components);
    if (!rules) return std::nullopt;  // it was compiled before
    below_spec.rules = std::move(*rules);
  }
  const bool wants_something = below_spec.everything || !below_spec.include.empty() ||
                               std::ranges::any_of(below_spec.rules, [](const SelectionRule& rule) {
                                 return rule.effect == RuleEffect::kInclude;
                               });
  if (!wants_something) return std::nullopt;
  for (const std::string& pattern : spec.exclude) {
    const auto parts = parts_of(pattern);
    const bool anchored = pattern.find('/') < pattern.size() - 1;
    if (!anchored) {
      if (std::ranges::any_of(
              components, [&](const std::string& name) { return glob_match(parts.front(), name); }))
        return std::nullopt;
      below_spec.exclude.push_back(pattern);
      continue;
    }
    const Fit fits = fit(parts, components, rest);
    if (fits == Fit::kCovers) return std::nullopt;
    if (fits == Fit::kRest) below_spec.exclude.push_back("/" + rest);
  }
  return below_spec;
}

FollowedTargets follow_volumes(const std::vector<std::string>& roots,
                               const std::optional<std::string>& store,
                               const std::map<std::string, std::string>& hints) {
  FollowedTargets followed;
  const auto mounts = read_mounts();
  // By volume and ROOT: the roots of two filesystems made in the same second have the same inode
  // number and birth time.
  std::vector<std::pair<VolumeIdentity, DirIdentity>> known;
  std::vector<TiedVolume> tied;
  for (const std::string& root : roots) {
    followed.roots.push_back(root);
    const auto place = resolve_place(root, store);
    if (!place) continue;
    const auto opened = Store::open(*place, Store::Access::kPeek, {}, {});
    if (!opened) continue;
    known.emplace_back(opened->record().volume, opened->record().root);
    for (const TiedVolume& volume : opened->record().volumes) tied.push_back(volume);
  }
  if (store || !mounts) return followed;
  for (const TiedVolume& volume : tied) {
    const std::pair identity(volume.volume, volume.root);
    if (std::ranges::find(known, identity) != known.end()) continue;
    known.push_back(identity);
    if (auto path = find_volume(volume, *mounts, hints)) {
      followed.roots.push_back(std::move(*path));
    } else {
      followed.absent.push_back(volume);
    }
  }
  return followed;
}

}  // namespace holdfast::core
