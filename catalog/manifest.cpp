#include "catalog/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/codec.hpp"
#include "catalog/digest.hpp"
#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "catalog/utf8.hpp"

// Lines are written by hand: a seal writes one for every file, and building a document for each
// would cost more than everything else about it. Reading is rare and left to the library.
//
// Every record has exactly one line. So the reader need not check each oddity of its own: it builds
// the record, writes the line again, and refuses what comes out different.
namespace holdfast::catalog {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxPathForTools = 4095 - 2;  // PATH_MAX without its NUL and "./"

void append_json_string(std::string& out, std::string_view utf8) {
  out += '"';
  while (!utf8.empty()) {
    const std::size_t plain = plain_bytes(utf8);
    out += utf8.substr(0, plain);
    utf8.remove_prefix(plain);
    if (utf8.empty()) {
      break;
    }
    const auto point = first_code_point(utf8).value_or(CodePoint{U'?', 1});
    if (point.value == U'"' || point.value == U'\\') {
      out += '\\';
      out += static_cast<char>(point.value);
    } else if (is_control(point.value)) {
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(point.value));
    } else {
      out += utf8.substr(0, point.bytes);
    }
    utf8.remove_prefix(point.bytes);
  }
  out += '"';
}

// Writes one object behind what a string holds. Short pieces are put together before they are
// appended: that is most of what a line costs.
class Object {
 public:
  explicit Object(std::string& out) noexcept : out_(&out) {}

  void text(std::string_view key, std::string_view utf8) {
    name(key);
    append_json_string(*out_, utf8);
  }
  /// Bytes of any kind: as they are when they are UTF-8, else escaped to be read by people and once
  /// more in base64.
  void bytes(std::string_view key, std::string_view value) {
    if (is_utf8(value)) {
      text(key, value);
      return;
    }
    text(key, escape_name(value));
    text(std::string(key) + "_b64", to_base64(value));
  }
  void number(std::string_view key, std::uint64_t value) {
    name(key);
    const fmt::format_int digits(value);
    out_->append(digits.data(), digits.size());
  }
  void flag(std::string_view key, bool value) {
    name(key);
    *out_ += value ? "true" : "false";
  }
  void hash(std::string_view key, const Digest& value) {
    name(key);
    *out_ += '"';
    append_hex(*out_, value);
    *out_ += '"';
  }
  void time(std::string_view key, const Timestamp& time) {
    name(key);
    const fmt::format_int seconds(time.seconds);
    // A leading 1 keeps the zeros, and is where the point comes.
    const fmt::format_int nanoseconds(1'000'000'000 + time.nanoseconds);
    std::array<char, 48> text{'"'};
    char* at = std::copy_n(seconds.data(), seconds.size(), text.data() + 1);
    *at++ = '.';
    at = std::copy_n(nanoseconds.data() + 1, nanoseconds.size() - 1, at);
    *at++ = '"';
    out_->append(text.data(), at);
  }
  void mode(std::uint32_t mode) {
    name("mode");
    const std::array<char, 6> text{'"',
                                   static_cast<char>('0' + ((mode >> 9U) & 7U)),
                                   static_cast<char>('0' + ((mode >> 6U) & 7U)),
                                   static_cast<char>('0' + ((mode >> 3U) & 7U)),
                                   static_cast<char>('0' + (mode & 7U)),
                                   '"'};
    out_->append(text.data(), text.size());
  }
  void raw_value(std::string_view key, std::string_view json) {
    name(key);
    *out_ += json;
  }
  void close() { *out_ += empty_ ? "{}" : "}"; }
  void end_line() {
    close();
    *out_ += '\n';
  }

 private:
  void name(std::string_view key) {
    std::array<char, kMaxKey + 4> text{empty_ ? '{' : ',', '"'};
    empty_ = false;
    char* at = std::ranges::copy(key.substr(0, kMaxKey), text.data() + 2).out;
    *at++ = '"';
    *at++ = ':';
    out_->append(text.data(), at);
  }
  static constexpr std::size_t kMaxKey = 20;
  std::string* out_;
  bool empty_ = true;
};

std::string_view to_word(HashState state) noexcept {
  switch (state) {
    case HashState::kPending:
      return "pending";
    case HashState::kHashed:
      return "hashed";
    case HashState::kUnstable:
      return "unstable";
  }
  return "unknown";
}

void write_rare(Object& line, const Timestamp& btime, std::uint32_t flags, std::uint32_t project) {
  if (btime != Timestamp{}) {
    line.time("btime", btime);
  }
  if (flags != 0) {
    line.number("flags", flags);
  }
  if (project != 0) {
    line.number("project_id", project);
  }
}

std::string xattr_list(const DirectoryRecord& record) {
  std::string list = "[";
  for (const Xattr& xattr : record.xattrs) {
    list += list.size() > 1 ? "," : "";
    Object object(list);
    object.bytes("name", xattr.name);
    object.text("value_b64", to_base64(xattr.value));
    object.close();
  }
  return list + "]";
}

// Members of a line. The first one that is missing or of another type spoils the whole.
class Members {
 public:
  explicit Members(const Json& object) noexcept : object_(&object) {}

