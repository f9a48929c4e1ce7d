#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fixture.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/people/note.hpp"
#include "storecore/people/places.hpp"

namespace holdfast::core {
namespace {

using test::TempDir;
using Map = std::map<std::string, std::string, std::less<>>;

/// "refused-place: home/bob: it is ..."
std::vector<std::string> texts(const std::vector<PeopleNote>& notes) {
  std::vector<std::string> lines;
  lines.reserve(notes.size());
  for (const PeopleNote& note : notes) {
    lines.push_back(std::string(to_word(note.kind)) + ": " + note.path + ": " + note.reason);
  }
  return lines;
}
using Texts = std::vector<std::string>;

/// home/al with a .config, and home/bob, of somebody else.
class Places : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* dir : {"home", "home/al", "home/al/.config", "home/bob", "home/bob/private",
                            "srv", "srv/media", "usr", "usr/share", "var", "var/lib"}) {
      tree.dir(dir);
    }
  }
  UserPlaces find(const std::string& home = "home/al") {
    notes.clear();
    std::ranges::sort(homes);
    return find_places(tree.fd(), account, home, homes, notes);
  }
  void user_dirs(std::string_view text) const { tree.file("home/al/.config/user-dirs.dirs", text); }
  /// What `documents` is with XDG_DOCUMENTS_DIR of @p value; "-" when there is no such place.
  std::string documents(const std::string& value) {
    user_dirs("XDG_DOCUMENTS_DIR=\"" + value + "\"\n");
    const UserPlaces found = find();
    const auto place = found.places.find("documents");
    return place == found.places.end() ? "-" : place->second;
  }

  TempDir tree;
  Account account{.name = "al", .uid = ::geteuid(), .home = "/home/al"};
  std::vector<std::string> homes{"home/al", "home/bob", "root"};
  std::vector<PeopleNote> notes;
};

TEST_F(Places, HaveDefaults) {
  const UserPlaces found = find();
  EXPECT_EQ(found.user, "al");
  EXPECT_EQ(found.home, "home/al");
  EXPECT_EQ(found.places, (Map{{"config", "home/al/.config"},
                               {"data", "home/al/.local/share"},
                               {"cache", "home/al/.cache"},
                               {"state", "home/al/.local/state"},
                               {"desktop", "home/al/Desktop"},
                               {"documents", "home/al/Documents"},
                               {"downloads", "home/al/Downloads"},
                               {"music", "home/al/Music"},
                               {"pictures", "home/al/Pictures"},
                               {"public", "home/al/Public"},
                               {"templates", "home/al/Templates"},
                               {"videos", "home/al/Videos"}}));
  EXPECT_EQ(texts(notes), Texts{});
}

TEST_F(Places, ComeFromUserDirs) {
  user_dirs(
      "XDG_PICTURES_DIR=\"$HOME/Bilder\"\nXDG_MUSIC_DIR=\"/home/al/Musik/\"\n"
      "XDG_TEMPLATES_DIR=\"$HOME/\"\nXDG_PUBLICSHARE_DIR=\"$HOME\"\nXDG_VIDEOS_DIR=\"/home/al\"\n");
  const UserPlaces found = find();
  EXPECT_EQ(found.places.at("pictures"), "home/al/Bilder");
  EXPECT_EQ(found.places.at("music"), "home/al/Musik");
  EXPECT_EQ(found.places.at("documents"), "home/al/Documents") << "not mentioned";
  EXPECT_FALSE(found.places.contains("templates"));
  EXPECT_FALSE(found.places.contains("public"));
  EXPECT_FALSE(found.places.contains("videos")) << "$HOME by another name";
  EXPECT_EQ(texts(notes), Texts{});
}

TEST_F(Places, OutsideOfTheHomeAreTakenAndNoted) {
  EXPECT_EQ(documents("/srv/media"), "srv/media");
  EXPECT_EQ(texts(notes), Texts{"outside-place: srv/media: outside of the home"});
  EXPECT_EQ(documents("$HOME/../../srv/media"), "srv/media");
  EXPECT_EQ(documents("/srv/not/there"), "srv/not/there");
  tree.symlink("/srv/media", "home/al/papers");
  EXPECT_EQ(documents("$HOME/papers"), "srv/media");
  EXPECT_EQ(texts(notes), Texts{"outside-place: srv/media: home/al/papers: outside of the home"});
  const UserPlaces found{.user = "al", .home = "home/al", .places = {}};
  EXPECT_TRUE(is_own(found, "home/al/x"));
  EXPECT_FALSE(is_own(found, "home/alf"));
  EXPECT_FALSE(is_own(found, "srv/media"));
}

