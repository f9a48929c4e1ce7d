#include "cli/listing.hpp"

#include <gtest/gtest.h>

#include <string>
#include <system_error>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/records.hpp"
#include "cli/output.hpp"
#include "fakes.hpp"
#include "storecore/ops/operations.hpp"

namespace holdfast::cli {
namespace {

core::ListedEntry file(const std::string& path, const std::string& root = "/mnt") {
  core::ListedEntry entry;
  entry.root = root;
  entry.path = path;
  entry.mode = 0640;
  entry.uid = 1000;
  entry.gid = 100;
  entry.size = 1234;
  entry.mtime = {1704164645, 0};
  return entry;
}

std::string printed(ListingFormat format, const std::vector<core::ListedEntry>& entries) {
  StringSink sink;
  Output out(sink);
  EntryPrinter printer(format, out);
  for (const core::ListedEntry& entry : entries) {
    printer.print(entry);
  }
  out.flush();
  return sink.text;
}

TEST(EntryPrinter, OneEscapedPathALine) {
  EXPECT_EQ(printed(ListingFormat::kPaths, {file("a b"), file("c\n\x1b"), file("")}),
            "a b\nc\\n\\x1b\n.\n");
}

TEST(EntryPrinter, NulEndsRawNames) {
  EXPECT_EQ(printed(ListingFormat::kNul, {file("a\n"), file("\xff")}),
            std::string("a\n\0\xff\0", 5));
}

TEST(EntryPrinter, OtherVolumesBeginWithASlash) {
  EXPECT_EQ(printed(ListingFormat::kPaths, {file("a"), file("b", "/data"), file("c")}),
            "a\n/data/b\nc\n");
}

TEST(EntryPrinter, LongLinesCarryEverything) {
  core::ListedEntry entry = file("dir/x");
  entry.hash = catalog::Digest{};
  EXPECT_EQ(printed(ListingFormat::kLong, {entry}),
            "-rw-r-----   1000    100         1234 2024-01-02T03:04:05Z "
            "00000000000000000000000000000000 dir/x\n");
  entry = file("l");
  entry.type = catalog::FileType::kSymlink;
  entry.link_target = "to\n";
  EXPECT_TRUE(printed(ListingFormat::kLong, {entry}).ends_with(" l -> to\\n\n"));
}

TEST(EntryPrinter, BlankLinesPartGroups) {
  auto one = file("a");
  auto two = file("b");
  auto three = file("c");
  one.group = two.group = 1;
  three.group = 2;
  EXPECT_EQ(printed(ListingFormat::kPaths, {one, two, three}), "a\nb\n\nc\n");
  EXPECT_EQ(printed(ListingFormat::kNul, {one, two, three}), std::string("a\0b\0c\0", 6));
}

TEST(EntryPrinter, StopsWhenNobodyReads) {
  StringSink sink;
  sink.error = std::make_error_code(std::errc::broken_pipe);
  Output out(sink);
  EntryPrinter printer(ListingFormat::kPaths, out);
  bool goes_on = true;
  for (int i = 0; i < 100'000 && goes_on; ++i) {
    goes_on = printer.print(file("some/path/that/fills/the/buffer"));
  }
  EXPECT_FALSE(goes_on);
}

}  // namespace
}  // namespace holdfast::cli