  [[nodiscard]] bool has(const char* key) const { return object_->contains(key); }
  [[nodiscard]] bool good() const noexcept { return good_; }

  std::string text(const char* key) {
    const auto found = object_->find(key);
    if (found == object_->end() || !found->is_string()) {
      good_ = false;
      return {};
    }
    return found->get<std::string>();
  }
  std::string bytes(const char* key) {
    const std::string encoded = std::string(key) + "_b64";
    if (!has(encoded.c_str())) {
      return text(key);
    }
    auto value = from_base64(text(encoded.c_str()));
    good_ = good_ && value;
    return value ? std::move(*value) : std::string();
  }
  template <class Number = std::uint64_t>
  Number number(const char* key) {
    const auto found = object_->find(key);
    if (found == object_->end() || !found->is_number_unsigned() ||
        found->get<std::uint64_t>() > std::numeric_limits<Number>::max()) {
      good_ = false;
      return 0;
    }
    return static_cast<Number>(found->get<std::uint64_t>());
  }
  template <class Number = std::uint64_t>
  Number number_or_zero(const char* key) {
    return has(key) ? number<Number>(key) : Number{0};
  }
  bool flag(const char* key) {
    const auto found = object_->find(key);
    if (found == object_->end() || !found->is_boolean()) {
      good_ = false;
      return false;
    }
    return found->get<bool>();
  }
  Timestamp time(const char* key) {
    const std::string value = text(key);
    const char* end = value.data() + value.size();
    Timestamp time;
    const auto seconds = std::from_chars(value.data(), end, time.seconds);
    if (seconds.ec != std::errc() || seconds.ptr == end || *seconds.ptr != '.') {
      good_ = false;
      return {};
    }
    const auto rest = std::from_chars(seconds.ptr + 1, end, time.nanoseconds);
    good_ = good_ && rest.ec == std::errc() && rest.ptr == end;
    return time;
  }
  std::uint32_t mode() {
    const std::string value = text("mode");
    std::uint32_t mode = 0;
    const auto rest = std::from_chars(value.data(), value.data() + value.size(), mode, 8);
    good_ = good_ && rest.ec == std::errc();
    return mode;
  }
  template <class Value, std::size_t N>
  Value one_of(const char* key, const Value (&values)[N]) {
    const std::string word = text(key);
    for (const Value value : values) {
      if (to_word(value) == word) {
        return value;
      }
    }
    good_ = false;
    return values[0];
  }

 private:
  const Json* object_;
  bool good_ = true;
};

constexpr FileType kTypes[] = {FileType::kFile, FileType::kSymlink, FileType::kFifo,
                               FileType::kChar, FileType::kBlock};
constexpr Held kHelds[] = {Held::kLink, Held::kReflink, Held::kCopy, Held::kNode};
constexpr HashState kStates[] = {HashState::kPending, HashState::kHashed, HashState::kUnstable};

std::uint64_t parse_rdev(Members& in) {
  const std::string text = in.text("rdev");
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return 0;
  }
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::from_chars(text.data(), text.data() + colon, major);
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), minor);
  return (std::uint64_t{major} << 32U) | minor;
}

std::optional<InodeRecord> parse_inode(Members& in) {
  InodeRecord record;
  record.type = in.one_of("type", kTypes);
  record.mode = in.mode();
  record.uid = in.number<std::uint32_t>("uid");
  record.gid = in.number<std::uint32_t>("gid");
  record.size = in.number("size");
  record.mtime = in.time("mtime");
  record.source_inode = InodeNo{in.number("inode")};
  record.held = in.one_of("held", kHelds);
  record.held_inode = in.has("held_inode") ? InodeNo{in.number("held_inode")} : record.source_inode;
  if (record.type == FileType::kFile) {
    const auto hash = digest_from_hex(in.text("hash"));
    if (!hash) {
      return std::nullopt;
    }
    record.hash = *hash;
  }
  record.hash_state = in.one_of("hash_state", kStates);
  if (in.has("link_target")) {
    record.link_target = in.bytes("link_target");
  }
  record.ctime = in.time("ctime");
  record.btime = in.has("btime") ? in.time("btime") : Timestamp{};
  record.flags = in.number_or_zero<std::uint32_t>("flags");
  record.project_id = in.number_or_zero<std::uint32_t>("project_id");
  record.rdev = in.has("rdev") ? parse_rdev(in) : 0;
  // What the catalog's own decoder refuses is refused here, too.
  if (!in.good() || decode_inode(encode(record)) != record) {
    return std::nullopt;
  }
  return record;
}

