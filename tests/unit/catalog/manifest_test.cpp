#include "catalog/manifest.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "catalog/digest.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "samples.hpp"

namespace holdfast::catalog {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)
using std::string_literals::operator""s;

// A path for every way in which a name can be awkward.
const std::string kPaths[] = {
    "a",
    "home/al/w\xc3\xb6rk",
    "new\nline",
    "inv\xff/alid\xc0\x80",
    "quote\"back\\slash",
    "esc\x1b[31m",
    "c1\xc2\x9b",
    "bidi\xe2\x80\xae",
    "bom\xef\xbb\xbf",
    "\x01\x7f\t\r\b\f",
    "-dash",
    " blank",
    "emoji\xf0\x9f\x98\x80",
    join_path(std::string(700, 'p'), std::string(700, 'q')),
};

TEST(Manifest, InodeLinesRoundTrip) {
  for (const std::string& path : kPaths) {
    for (const InodeRecord& record : sample_inodes()) {
      for (const bool grouped : {false, true}) {
        const std::string line = manifest_line(path, record, grouped);
        EXPECT_EQ(line.find('\n'), line.size() - 1);
        const auto entry = parse_manifest_line(line);
        ASSERT_TRUE(entry) << line;
        EXPECT_EQ(entry->path, path);
        EXPECT_EQ(entry->grouped, grouped);
        EXPECT_EQ(std::get<InodeRecord>(entry->record), record);
      }
    }
  }
}

TEST(Manifest, DirectoryLinesRoundTripWithoutTheSummary) {
  for (const std::string& path : {""s, kPaths[3]}) {
    for (DirectoryRecord record : {sample_root().record, sample_directory().record}) {
      const auto entry = parse_manifest_line(manifest_line(path, record));
      ASSERT_TRUE(entry);
      EXPECT_EQ(entry->path, path);
      EXPECT_FALSE(entry->grouped);
      record.subtree = SubtreeSummary();
      EXPECT_EQ(std::get<DirectoryRecord>(entry->record), record);
    }
  }
}

TEST(Manifest, LineIsPlainJson) {
  InodeRecord record = sample_file();
  EXPECT_EQ(manifest_line("a b", record, false),
            R"({"path":"a b","type":"file","mode":"0644","uid":1000,"gid":100,"size":5,)"
            R"("mtime":"1700000000.123456789","inode":1234567,"held":"link",)"
            R"("hash":"b5e9c1ad071b3e7fc779cfaa5e523818","hash_state":"hashed",)"
            R"("ctime":"1700000100.999999999","btime":"1600000000.000000001"})"
            "\n");
  record = sample_device();
  record.btime = Timestamp();
  EXPECT_EQ(
      manifest_line("d\xff", record, true),
      R"({"path":"d\\xff","path_b64":"ZP8=","type":"block","mode":"0644","uid":1000,"gid":100,)"
      R"("size":0,"mtime":"1700000000.123456789","inode":1234567,"held":"node",)"
      R"("hash_state":"hashed","grouped":true,"held_inode":99,)"
      R"("ctime":"1700000100.999999999","rdev":"8:17"})"
      "\n");
  EXPECT_EQ(manifest_line("", sample_root().record),
            R"({"path":"","type":"directory","mode":"0755","uid":0,"gid":0,)"
            R"("mtime":"1700000000.000000005","inode":2,"selected":true,"complete":true,)"
            R"("atime":"0.000000000","ctime":"0.000000000"})"
            "\n");
}

TEST(Manifest, NothingInALineActsOnATerminal) {
  for (const std::string& path : kPaths) {
    std::string line = manifest_line(path, sample_symlink(), false);
    line.pop_back();
    for (const char c : line) {
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != '\x7f');
    }
    EXPECT_EQ(line.find("\xc2\x9b"), std::string::npos);
    EXPECT_EQ(line.find("\xe2\x80\xae"), std::string::npos);
  }
}