TEST_F(Places, OfOthersAreRefused) {
  for (const char* value : {"/home/bob", "/home/bob/private", "$HOME/../bob", "/root/x"}) {
    EXPECT_EQ(documents(value), "-") << value;
    ASSERT_EQ(notes.size(), 1U) << value;
    EXPECT_EQ(notes[0].kind, NoteKind::kRefusedPlace) << value;
    EXPECT_EQ(notes[0].user, "al");
    EXPECT_TRUE(notes[0].reason.ends_with("it is in somebody else's home")) << notes[0].reason;
  }
  homes.emplace_back("srv/media/carl");
  EXPECT_EQ(documents("/srv/media"), "-");
  EXPECT_EQ(texts(notes), Texts{"refused-place: srv/media: it holds somebody else's home"});
}

TEST_F(Places, ThatHoldTheHomeOrTheSystemAreRefused) {
  for (const char* value : {"/", "$HOME/..", "$HOME/../..", "/home", "/usr", "/usr/share", "/etc",
                            "/var", "/var/lib", "/..", "/.holdfast/tree"}) {
    EXPECT_EQ(documents(value), "-") << value;
    ASSERT_EQ(notes.size(), 1U) << value;
    EXPECT_EQ(notes[0].kind, NoteKind::kRefusedPlace) << value;
  }
  tree.dir("data");
  tree.dir("data/al");
  homes.emplace_back("data/al");
  notes.clear();
  std::ranges::sort(homes);
  tree.dir("data/al/.config");
  tree.file("data/al/.config/user-dirs.dirs", "XDG_MUSIC_DIR=\"/data\"\n");
  EXPECT_FALSE(find("data/al").places.contains("music"));
  EXPECT_EQ(texts(notes), Texts{"refused-place: data: it holds the home"});
}

TEST_F(Places, ALinkToWhereItMustNotLeadIsALinkInTheHome) {
  tree.symlink("/home/bob", "home/al/.cache");
  tree.symlink("../bob/private", "home/al/Documents");
  tree.symlink("/", "home/al/.local");
  tree.symlink(".", "home/al/Music");
  const UserPlaces found = find();
  EXPECT_EQ(found.places.at("cache"), "home/al/.cache");
  EXPECT_EQ(found.places.at("documents"), "home/al/Documents");
  EXPECT_FALSE(found.places.contains("music")) << "it is the home";
  EXPECT_EQ(texts(notes),
            (Texts{"outside-place: share: home/al/.local/share: outside of the home",
                   "refused-place: home/bob: home/al/.cache: it is in somebody else's home",
                   "outside-place: state: home/al/.local/state: outside of the home",
                   "refused-place: home/bob/private: home/al/Documents: it is in somebody else's "
                   "home"}));
}

TEST_F(Places, LinksInsideTheHomeAreFollowed) {
  tree.dir("home/al/dot");
  tree.dir("home/al/dot/config");
  tree.file("home/al/dot/config/user-dirs.dirs", "XDG_MUSIC_DIR=\"$HOME/M\"\n");
  ASSERT_EQ(::rmdir(tree.path("home/al/.config").c_str()), 0);
  tree.symlink("dot/config", "home/al/.config");
  const UserPlaces found = find();
  EXPECT_EQ(found.places.at("config"), "home/al/dot/config");
  EXPECT_EQ(found.places.at("music"), "home/al/M");
  EXPECT_EQ(texts(notes), Texts{});
}

TEST_F(Places, ACacheIsNotWhereDocumentsAre) {
  tree.dir("home/al/Documents");
  tree.symlink("Documents", "home/al/.cache");
  const UserPlaces found = find();
  EXPECT_EQ(found.places.at("cache"), "home/al/.cache");
  EXPECT_EQ(found.places.at("documents"), "home/al/Documents");
  EXPECT_EQ(texts(notes), Texts{"refused-place: home/al/Documents: home/al/.cache: another place "
                                "is there already"});
  ASSERT_EQ(::unlink(tree.path("home/al/.cache").c_str()), 0);
  tree.symlink(".", "home/al/.cache");
  EXPECT_EQ(find().places.at("cache"), "home/al/.cache") << "not the home either";
}

TEST_F(Places, AHomeInsideTheHomeIsSomebodyElses) {
  tree.dir("home/al/guest");
  homes.emplace_back("home/al/guest");
  EXPECT_EQ(documents("$HOME/guest/papers"), "-");
  EXPECT_EQ(documents("$HOME/papers"), "home/al/papers");
  notes.clear();
  EXPECT_EQ(find("home/al/guest").places.at("documents"), "home/al/guest/Documents")
      << "the home around it does not count";
  EXPECT_EQ(texts(notes), Texts{});
}