std::optional<DirectoryRecord> parse_directory(Members& in, const Json& object) {
  DirectoryRecord record;
  record.mode = in.mode();
  record.uid = in.number<std::uint32_t>("uid");
  record.gid = in.number<std::uint32_t>("gid");
  record.mtime = in.time("mtime");
  record.inode = InodeNo{in.number("inode")};
  record.selected = in.flag("selected");
  record.complete = in.flag("complete");
  record.atime = in.time("atime");
  record.ctime = in.time("ctime");
  record.btime = in.has("btime") ? in.time("btime") : Timestamp{};
  record.flags = in.number_or_zero<std::uint32_t>("flags");
  record.project_id = in.number_or_zero<std::uint32_t>("project_id");
  if (in.has("xattrs")) {
    const Json& list = object["xattrs"];
    if (!list.is_array()) {
      return std::nullopt;
    }
    for (const Json& item : list) {
      Members xattr(item);
      if (!item.is_object() || !xattr.has("value_b64")) {
        return std::nullopt;
      }
      std::string name = xattr.bytes("name");
      record.xattrs.push_back(Xattr{std::move(name), xattr.bytes("value")});
      if (!xattr.good()) {
        return std::nullopt;
      }
    }
  }
  const auto decoded =
      decode_directory(DirId{2}, encode(Directory{DirId{2}, kRootDir, "x", record}));
  if (!in.good() || !decoded || decoded->record != record) {
    return std::nullopt;
  }
  return record;
}

}  // namespace

bool fits_xxh128(std::string_view path) noexcept {
  constexpr std::string_view misread("\n\r\\\0", 4);
  return !path.empty() && path.size() <= kMaxPathForTools &&
         path.find_first_of(misread, plain_bytes(path)) == std::string_view::npos;
}

void append_xxh128_line(std::string& out, const Digest& hash, std::string_view path) {
  // xxh128sum takes "-" and even a plain "stdin" for its standard input, and skips leading blanks.
  const bool misread =
      path.starts_with('-') || path.starts_with(' ') || path.starts_with('\t') || path == "stdin";
  append_hex(out, hash);
  out += misread ? "  ./" : "  ";
  out += path;
  out += '\n';
}

std::string xxh128_line(const Digest& hash, std::string_view path) {
  std::string line;
  append_xxh128_line(line, hash, path);
  return line;
}

void append_manifest_line(std::string& out, std::string_view path, const InodeRecord& record,
                          bool grouped) {
  Object line(out);
  line.bytes("path", path);
  line.text("type", to_word(record.type));
  line.mode(record.mode);
  line.number("uid", record.uid);
  line.number("gid", record.gid);
  line.number("size", record.size);
  line.time("mtime", record.mtime);
  line.number("inode", raw(record.source_inode));
  line.text("held", to_word(record.held));
  if (record.type == FileType::kFile) {
    line.hash("hash", record.hash);
  }
  if (record.type == FileType::kSymlink && !record.link_target.empty()) {
    line.bytes("link_target", record.link_target);
  }
  line.text("hash_state", to_word(record.hash_state));
  if (grouped) {
    line.flag("grouped", true);
  }
  if (record.held != Held::kLink && record.held_inode != record.source_inode) {
    line.number("held_inode", raw(record.held_inode));
  }
  line.time("ctime", record.ctime);
  write_rare(line, record.btime, record.flags, record.project_id);
  if (record.rdev != 0 && (record.type == FileType::kChar || record.type == FileType::kBlock)) {
    line.text("rdev", fmt::format("{}:{}", record.rdev >> 32U, record.rdev & 0xffffffffU));
  }
  line.end_line();
}

void append_manifest_line(std::string& out, std::string_view path, const DirectoryRecord& record) {
  Object line(out);
  line.bytes("path", path);
  line.text("type", to_word(FileType::kDirectory));
  line.mode(record.mode);
  line.number("uid", record.uid);
  line.number("gid", record.gid);
  line.time("mtime", record.mtime);
  line.number("inode", raw(record.inode));
  line.flag("selected", record.selected);
  line.flag("complete", record.complete);
  line.time("atime", record.atime);
  line.time("ctime", record.ctime);
  write_rare(line, record.btime, record.flags, record.project_id);
  if (!record.xattrs.empty()) {
    line.raw_value("xattrs", xattr_list(record));
  }
  line.end_line();
}

