#include "cli/output.hpp"

#include <gtest/gtest.h>

#include <string>
#include <system_error>

#include "fakes.hpp"

namespace holdfast::cli {
namespace {

TEST(Output, BuffersTextAndWritesLinesAtOnce) {
  StringSink sink;
  Output out(sink);
  EXPECT_TRUE(out.write("a"));
  EXPECT_EQ(sink.text, "");
  EXPECT_TRUE(out.line("b"));
  EXPECT_EQ(sink.text, "ab\n");
}

TEST(Output, BrokenPipeIsQuiet) {
  StringSink sink;
  sink.error = std::make_error_code(std::errc::broken_pipe);
  Output out(sink);
  EXPECT_FALSE(out.line("x"));
  EXPECT_FALSE(out.write("y"));
  EXPECT_FALSE(out.error());
}

TEST(Output, FullDiskIsAnError) {
  StringSink sink;
  sink.error = std::make_error_code(std::errc::no_space_on_device);
  Output out(sink);
  EXPECT_TRUE(out.write("x")) << "not known before the buffer is written";
  EXPECT_FALSE(out.flush());
  EXPECT_EQ(out.error(), std::errc::no_space_on_device);
}

TEST(Output, MemoryStaysBounded) {
  StringSink sink;
  Output out(sink);
  for (int i = 0; i < 1000; ++i) {
    out.write(std::string(1000, 'x'));
  }
  EXPECT_GT(sink.text.size(), 900'000U);
}

TEST(Console, LinesTakeTheBarAway) {
  StringSink sink;
  Console console(sink);
  console.show_bar("bar");
  console.line("text");
  console.line("more");
  console.clear_bar();
  EXPECT_EQ(sink.text, "\rbar\x1b[K\r\x1b[Ktext\nmore\n");
}

}  // namespace
}  // namespace holdfast::cli
