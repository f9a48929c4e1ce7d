#include "storecore/people/places.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/name.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/inside_root.hpp"
#include "storecore/people/note.hpp"
#include "storecore/people/user_dirs.hpp"

namespace holdfast::core {
namespace {

struct DefaultPlace {
  std::string_view key;
  std::string_view below_home;
};
constexpr auto kBaseDirs = std::to_array<DefaultPlace>({{"config", ".config"},
                                                        {"data", ".local/share"},
                                                        {"cache", ".cache"},
                                                        {"state", ".local/state"}});
constexpr auto kUserDirs = std::to_array<DefaultPlace>({{"desktop", "Desktop"},
                                                        {"documents", "Documents"},
                                                        {"downloads", "Downloads"},
                                                        {"music", "Music"},
                                                        {"pictures", "Pictures"},
                                                        {"public", "Public"},
                                                        {"templates", "Templates"},
                                                        {"videos", "Videos"}});

/// Whole, with all that is below.
constexpr auto kSystemTrees = std::to_array<std::string_view>(
    {".holdfast", "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found",
     "proc", "run", "sbin", "sys", "usr"});
/// Themselves, and not what is below: homes are made there.
constexpr auto kSystemDirs = std::to_array<std::string_view>(
    {"gnu",       "home",     "media",     "mnt",     "nix",       "opt",    "snap",     "srv",
     "tmp",       "usr/home", "usr/local", "var",     "var/cache", "var/db", "var/home", "var/lib",
     "var/local", "var/log",  "var/mail",  "var/opt", "var/spool", "var/tmp"});

constexpr std::uint32_t kOthersMayRead = 04;

/// What is known of a path that is to be a place.
struct Place {
  std::string path;
  bool is_outside = false;
  bool other_volume = false;
  std::string_view refusal;  ///< why it is none; empty: it is one
};

class PlaceFinder {
 public:
  PlaceFinder(DirFd root, const Account& account, std::span<const std::string> homes,
              UserPlaces& result, std::vector<PeopleNote>& notes)
      : root_(root), account_(account), homes_(homes), result_(result), notes_(notes) {}

  void find() {
    if (auto home = resolve_inside(root_, result_.home); home && home->exists) home_ = home->stat;
    for (const DefaultPlace& place : kBaseDirs) add_base_dir(place);
    const UserDirs dirs = read_user_dirs();
    for (const DefaultPlace& place : kUserDirs) {
      const auto named = dirs.dirs.find(place.key);
      add_user_dir(place.key,
                   named != dirs.dirs.end()
                       ? named->second
                       : UserDir{.below_home = true, .path = std::string(place.below_home)});
    }
    keep_base_dirs_apart();
  }

 private:
  void add_base_dir(const DefaultPlace& base) {
    const std::string literal = below_home(base.below_home);
    Place place = look_at(literal);
    if (place.path == result_.home) place.refusal = "it is the home itself";
    add(base.key, std::move(place), literal);
  }

  void add_user_dir(std::string_view key, const UserDir& dir) {
    if (dir.below_home && dir.path.empty()) return;
    const std::string literal = dir.below_home ? below_home(dir.path) : dir.path;
    Place place = look_at(literal);
    if (place.path != result_.home) add(key, std::move(place), literal);
  }

  void add(std::string_view key, Place place, const std::string& literal) {
    tell(place, literal);
    if (place.refusal.empty()) {
      result_.places.emplace(key, std::move(place.path));
      return;
    }
    // A link in the home that leads where it must not is a link in the home, no more.
    const bool is_link = place.path != literal && catalog::is_clean_path(literal);
    if (is_link && is_own(result_, literal) && claim_of_others(literal).empty()) {
      result_.places.emplace(key, literal);
    }
  }

  [[nodiscard]] std::string below_home(std::string_view path) const {
    return catalog::join_path(result_.home, path);
  }

  [[nodiscard]] Place look_at(const std::string& literal) const {
    Place place;
    const auto found = resolve_inside(root_, literal);
    if (!found) {
      place.path = literal;
      place.refusal = "it cannot be followed inside ROOT";
      return place;
    }
    place.path = found->path;
    if (place.path == result_.home) return place;
    place.other_volume = found->exists && home_ && !found->stat.same_volume(*home_);
    place.is_outside = !is_own(result_, place.path);
    if (place.is_outside) {
      if (is_part_of_system(place.path)) {
        place.refusal = "it is a part of the system";
      } else if (is_at_or_below(result_.home, place.path)) {
        place.refusal = "it holds the home";
      } else if (found->exists && !found->stat.is_directory()) {
        place.refusal = "it is no directory";
      }
    }
    if (place.refusal.empty()) place.refusal = claim_of_others(place.path);
    return place;
  }

  /// What somebody else has to do with @p path. Homes that hold this one do not count inside it.
  [[nodiscard]] std::string_view claim_of_others(std::string_view path) const {
    for (std::string_view top = path; !top.empty() && top != result_.home;) {
      if (std::ranges::binary_search(homes_, top)) return "it is in somebody else's home";
      const std::size_t slash = top.rfind('/');
      top = top.substr(0, slash == std::string_view::npos ? 0 : slash);
    }
    const std::string inside = std::string(path) + "/";
    const auto next = std::ranges::lower_bound(homes_, inside);
    if (next != homes_.end() && next->starts_with(inside)) return "it holds somebody else's home";
    return {};
  }