TEST_F(Places, FollowASymlinkedUserDirsInsideRootOnly) {
  tree.dir("home/al/dotfiles");
  tree.file("home/al/dotfiles/dirs", "XDG_MUSIC_DIR=\"$HOME/M\"\n");
  tree.symlink("/home/al/dotfiles/dirs", "home/al/.config/user-dirs.dirs");
  EXPECT_EQ(find().places.at("music"), "home/al/M");
  EXPECT_EQ(texts(notes), Texts{});
  ASSERT_EQ(::unlink(tree.path("home/al/.config/user-dirs.dirs").c_str()), 0);
  tree.symlink("/../../../../../../etc/hostname", "home/al/.config/user-dirs.dirs");
  EXPECT_EQ(find().places.at("music"), "home/al/Music");
  EXPECT_EQ(texts(notes),
            Texts{"unreadable: home/al/.config/user-dirs.dirs: is a link to etc/hostname, which is "
                  "not there inside ROOT; the default places are taken"});
}

TEST_F(Places, DoNotReadWhatTheUserCouldNot) {
  tree.file("home/bob/secret", "XDG_MUSIC_DIR=\"$HOME/M\"\n");
  tree.symlink("../../bob/secret", "home/al/.config/user-dirs.dirs");
  account.uid = ::geteuid() + 1;
  EXPECT_EQ(find().places.at("music"), "home/al/M") << "everybody may read it";
  ASSERT_EQ(::chmod(tree.path("home/bob/secret").c_str(), 0640), 0);
  EXPECT_EQ(find().places.at("music"), "home/al/Music");
  EXPECT_EQ(texts(notes), Texts{"unreadable: home/al/.config/user-dirs.dirs: the user could not "
                                "read it; the default places are taken"});
  account.uid = ::geteuid();
  EXPECT_EQ(find().places.at("music"), "home/al/M") << "it is the user's";
}

