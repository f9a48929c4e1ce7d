#include "cli/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp(3) is not in <cstdlib>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "catalog/problem.hpp"
#include "cli/output.hpp"
#include "fakes.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::cli {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "holdfast-log-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  [[nodiscard]] std::string path(const std::string& name) const { return dir_ + "/" + name; }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }
  std::string dir_;
};

TEST_F(LogTest, AppendsEscapedLines) {
  for (int run = 0; run < 2; ++run) {
    auto fd = open_for_append(path("log"));
    ASSERT_TRUE(fd);
    Log log(std::move(*fd), nullptr);
    log.note("/mnt", "step\n");
    log.problem("/mnt", {catalog::ProblemKind::kMissed, "a\x1b", "", 0, "why"});
    EXPECT_EQ(log.write_error(), 0);
  }
  const auto lines = lines_of(content("log"));
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_TRUE(lines[0].ends_with("Z info /mnt: step\\n")) << lines[0];
  EXPECT_TRUE(lines[1].ends_with("Z warning missed: /mnt: a\\x1b: why")) << lines[1];
}

TEST_F(LogTest, FilesAreForTheirOwnerOnlyAndNoSymlinks) {
  ASSERT_TRUE(open_for_append(path("log")));
  struct stat found{};
  ASSERT_EQ(stat(path("log").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777U, 0600U);
  ASSERT_EQ(symlink("log", path("link").c_str()), 0);
  const auto fd = open_for_append(path("link"));
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().cause.value(), ELOOP);
}

TEST_F(LogTest, NotesReachTheConsole) {
  StringSink sink;
  Console console(sink);
  Log log(core::Fd(), &console);
  log.note("/mnt", "linked");
  EXPECT_TRUE(sink.text.ends_with(" /mnt: linked\n")) << sink.text;
}

TEST_F(LogTest, AFullLogIsRemembered) {
  Log log(core::Fd(open("/dev/full", O_WRONLY | O_CLOEXEC)), nullptr);
  log.note("/mnt", "x");
  EXPECT_EQ(log.write_error(), ENOSPC);
}

}  // namespace
}  // namespace holdfast::cli