  void tell(const Place& place, const std::string& literal) {
    const std::string given = place.path == literal ? "" : catalog::escape_name(literal) + ": ";
    if (!place.refusal.empty()) {
      note(NoteKind::kRefusedPlace, place.path, given + std::string(place.refusal));
      return;
    }
    if (place.is_outside) note(NoteKind::kOutsidePlace, place.path, given + "outside of the home");
    if (place.other_volume) note(NoteKind::kOtherVolume, place.path, given + "on another volume");
  }

  void note(NoteKind kind, std::string path, std::string reason) {
    notes_.push_back({.kind = kind,
                      .user = account_.name,
                      .path = std::move(path),
                      .reason = std::move(reason)});
  }

  [[nodiscard]] UserDirs read_user_dirs() {
    const std::string literal = below_home(".config/user-dirs.dirs");
    auto file = read_inside(root_, literal);
    if (!file) {
      note(NoteKind::kUnreadable, literal,
           reason_of(file.error()) + "; the default places are taken");
      return {};
    }
    if (!*file) return {};
    // A link may lead to what only root can read.
    const Stat& stat = (*file)->place.stat;
    if (stat.uid != account_.uid && (stat.mode & kOthersMayRead) == 0) {
      note(NoteKind::kUnreadable, literal,
           "the user could not read it; the default places are taken");
      return {};
    }
    UserDirs dirs = parse_user_dirs((*file)->bytes);
    add_line_notes(NoteKind::kBadLine, account_.name, literal, dirs.bad, notes_);
    return dirs;
  }

  /// A base directory that is a link to where another place is: what is said of caches must not
  /// reach documents.
  void keep_base_dirs_apart() {
    for (const DefaultPlace& base : kBaseDirs) {
      const std::string literal = below_home(base.below_home);
      const auto place = result_.places.find(base.key);
      if (place == result_.places.end() || place->second == literal) continue;
      std::string& path = place->second;
      const bool holds_another = std::ranges::any_of(result_.places, [&](const auto& other) {
        return other.first != base.key && is_at_or_below(other.second, path);
      });
      if (!holds_another) continue;
      note(NoteKind::kRefusedPlace, path,
           catalog::escape_name(literal) + ": another place is there already");
      path = literal;
    }
  }

  DirFd root_;
  const Account& account_;
  std::span<const std::string> homes_;
  std::optional<Stat> home_;
  UserPlaces& result_;
  std::vector<PeopleNote>& notes_;
};

}  // namespace

bool is_at_or_below(std::string_view path, std::string_view top) noexcept {
  if (top.empty() || path == top) return true;
  return path.starts_with(top) && path[top.size()] == '/';
}

bool is_own(const UserPlaces& places, std::string_view path) noexcept {
  return is_at_or_below(path, places.home);
}

bool is_part_of_system(std::string_view path) noexcept {
  if (path.empty() || std::ranges::find(kSystemDirs, path) != kSystemDirs.end()) return true;
  if (is_at_or_below(path, "usr/home") || is_at_or_below(path, "usr/local")) return false;
  return std::ranges::any_of(kSystemTrees,
                             [&](std::string_view tree) { return is_at_or_below(path, tree); });
}

std::optional<std::string> find_home(DirFd root, const Account& account,
                                     std::vector<PeopleNote>& notes) {
  std::string_view given = account.home;
  while (given.starts_with('/')) given.remove_prefix(1);
  const auto none = [&](NoteKind kind, std::string_view path, std::string reason) {
    notes.push_back({.kind = kind,
                     .user = account.name,
                     .path = std::string(path),
                     .reason = std::move(reason)});
    return std::nullopt;
  };
  if (account.home.empty()) return none(NoteKind::kNoHome, given, "passwd names no home");
  if (!account.home.starts_with('/')) {
    return none(NoteKind::kNoHome, given, "the home in passwd is no absolute path");
  }
  auto found = resolve_inside(root, given);
  if (!found) return none(NoteKind::kNoHome, given, found.error().message());
  if (is_part_of_system(found->path)) {
    const std::string reason =
        found->path.empty() ? "the home is the whole system" : "the home is a part of the system";
    return none(NoteKind::kSystemHome, found->path, reason);
  }
  if (!found->exists) return none(NoteKind::kNoHome, found->path, "the home is not there");
  if (!found->stat.is_directory()) {
    return none(NoteKind::kNoHome, found->path, "the home is no directory");
  }
  const auto top = stat_fd(root.fd);
  if (!top) return none(NoteKind::kNoHome, found->path, top.error().message());
  if (!found->stat.same_volume(*top)) {
    notes.push_back({.kind = NoteKind::kOtherVolume,
                     .user = account.name,
                     .path = found->path,
                     .reason = "the home is on another volume"});
  }
  return std::move(found->path);
}

UserPlaces find_places(DirFd root, const Account& account, std::string home,
                       std::span<const std::string> homes, std::vector<PeopleNote>& notes) {
  UserPlaces places{.user = account.name, .home = std::move(home), .places = {}};
  PlaceFinder(root, account, homes, places, notes).find();
  return places;
}

}  // namespace holdfast::core