TEST(Manifest, HeaderAndTrailerAreNoEntries) {
  const std::string header = manifest_header("0b8f3f5e-8c3c-4a1e-9a43-7f2a5a1c0d11");
  EXPECT_EQ(header,
            "{\"manifest\":\"holdfast\",\"format\":1,"
            "\"capture_id\":\"0b8f3f5e-8c3c-4a1e-9a43-7f2a5a1c0d11\"}\n");
  const std::string trailer = manifest_trailer(12, 0xabcU);
  EXPECT_EQ(trailer, "{\"end\":true,\"lines\":12,\"xxh3\":\"0000000000000abc\"}\n");
  EXPECT_FALSE(parse_manifest_line(header));
  EXPECT_FALSE(parse_manifest_line(trailer));
}

std::string replaced(std::string line, std::string_view from, std::string_view to) {
  const auto at = line.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return line.replace(at, from.size(), to);
}

TEST(Manifest, LineThatWeWouldNotWriteIsRefused) {
  const std::string line = manifest_line("a/b", sample_file(), false);
  ASSERT_TRUE(parse_manifest_line(line));
  ASSERT_TRUE(parse_manifest_line(line.substr(0, line.size() - 1)));
  for (const std::string_view path :
       {"/a/b", "a//b", "a/./b", "a/../b", "..", "", ".", "a/b/", "a\\u0000b", "\\ud800"}) {
    EXPECT_FALSE(parse_manifest_line(replaced(line, "a/b", path))) << path;
  }
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"file\"", "\"socket\"")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"file\"", "7")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"0644\"", "\"10644\"")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"0644\"", "\"644\"")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"uid\":1000", "\"uid\":4294967296")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"uid\":1000", "\"uid\":-1")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"uid\":1000", "\"uid\":1e3")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"uid\":1000,", "")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"uid\":1000", "\"uid\":1,\"uid\":1000")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, ".123456789", ".1234567890")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, ".123456789", "")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "b5e9", "B5E9")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "b5e9", "")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"held\":\"link\"", "\"held\":\"node\"")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "{", "{ ")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "{", "{\"extra\":1,")));
  EXPECT_FALSE(parse_manifest_line(line + line));
  EXPECT_FALSE(parse_manifest_line(line + "\n"));
  for (const std::string_view other :
       {"", "\n", "null", "[]", "{}", "7", "\"x\"", "{\"path\":1}"}) {
    EXPECT_FALSE(parse_manifest_line(other)) << other;
  }
  EXPECT_FALSE(parse_manifest_line(std::string(1'000'000, '[')));
  EXPECT_FALSE(parse_manifest_line("{\"path\":\"\xff\",\"type\":\"file\"}"));
}

TEST(Manifest, DirectoryLineWithBrokenXattrsIsRefused) {
  const std::string line = manifest_line("d", sample_directory().record);
  ASSERT_TRUE(parse_manifest_line(line));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "\"xattrs\":[{", "\"xattrs\":[7,{")));
  EXPECT_FALSE(
      parse_manifest_line(replaced(line, "\"value_b64\":\"AgAAAA==\"", "\"value\":\"x\"")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "user.empty", "a.unsorted")));
  EXPECT_FALSE(parse_manifest_line(replaced(line, "AgAAAA==", "AgAAAB==")));
}

TEST(Xxh128Line, IsWhatXxh128sumReads) {
  const Digest hash = digest_of_text("hello");
  EXPECT_EQ(xxh128_line(hash, "a b/c"), "b5e9c1ad071b3e7fc779cfaa5e523818  a b/c\n");
  EXPECT_EQ(xxh128_line(hash, "-"), "b5e9c1ad071b3e7fc779cfaa5e523818  ./-\n");
  EXPECT_EQ(xxh128_line(hash, " a"), "b5e9c1ad071b3e7fc779cfaa5e523818  ./ a\n");
  EXPECT_EQ(xxh128_line(hash, "\ta"), "b5e9c1ad071b3e7fc779cfaa5e523818  ./\ta\n");
  EXPECT_EQ(xxh128_line(hash, "stdin"), "b5e9c1ad071b3e7fc779cfaa5e523818  ./stdin\n");
  EXPECT_EQ(xxh128_line(hash, "stdin2"), "b5e9c1ad071b3e7fc779cfaa5e523818  stdin2\n");
}