TEST_F(Places, RubbishInUserDirsIsNoted) {
  tree.fifo("home/al/.config/user-dirs.dirs");
  EXPECT_EQ(find().places.at("music"), "home/al/Music");
  EXPECT_EQ(texts(notes), Texts{"unreadable: home/al/.config/user-dirs.dirs: is no regular file; "
                                "the default places are taken"});
  ASSERT_EQ(::unlink(tree.path("home/al/.config/user-dirs.dirs").c_str()), 0);
  user_dirs(std::string("\x7f\x45LF\0\n", 6) + std::string(1 << 20, '\n') + "a\n" +
            "XDG_MUSIC_DIR=\"$HOME/M\"\n");
  EXPECT_EQ(find().places.at("music"), "home/al/M");
  EXPECT_EQ(texts(notes),
            (Texts{"bad-line: home/al/.config/user-dirs.dirs: line 1: is no line of a "
                   "user-dirs.dirs",
                   "bad-line: home/al/.config/user-dirs.dirs: line 1048578: is no line of a "
                   "user-dirs.dirs"}));
  ASSERT_EQ(::truncate(tree.path("home/al/.config/user-dirs.dirs").c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(find().places.at("music"), "home/al/Music");
  EXPECT_EQ(texts(notes), Texts{"unreadable: home/al/.config/user-dirs.dirs: is larger than 16 "
                                "MiB; the default places are taken"});
}

TEST_F(Places, NamesAreBytes) {
  tree.dir("srv/a\n *?\xff");
  tree.symlink("/srv/a\n *?\xff", "home/al/Documents");
  EXPECT_EQ(find().places.at("documents"), "srv/a\n *?\xff");
  EXPECT_EQ(documents("$HOME/ [x] * \xff"), "home/al/ [x] * \xff");
}

TEST_F(Places, ThatCannotBeFollowedAreRefused) {
  tree.symlink("loop", "home/al/loop");
  EXPECT_EQ(documents("$HOME/loop/x"), "-");
  EXPECT_EQ(texts(notes),
            Texts{"refused-place: home/al/loop/x: it cannot be followed inside ROOT"});
  tree.file("srv/file");
  EXPECT_EQ(documents("/srv/file"), "-");
  EXPECT_EQ(texts(notes), Texts{"refused-place: srv/file: it is no directory"});
}

TEST_F(Places, OnAnotherVolumeAreTakenAndNoted) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  tree.dir("home/al/Music");
  EXPECT_EQ(test::in_child([&]() -> std::string {
              if (!test::enter_private_mounts()) return "no private mounts";
              if (::mount("x", tree.path("home/al/Music").c_str(), "tmpfs", 0, "size=64k") != 0) {
                return "mount";
              }
              const auto root = open_dir_path(tree.path());  // of this namespace
              const UserPlaces found = find_places(*root, account, "home/al", homes, notes);
              if (found.places.at("music") != "home/al/Music") return "not taken";
              const auto lines = texts(notes);
              return lines == Texts{"other-volume: home/al/Music: on another volume"} ? ""
                                                                                      : "not noted";
            }),
            "");
}

TEST(FindHome, FollowsLinksInsideRoot) {
  const TempDir tree;
  for (const char* dir : {"var", "var/home", "var/home/al *\xff", "usr", "usr/local", "usr/home",
                          "usr/home/bo", "usr/local/app"}) {
    tree.dir(dir);
  }
  tree.symlink("/var/home", "home");
  tree.symlink("var/home/al *\xff", "me");
  std::vector<PeopleNote> notes;
  const auto home = [&](const char* path) {
    return find_home(tree.fd(), {.name = "al", .home = path}, notes).value_or("-");
  };
  EXPECT_EQ(home("/home/al *\xff"), "var/home/al *\xff");
  EXPECT_EQ(home("//home/./al *\xff/"), "var/home/al *\xff");
  EXPECT_EQ(home("/me"), "var/home/al *\xff");
  EXPECT_EQ(home("/usr/home/bo"), "usr/home/bo");
  EXPECT_EQ(home("/usr/local/app"), "usr/local/app");
  EXPECT_EQ(texts(notes), Texts{});
}

TEST(FindHome, SaysWhyThereIsNone) {
  const TempDir tree;
  for (const char* dir : {"usr", "usr/sbin", "usr/home", "home", "var", "var/lib", "etc"}) {
    tree.dir(dir);
  }
  tree.file("home/file");
  tree.symlink("usr/sbin", "sbin");
  tree.symlink("/", "home/top");
  tree.symlink("loop", "home/loop");
  struct Case {
    std::string home;
    std::string note;
  };
  const std::vector<Case> cases{
      {"", "no-home: : passwd names no home"},
      {"home/al", "no-home: home/al: the home in passwd is no absolute path"},
      {"/nonexistent", "no-home: nonexistent: the home is not there"},
      {"/home/file", "no-home: home/file: the home is no directory"},
      {"/home/loop", "no-home: home/loop: Too many levels of symbolic links"},
      {"/", "system-home: : the home is the whole system"},
      {"/..", "system-home: : the home is the whole system"},
      {"/home/top", "system-home: : the home is the whole system"},
      {"/usr", "system-home: usr: the home is a part of the system"},
      {"/sbin", "system-home: usr/sbin: the home is a part of the system"},
      {"/home", "system-home: home: the home is a part of the system"},
      {"/usr/home", "system-home: usr/home: the home is a part of the system"},
      {"/var/lib", "system-home: var/lib: the home is a part of the system"},
      {"/etc", "system-home: etc: the home is a part of the system"},
      {"/proc/1/root", "system-home: proc/1/root: the home is a part of the system"},
      {"/" + std::string(5000, 'x'), "no-home: " + std::string(5000, 'x') + ": File name too long"},
  };
  for (const Case& each : cases) {
    std::vector<PeopleNote> notes;
    EXPECT_EQ(find_home(tree.fd(), {.name = "al", .home = each.home}, notes), std::nullopt);
    EXPECT_EQ(texts(notes), Texts{each.note});
  }
}

TEST(FindHome, OnAnotherVolumeIsTakenAndNoted) {
  if (!test::is_root()) GTEST_SKIP() << "needs root: a filesystem is mounted";
  const TempDir tree;
  tree.dir("home");
  EXPECT_EQ(test::in_child([&]() -> std::string {
              if (!test::enter_private_mounts()) return "no private mounts";
              if (::mount("x", tree.path("home").c_str(), "tmpfs", 0, "size=64k") != 0) {
                return "mount";
              }
              if (::mkdir(tree.path("home/al").c_str(), 0755) != 0) return "mkdir";
              const auto root = open_dir_path(tree.path());  // of this namespace
              std::vector<PeopleNote> notes;
              const auto home = find_home(*root, {.name = "al", .home = "/home/al"}, notes);
              if (home != "home/al") return "not taken";
              return texts(notes) == Texts{"other-volume: home/al: the home is on another volume"}
                         ? ""
                         : "not noted";
            }),
            "");
}

}  // namespace
}  // namespace holdfast::core
