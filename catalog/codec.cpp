#include "catalog/codec.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/ids.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/wire.hpp"

// docs/format.md has every offset; change both together, with a new kRecordVersion.
//
// What nearly every file has stands at a fixed offset; what is rare stands behind it, announced by
// a presence bit, so that it costs nothing when absent. An absent value is zero (or equals the
// value named in the format), and a present one must differ from that: each record has exactly one
// encoding, and a decoder can refuse anything else.
namespace holdfast::catalog {
namespace {

constexpr std::uint32_t kMaxMode = 07777;
constexpr std::size_t kMaxLinkTarget = 4095;   // PATH_MAX without its NUL
constexpr std::size_t kMaxXattrName = 255;     // XATTR_NAME_MAX
constexpr std::size_t kMaxXattrValue = 65536;  // XATTR_SIZE_MAX

// Presence bits of an inode record. Frozen.
constexpr std::uint32_t kHasHeldInode = 1U << 0U;
constexpr std::uint32_t kHasBtime = 1U << 1U;
constexpr std::uint32_t kHasRdev = 1U << 2U;
constexpr std::uint32_t kHasFlags = 1U << 3U;
constexpr std::uint32_t kHasProject = 1U << 4U;
constexpr std::uint32_t kHasTarget = 1U << 5U;
constexpr std::uint32_t kHasNames = 1U << 6U;
constexpr std::uint32_t kInodePresence = (1U << 7U) - 1U;

// Switches of a directory record. Frozen.
constexpr std::uint32_t kSelected = 1U << 0U;
constexpr std::uint32_t kComplete = 1U << 1U;
constexpr std::uint32_t kNeedsRebuild = 1U << 2U;
constexpr std::uint32_t kHasUnselected = 1U << 3U;
constexpr std::uint32_t kHasCopies = 1U << 4U;
constexpr std::uint32_t kManyIds = 1U << 5U;
constexpr std::uint32_t kDirectorySwitches = (1U << 6U) - 1U;

// Presence bits of a directory record. Frozen.
constexpr std::uint32_t kDirHasBtime = 1U << 0U;
constexpr std::uint32_t kDirHasFlags = 1U << 1U;
constexpr std::uint32_t kDirHasProject = 1U << 2U;
constexpr std::uint32_t kDirHasXattrs = 1U << 3U;
constexpr std::uint32_t kDirPresence = (1U << 4U) - 1U;

std::uint32_t bit_if(bool condition, std::uint32_t bit) noexcept { return condition ? bit : 0; }

bool is_device(FileType type) noexcept {
  return type == FileType::kChar || type == FileType::kBlock;
}

// Files are linked or copied, all else is linked or made anew.
bool can_hold(FileType type, Held held) noexcept {
  return held == Held::kLink || (type == FileType::kFile) == (held != Held::kNode);
}

std::uint32_t presence_of(const InodeRecord& record) noexcept {
  return bit_if(record.held != Held::kLink && record.held_inode != record.source_inode,
                kHasHeldInode) |
         bit_if(record.btime != Timestamp{}, kHasBtime) |
         bit_if(is_device(record.type) && record.rdev != 0, kHasRdev) |
         bit_if(record.flags != 0, kHasFlags) | bit_if(record.project_id != 0, kHasProject) |
         bit_if(record.type == FileType::kSymlink && !record.link_target.empty(), kHasTarget) |
         bit_if(record.names > 1, kHasNames);
}

// The record without the version byte, as it also stands inside of an entry.
void write_inode(Output& out, const InodeRecord& record) {
  const std::uint32_t presence = presence_of(record);
  out.u8(static_cast<std::uint32_t>(record.type) | (static_cast<std::uint32_t>(record.held) << 3U) |
         (static_cast<std::uint32_t>(record.hash_state) << 6U));
  out.u8(presence);
  out.u16(record.mode);
  out.u32(record.uid);
  out.u32(record.gid);
  out.number(raw(record.source_inode));
  out.number(record.size);
  out.time(record.mtime);
  out.time(record.ctime);
  if (record.type == FileType::kFile) {
    for (const std::uint8_t byte : record.hash.bytes) {
      out.u8(byte);
    }
  }
  if ((presence & kHasHeldInode) != 0) {
    out.number(raw(record.held_inode));
  }
  if ((presence & kHasBtime) != 0) {
    out.time(record.btime);
  }
  if ((presence & kHasRdev) != 0) {
    out.number(record.rdev);
  }
  if ((presence & kHasFlags) != 0) {
    out.u32(record.flags);
  }
  if ((presence & kHasProject) != 0) {
    out.u32(record.project_id);
  }
  if ((presence & kHasTarget) != 0) {
    out.u16(record.link_target.size());
    out.text(record.link_target);
  }
  if ((presence & kHasNames) != 0) {
    out.u32(record.names);
  }
}

void read_kinds(Input& in, InodeRecord& record) {
  const std::uint32_t kinds = in.u8();
  const std::uint32_t type = kinds & 7U;
  const std::uint32_t held = (kinds >> 3U) & 7U;
  const std::uint32_t state = kinds >> 6U;
  in.require(type >= 1 && type <= 6 && type != 2 && held >= 1 && held <= 4 && state >= 1);
  if (!in.good()) {
    return;
  }
  record.type = static_cast<FileType>(type);
  record.held = static_cast<Held>(held);
  record.hash_state = static_cast<HashState>(state);
  in.require(can_hold(record.type, record.held));
}

void read_rare(Input& in, std::uint32_t presence, InodeRecord& record) {
  record.held_inode = record.source_inode;
  if ((presence & kHasHeldInode) != 0) {
    record.held_inode = InodeNo{in.u64()};
    in.require(record.held != Held::kLink && record.held_inode != record.source_inode);
  }
  if ((presence & kHasBtime) != 0) {
    record.btime = in.time();
    in.require(record.btime != Timestamp{});
  }
  if ((presence & kHasRdev) != 0) {
    record.rdev = in.u64();
    in.require(is_device(record.type) && record.rdev != 0);
  }
  if ((presence & kHasFlags) != 0) {
    record.flags = in.u32();
    in.require(record.flags != 0);
  }
  if ((presence & kHasProject) != 0) {
    record.project_id = in.u32();
    in.require(record.project_id != 0);
  }
  if ((presence & kHasTarget) != 0) {
    const std::size_t size = in.u16();
    record.link_target = in.text(size);
    in.require(record.type == FileType::kSymlink && !record.link_target.empty() &&
               size <= kMaxLinkTarget && record.link_target.find('\0') == std::string::npos);
  }
  if ((presence & kHasNames) != 0) {
    record.names = in.u32();
    in.require(record.names > 1);
  }
}

InodeRecord read_inode(Input& in) {
  InodeRecord record;
  read_kinds(in, record);
  const std::uint32_t presence = in.u8();
  in.require((presence & ~kInodePresence) == 0);
  record.mode = in.u16();
  in.require(record.mode <= kMaxMode);
  record.uid = in.u32();
  record.gid = in.u32();
  record.source_inode = InodeNo{in.u64()};
  record.size = in.u64();
  record.mtime = in.time();
  record.ctime = in.time();
  if (record.type == FileType::kFile) {
    for (std::uint8_t& byte : record.hash.bytes) {
      byte = in.u8();
    }
  }
  read_rare(in, presence, record);
  return record;
}

void write_xattrs(Output& out, const std::vector<Xattr>& xattrs) {
  out.u16(xattrs.size());
  for (const Xattr& xattr : xattrs) {
    out.u8(static_cast<std::uint32_t>(xattr.name.size()));
    out.text(xattr.name);
    out.u32(xattr.value.size());
    out.text(xattr.value);
  }
}

std::vector<Xattr> read_xattrs(Input& in) {
  std::vector<Xattr> xattrs;
  const std::size_t count = in.u16();
  in.require(count != 0);
  for (std::size_t i = 0; i < count && in.good(); ++i) {
    Xattr xattr;
    xattr.name = in.text(in.u8());
    const std::size_t size = in.u32();
    in.require(size <= kMaxXattrValue);
    xattr.value = in.text(size);
    in.require(!xattr.name.empty() && xattr.name.find('\0') == std::string::npos);
    in.require(xattrs.empty() || xattrs.back().name < xattr.name);
    xattrs.push_back(std::move(xattr));
  }
  static_assert(kMaxXattrName == 0xff, "the length byte is the limit");
  return xattrs;
}

void write_subtree(Output& out, const SubtreeSummary& subtree) {
  out.number(subtree.entries);
  out.number(subtree.bytes);
  out.u8(static_cast<std::uint32_t>(subtree.uids.size()));
  out.u8(static_cast<std::uint32_t>(subtree.gids.size()));
  for (const std::uint32_t id : subtree.uids) {
    out.u32(id);
  }
  for (const std::uint32_t id : subtree.gids) {
    out.u32(id);
  }
}

std::vector<std::uint32_t> read_ids(Input& in, std::size_t count) {
  in.require(count <= kMaxSummaryIds);
  std::vector<std::uint32_t> ids;
  for (std::size_t i = 0; i < count && in.good(); ++i) {
    const std::uint32_t id = in.u32();
    in.require(ids.empty() || ids.back() < id);
    ids.push_back(id);
  }
  return ids;
}

void read_subtree(Input& in, std::uint32_t switches, SubtreeSummary& subtree) {
  subtree.needs_rebuild = (switches & kNeedsRebuild) != 0;
  subtree.has_unselected = (switches & kHasUnselected) != 0;
  subtree.has_copies = (switches & kHasCopies) != 0;
  subtree.many_ids = (switches & kManyIds) != 0;
  subtree.entries = in.u64();
  subtree.bytes = in.u64();
  const std::size_t uids = in.u8();
  const std::size_t gids = in.u8();
  subtree.uids = read_ids(in, uids);
  subtree.gids = read_ids(in, gids);
}

std::uint32_t switches_of(const DirectoryRecord& record) noexcept {
  return bit_if(record.selected, kSelected) | bit_if(record.complete, kComplete) |
         bit_if(record.subtree.needs_rebuild, kNeedsRebuild) |
         bit_if(record.subtree.has_unselected, kHasUnselected) |
         bit_if(record.subtree.has_copies, kHasCopies) | bit_if(record.subtree.many_ids, kManyIds);
}

std::uint32_t presence_of(const DirectoryRecord& record) noexcept {
  return bit_if(record.btime != Timestamp{}, kDirHasBtime) |
         bit_if(record.flags != 0, kDirHasFlags) | bit_if(record.project_id != 0, kDirHasProject) |
         bit_if(!record.xattrs.empty(), kDirHasXattrs);
}

void read_rare(Input& in, std::uint32_t presence, DirectoryRecord& record) {
  if ((presence & kDirHasBtime) != 0) {
    record.btime = in.time();
    in.require(record.btime != Timestamp{});
  }
  if ((presence & kDirHasFlags) != 0) {
    record.flags = in.u32();
    in.require(record.flags != 0);
  }
  if ((presence & kDirHasProject) != 0) {
    record.project_id = in.u32();
    in.require(record.project_id != 0);
  }
  if ((presence & kDirHasXattrs) != 0) {
    record.xattrs = read_xattrs(in);
  }
}

// The root has neither parent nor name; any other directory has both, and a smaller parent, which
// makes a cycle impossible.
bool has_valid_place(const Directory& directory) noexcept {
  if (directory.id == kRootDir) {
    return directory.parent == kNoDir && directory.name.empty();
  }
  return directory.parent != kNoDir && raw(directory.parent) < raw(directory.id) &&
         is_component(directory.name);
}

}  // namespace

std::string encode(const InodeRecord& record) {
  Output out(96 + record.link_target.size());
  out.u8(kRecordVersion);
  write_inode(out, record);
  return out.take();
}

std::optional<InodeRecord> decode_inode(std::string_view value) {
  Input in(value);
  in.require(in.u8() == kRecordVersion);
  InodeRecord record = read_inode(in);
  return in.finished() ? std::optional(std::move(record)) : std::nullopt;
}

std::string encode(const Directory& directory) {
  const DirectoryRecord& record = directory.record;
  const std::uint32_t presence = presence_of(record);
  Output out(128 + directory.name.size());
  out.u8(kRecordVersion);
  out.u8(switches_of(record));
  out.u8(presence);
  out.u16(record.mode);
  out.u32(record.uid);
  out.u32(record.gid);
  out.number(raw(directory.parent));
  out.number(raw(record.inode));
  out.time(record.atime);
  out.time(record.mtime);
  out.time(record.ctime);
  out.u16(directory.name.size());
  out.text(directory.name);
  if ((presence & kDirHasBtime) != 0) {
    out.time(record.btime);
  }
  if ((presence & kDirHasFlags) != 0) {
    out.u32(record.flags);
  }
  if ((presence & kDirHasProject) != 0) {
    out.u32(record.project_id);
  }
  if ((presence & kDirHasXattrs) != 0) {
    write_xattrs(out, record.xattrs);
  }
  write_subtree(out, record.subtree);
  return out.take();
}

std::optional<Directory> decode_directory(DirId id, std::string_view value) {
  Input in(value);
  in.require(in.u8() == kRecordVersion);
  const std::uint32_t switches = in.u8();
  const std::uint32_t presence = in.u8();
  in.require((switches & ~kDirectorySwitches) == 0 && (presence & ~kDirPresence) == 0);
  Directory directory;
  directory.id = id;
  DirectoryRecord& record = directory.record;
  record.selected = (switches & kSelected) != 0;
  record.complete = (switches & kComplete) != 0;
  record.mode = in.u16();
  in.require(record.mode <= kMaxMode);
  record.uid = in.u32();
  record.gid = in.u32();
  directory.parent = DirId{in.u64()};
  record.inode = InodeNo{in.u64()};
  record.atime = in.time();
  record.mtime = in.time();
  record.ctime = in.time();
  directory.name = in.text(in.u16());
  in.require(id != kNoDir && has_valid_place(directory));
  read_rare(in, presence, record);
  read_subtree(in, switches, record.subtree);
  return in.finished() ? std::optional(std::move(directory)) : std::nullopt;
}

std::string encode(const Entry& entry) {
  Output out(96 + entry.inode.link_target.size());
  out.u8(kRecordVersion);
  out.u8(static_cast<std::uint32_t>(entry.kind));
  if (entry.name.size() > kMaxNameInKey) {
    out.u16(entry.name.size());
    out.text(entry.name);
  }
  switch (entry.kind) {
    case Entry::Kind::kDirectory:
      out.number(raw(entry.directory));
      break;
    case Entry::Kind::kInline:
      write_inode(out, entry.inode);
      break;
    case Entry::Kind::kGrouped:
      out.number(raw(entry.group));
      break;
  }
  return out.take();
}

std::optional<Entry> decode_entry(std::string_view key, std::string_view value) {
  const auto parent = parent_of_key(key);
  if (!parent || *parent == kNoDir) {
    return std::nullopt;
  }
  Input in(value);
  in.require(in.u8() == kRecordVersion);
  const std::uint32_t kind = in.u8();
  Entry entry;
  if (key_has_long_name(key)) {
    entry.name = in.text(in.u16());
    in.require(entry.name.size() > kMaxNameInKey);
  } else {
    entry.name = name_part(key);
  }
  in.require(is_component(entry.name));
  // The value's name must be the one that the key was made of.
  in.require(!key_has_long_name(key) || entry_key(*parent, entry.name) == key);
  if (kind == static_cast<std::uint32_t>(Entry::Kind::kDirectory)) {
    entry.kind = Entry::Kind::kDirectory;
    entry.directory = DirId{in.u64()};
    in.require(raw(entry.directory) > raw(*parent));
  } else if (kind == static_cast<std::uint32_t>(Entry::Kind::kInline)) {
    entry.kind = Entry::Kind::kInline;
    entry.inode = read_inode(in);
  } else if (kind == static_cast<std::uint32_t>(Entry::Kind::kGrouped)) {
    entry.kind = Entry::Kind::kGrouped;
    entry.group = InodeNo{in.u64()};
  } else {
    return std::nullopt;
  }
  return in.finished() ? std::optional(std::move(entry)) : std::nullopt;
}

std::string encode(const Problem& problem) {
  Output out(20 + problem.path.size() + problem.operation.size() + problem.reason.size());
  out.u8(kRecordVersion);
  out.u8(static_cast<std::uint32_t>(problem.kind));
  out.number(static_cast<std::int32_t>(problem.error_number));
  for (const std::string* text : {&problem.path, &problem.operation, &problem.reason}) {
    out.u32(text->size());
    out.text(*text);
  }
  return out.take();
}

std::optional<Problem> decode_problem(std::string_view value) {
  Input in(value);
  in.require(in.u8() == kRecordVersion);
  const auto kind = problem_kind_from(in.u8());
  Problem problem;
  problem.error_number = in.number<std::int32_t>();
  for (std::string* text : {&problem.path, &problem.operation, &problem.reason}) {
    *text = in.text(in.u32());
  }
  in.require(kind.has_value() && problem.error_number >= 0);
  in.require(problem.path.find('\0') == std::string::npos);
  if (!kind || !in.finished()) {
    return std::nullopt;
  }
  problem.kind = *kind;
  return problem;
}

}  // namespace holdfast::catalog