TEST(Xxh128Line, IsNotForEveryName) {
  EXPECT_TRUE(fits_xxh128("a b/\xff*#"));
  EXPECT_TRUE(fits_xxh128(std::string(4093, 'p')));
  EXPECT_FALSE(fits_xxh128(std::string(4094, 'p')));
  EXPECT_FALSE(fits_xxh128(""));
  EXPECT_FALSE(fits_xxh128("a\nb"));
  EXPECT_FALSE(fits_xxh128("a\rb"));
  EXPECT_FALSE(fits_xxh128("a\\b"));
}

}  // namespace
TEST(Manifest, HeaderIsReadAlsoWhenItIsNewer) {
  const auto header =
      parse_manifest_header(manifest_header("0b8f3f5e-8c3c-4a1e-9a43-7f2a5a1c0d11"));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->format, kManifestFormat);
  EXPECT_EQ(header->capture_id, "0b8f3f5e-8c3c-4a1e-9a43-7f2a5a1c0d11");
  const auto newer =
      parse_manifest_header(R"({"manifest":"holdfast","format":7,"capture_id":"x","more":1})");
  ASSERT_TRUE(newer);
  EXPECT_EQ(newer->format, 7U);
  EXPECT_FALSE(parse_manifest_header(R"({"manifest":"other","format":1,"capture_id":"x"})"));
  EXPECT_FALSE(parse_manifest_header(R"({"path":"a","type":"file"})"));
  EXPECT_FALSE(parse_manifest_header("not json"));
}

TEST(Manifest, TrailerIsReadAsItIsWrittenAndNotOtherwise) {
  const std::string line = manifest_trailer(3, 0x0036a06647c55caU);
  const auto trailer = parse_manifest_trailer(line);
  ASSERT_TRUE(trailer);
  EXPECT_EQ(trailer->lines, 3U);
  EXPECT_EQ(trailer->checksum, 0x0036a06647c55caU);
  for (std::size_t i = 0; i + 1 < line.size(); ++i) {
    std::string flipped = line;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x01);
    const auto read = parse_manifest_trailer(flipped);
    // Another digit is another trailer; nothing else passes for one.
    EXPECT_TRUE(!read || manifest_trailer(read->lines, read->checksum) == flipped) << flipped;
  }
  EXPECT_FALSE(parse_manifest_trailer(line.substr(0, line.size() - 3)));
  EXPECT_FALSE(parse_manifest_trailer(manifest_header("x")));
}

TEST(Manifest, Xxh128LinesAreReadBack) {
  const Digest hash = digest_of({});
  for (const std::string path : {"a", "home/al/notes.txt", "-n", " blank", "stdin", "\xff\xfe"}) {
    const auto line = parse_xxh128_line(xxh128_line(hash, path));
    ASSERT_TRUE(line) << path;
    EXPECT_EQ(line->path, path);
    EXPECT_EQ(line->hash, hash);
  }
}

TEST(Manifest, Xxh128LinesOfOthersAreRefused) {
  const std::string hash = to_hex(digest_of({}));
  for (const std::string& line :
       {hash + "  ../escape", hash + "  /absolute", hash + "  a//b", hash + "  ", hash + " a",
        hash + "  ./plain", hash.substr(1) + "  a", std::string("g") + hash.substr(1) + "  a",
        std::string()}) {
    EXPECT_FALSE(parse_xxh128_line(line)) << line;
  }
}

}  // namespace holdfast::catalog
