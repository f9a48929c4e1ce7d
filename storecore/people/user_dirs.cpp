#include "storecore/people/user_dirs.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "storecore/people/accounts.hpp"

namespace holdfast::core {
namespace {

struct DirKey {
  std::string_view variable;  ///< between XDG_ and _DIR
  std::string_view place;
};
constexpr auto kDirKeys = std::to_array<DirKey>({{"DESKTOP", "desktop"},
                                                 {"DOCUMENTS", "documents"},
                                                 {"DOWNLOAD", "downloads"},
                                                 {"MUSIC", "music"},
                                                 {"PICTURES", "pictures"},
                                                 {"PUBLICSHARE", "public"},
                                                 {"TEMPLATES", "templates"},
                                                 {"VIDEOS", "videos"}});

void skip_blanks(std::string_view& text) noexcept {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
}

bool take(std::string_view& text, std::string_view front) noexcept {
  if (!text.starts_with(front)) return false;
  text.remove_prefix(front.size());
  return true;
}

/// What is behind the `=`. @return what is wrong with it; empty when nothing is
std::string_view read_value(std::string_view text, UserDir& dir) {
  if (!take(text, "\"")) return "has no quotes around its path";
  dir.below_home = take(text, "$HOME");
  if (!text.starts_with('/') && !(dir.below_home && text.starts_with('"'))) {
    return "has a path that begins with neither $HOME nor a slash";
  }
  std::string path;
  for (; !text.starts_with('"'); text.remove_prefix(1)) {
    if (take(text, "\\") && text.empty()) return "has no quote at the end of its path";
    if (text.empty()) return "has no quote at the end of its path";
    if (text.front() == '\0') return "holds a NUL byte";
    path.push_back(text.front());
  }
  while (path.ends_with('/')) path.pop_back();
  path.erase(0, std::min(path.find_first_not_of('/'), path.size()));
  dir.path = std::move(path);
  return {};
}

}  // namespace

UserDirs parse_user_dirs(std::string_view bytes) {
  UserDirs result;
  for (std::uint32_t number = 1; !bytes.empty(); ++number) {
    std::string_view line = next_line(bytes);
    skip_blanks(line);
    if (line.empty() || line.front() == '#') continue;
    if (!take(line, "XDG_")) {
      result.bad.add(number, "is no line of a user-dirs.dirs");
      continue;
    }
    const auto key = std::ranges::find_if(
        kDirKeys, [&](const DirKey& candidate) { return line.starts_with(candidate.variable); });
    if (key == kDirKeys.end() || !take(line, key->variable) || !take(line, "_DIR")) continue;
    skip_blanks(line);
    if (!take(line, "=")) continue;
    skip_blanks(line);
    UserDir dir;
    if (const std::string_view fault = read_value(line, dir); !fault.empty()) {
      result.bad.add(number, std::string(fault));
      continue;
    }
    result.dirs.insert_or_assign(std::string(key->place), std::move(dir));
  }
  return result;
}

}  // namespace holdfast::core
