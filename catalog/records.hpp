#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/ids.hpp"

/// What the catalog says of one inode or directory. docs/format.md has the bytes.
namespace holdfast::catalog {

/// Frozen: the values are in catalogs.
enum class FileType : std::uint8_t {
  kFile = 1,
  kDirectory = 2,
  kSymlink = 3,
  kFifo = 4,
  kChar = 5,
  kBlock = 6,
};
/// "file", "directory", "symlink", "fifo", "char", "block".
[[nodiscard]] std::string_view to_word(FileType type) noexcept;

/// How the store holds an entry. Frozen.
enum class Held : std::uint8_t {
  kLink = 1,     ///< a second name of the source's own inode
  kReflink = 2,  ///< an independent inode that shares the source's extents
  kCopy = 3,     ///< an independent inode with the source's bytes
  kNode = 4,     ///< a symlink, FIFO or device made anew: the filesystem links no such type
};
[[nodiscard]] std::string_view to_word(Held held) noexcept;

/// Frozen.
enum class HashState : std::uint8_t {
  kPending = 1,   ///< linked; content and ctime are not settled yet
  kHashed = 2,    ///< `hash` is the content as of `ctime`; for types without content: checked
  kUnstable = 3,  ///< kept changing while it was read; `hash` is of one of the reads
};

/// Seconds since 1970 (may be negative) and 0..999,999,999 nanoseconds.
struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  auto operator<=>(const Timestamp&) const = default;
};

/// setuid and setgid in a mode.
inline constexpr std::uint32_t kSetIds = 06000;
/// Any execute permission: a file capability needs a program.
inline constexpr std::uint32_t kAnyExecute = 0111;

/// Everything but directories. Times of links are the inode's own and are recorded to be compared,
/// not to be set.
struct InodeRecord {
  FileType type = FileType::kFile;
  Held held = Held::kLink;
  HashState hash_state = HashState::kPending;
  InodeNo source_inode{};  ///< the captured inode
  InodeNo held_inode{};    ///< what the mirror has; equals source_inode when held is kLink
  std::uint32_t mode = 0;  ///< permission bits with setuid, setgid, sticky: 0..07777
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;  ///< bytes
  Timestamp mtime;
  Timestamp btime;  ///< zero where the filesystem has none
  Timestamp ctime;  ///< of the source inode when it was hashed; while kPending: before we linked it
  std::uint64_t rdev = 0;   ///< devices: major << 32 | minor; otherwise 0
  std::uint32_t flags = 0;  ///< FS_*_FL bits that chattr(1) shows: append, immutable, nodump, ...
  std::uint32_t project_id = 0;
  std::uint32_t names = 1;  ///< catalogued names; above 1 only in link groups, counted at seal
  std::string link_target;  ///< symlinks: raw bytes
  Digest hash;              ///< regular files
  bool operator==(const InodeRecord&) const = default;
};

struct Xattr {
  std::string
      name;  ///< with its namespace: "user.x", "security.capability", "system.posix_acl_access"
  std::string value;  ///< raw bytes
  bool operator==(const Xattr&) const = default;
};

/// What rename planning needs to know of all that lies below a directory. Filled at seal.
struct SubtreeSummary {
  std::uint64_t entries =
      0;  ///< catalogued entries of every type below, without the directory itself
  std::uint64_t bytes = 0;      ///< apparent bytes of regular files below, a name each
  bool needs_rebuild = false;   ///< a directory below, or this one, has inode flags or a project id
  bool has_unselected = false;  ///< a directory below is only the way to something selected
  bool has_copies = false;      ///< something below is not held by a plain link
  bool many_ids = false;        ///< more owners than fit into uids or gids
  std::vector<std::uint32_t> uids;  ///< distinct owners below, sorted, at most kMaxSummaryIds
  std::vector<std::uint32_t> gids;
  bool operator==(const SubtreeSummary&) const = default;
};
inline constexpr std::size_t kMaxSummaryIds = 8;

struct DirectoryRecord {
  bool selected = true;    ///< false: not wanted itself, only on the way to something that is
  bool complete = true;    ///< its listing was read to the end
  InodeNo inode{};         ///< of the captured directory
  std::uint32_t mode = 0;  ///< 0..07777
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Timestamp atime;
  Timestamp mtime;
  Timestamp ctime;
  Timestamp btime;
  std::uint32_t flags = 0;
  std::uint32_t project_id = 0;
  std::vector<Xattr> xattrs;  ///< sorted by name; ACLs are among them
  SubtreeSummary subtree;
  bool operator==(const DirectoryRecord&) const = default;
};

/// One row of the `entries` table.
struct Entry {
  enum class Kind : std::uint8_t { kDirectory = 1, kInline = 2, kGrouped = 3 };  // frozen
  Kind kind = Kind::kInline;
  std::string name;   ///< one component, raw bytes
  DirId directory{};  ///< kDirectory
  InodeNo group{};    ///< kGrouped: key into the `inodes` table (the held inode)
  InodeRecord inode;  ///< kInline; for kGrouped the reader fills it in
};

/// One row of the `dirs` table.
struct Directory {
  DirId id{};
  DirId parent{};    ///< kNoDir for the root
  std::string name;  ///< empty for the root
  DirectoryRecord record;
};

}  // namespace holdfast::catalog