std::string manifest_line(std::string_view path, const InodeRecord& record, bool grouped) {
  std::string line;
  append_manifest_line(line, path, record, grouped);
  return line;
}

std::string manifest_line(std::string_view path, const DirectoryRecord& record) {
  std::string line;
  append_manifest_line(line, path, record);
  return line;
}

std::string manifest_header(std::string_view capture_id) {
  std::string text;
  Object line(text);
  line.text("manifest", "holdfast");
  line.number("format", kManifestFormat);
  line.text("capture_id", capture_id);
  line.end_line();
  return text;
}

std::string manifest_trailer(std::uint64_t lines, std::uint64_t checksum) {
  std::string text;
  Object line(text);
  line.flag("end", true);
  line.number("lines", lines);
  line.text("xxh3", fmt::format("{:016x}", checksum));
  line.end_line();
  return text;
}

namespace {

/// The object that a line is; nothing for anything else.
std::optional<Json> parse_object(std::string_view line) {
  Json parsed = Json::parse(line, nullptr, false);
  return parsed.is_object() ? std::optional(std::move(parsed)) : std::nullopt;
}

}  // namespace

std::optional<ManifestEntry> parse_manifest_line(std::string_view line) {
  if (line.ends_with('\n')) {
    line.remove_suffix(1);
  }
  const std::optional<Json> object = parse_object(line);
  if (!object) {
    return std::nullopt;
  }
  Members in(*object);
  ManifestEntry entry;
  entry.path = in.bytes("path");
  const std::string type = in.text("type");
  if (!in.good() || !is_clean_path(entry.path)) {
    return std::nullopt;
  }
  std::string again;
  if (type == to_word(FileType::kDirectory)) {
    auto record = parse_directory(in, *object);
    if (!record) {
      return std::nullopt;
    }
    again = manifest_line(entry.path, *record);
    entry.record = std::move(*record);
  } else {
    entry.grouped = in.has("grouped");
    auto record = parse_inode(in);
    if (!record || entry.path.empty()) {
      return std::nullopt;
    }
    again = manifest_line(entry.path, *record, entry.grouped);
    entry.record = std::move(*record);
  }
  again.pop_back();
  return again == line ? std::optional(std::move(entry)) : std::nullopt;
}

std::optional<ManifestHeader> parse_manifest_header(std::string_view line) {
  const std::optional<Json> object = parse_object(line);
  if (!object) {
    return std::nullopt;
  }
  Members in(*object);
  ManifestHeader header;
  const bool ours = in.text("manifest") == "holdfast";
  header.format = in.number("format");
  header.capture_id = in.text("capture_id");
  return ours && in.good() ? std::optional(std::move(header)) : std::nullopt;
}

std::optional<ManifestTrailer> parse_manifest_trailer(std::string_view line) {
  if (line.ends_with('\n')) {
    line.remove_suffix(1);
  }
  const std::optional<Json> object = parse_object(line);
  if (!object) {
    return std::nullopt;
  }
  Members in(*object);
  ManifestTrailer trailer;
  trailer.lines = in.number("lines");
  const std::string sum = in.text("xxh3");
  const char* end = sum.data() + sum.size();
  const auto parsed = std::from_chars(sum.data(), end, trailer.checksum, 16);
  if (!in.good() || parsed.ec != std::errc() || parsed.ptr != end) {
    return std::nullopt;
  }
  std::string again = manifest_trailer(trailer.lines, trailer.checksum);
  again.pop_back();
  return again == line ? std::optional(trailer) : std::nullopt;
}

std::optional<Xxh128Line> parse_xxh128_line(std::string_view line) {
  constexpr std::size_t hex_digits = 32;
  constexpr std::string_view between = "  ";
  if (line.ends_with('\n')) {
    line.remove_suffix(1);
  }
  const auto hash = digest_from_hex(line.substr(0, hex_digits));
  if (!hash || line.size() <= hex_digits + between.size() ||
      line.substr(hex_digits, between.size()) != between) {
    return std::nullopt;
  }
  std::string_view path = line.substr(hex_digits + between.size());
  if (path.starts_with("./")) {
    path.remove_prefix(2);
  }
  if (!fits_xxh128(path) || !is_clean_path(path)) {
    return std::nullopt;
  }
  std::string again = xxh128_line(*hash, path);
  again.pop_back();
  return again == line ? std::optional(Xxh128Line{*hash, std::string(path)}) : std::nullopt;
}

}  // namespace holdfast::catalog
