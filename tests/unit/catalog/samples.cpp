#include "samples.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/ids.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"

namespace holdfast::catalog::testing {

Digest digest_of_text(std::string_view text) {
  return digest_of(std::as_bytes(std::span(text.data(), text.size())));
}

InodeRecord sample_file() {
  InodeRecord record;
  record.type = FileType::kFile;
  record.held = Held::kLink;
  record.hash_state = HashState::kHashed;
  record.source_inode = InodeNo{1234567};
  record.held_inode = InodeNo{1234567};
  record.mode = 0644;
  record.uid = 1000;
  record.gid = 100;
  record.size = 5;
  record.mtime = {1'700'000'000, 123'456'789};
  record.ctime = {1'700'000'100, 999'999'999};
  record.btime = {1'600'000'000, 1};
  record.hash = digest_of_text("hello");
  return record;
}

InodeRecord sample_copy() {
  InodeRecord record = sample_file();
  record.held = Held::kCopy;
  record.held_inode = InodeNo{7654321};
  record.mode = 06755;
  record.flags = 0x30;
  record.project_id = 42;
  return record;
}

InodeRecord sample_symlink() {
  InodeRecord record = sample_file();
  record.type = FileType::kSymlink;
  record.hash = Digest();
  record.mode = 0777;
  record.link_target = "../else\xffwhere\n";
  record.size = record.link_target.size();
  return record;
}

InodeRecord sample_device() {
  InodeRecord record = sample_file();
  record.type = FileType::kBlock;
  record.held = Held::kNode;
  record.held_inode = InodeNo{99};
  record.hash = Digest();
  record.size = 0;
  record.rdev = (std::uint64_t{8} << 32U) | 17U;
  return record;
}

std::vector<InodeRecord> sample_inodes() {
  std::vector<InodeRecord> records = {sample_file(), sample_copy(), sample_symlink(),
                                      sample_device()};
  InodeRecord zero;
  zero.hash_state = HashState::kPending;
  records.push_back(zero);
  InodeRecord most = sample_file();
  most.source_inode = InodeNo{std::numeric_limits<std::uint64_t>::max()};
  most.held_inode = most.source_inode;
  most.size = std::numeric_limits<std::uint64_t>::max();
  most.uid = std::numeric_limits<std::uint32_t>::max();
  most.mode = 07777;
  most.mtime = {std::numeric_limits<std::int64_t>::min(), 0};
  most.ctime = {std::numeric_limits<std::int64_t>::max(), 999'999'999};
  most.btime = {-1, 500'000'000};
  most.hash_state = HashState::kUnstable;
  records.push_back(most);
  InodeRecord fifo = sample_file();
  fifo.type = FileType::kFifo;
  fifo.hash = Digest();
  fifo.size = 0;
  fifo.btime = Timestamp();
  records.push_back(fifo);
  InodeRecord whiteout = fifo;
  whiteout.type = FileType::kChar;
  records.push_back(whiteout);
  InodeRecord reflink = sample_copy();
  reflink.held = Held::kReflink;
  records.push_back(reflink);
  return records;
}

Directory sample_root() {
  Directory root;
  root.id = kRootDir;
  root.record.inode = InodeNo{2};
  root.record.mode = 0755;
  root.record.mtime = {1'700'000'000, 5};
  return root;
}

Directory sample_directory() {
  Directory directory;
  directory.id = DirId{77};
  directory.parent = DirId{3};
  directory.name = "Documents";
  DirectoryRecord& record = directory.record;
  record.selected = false;
  record.complete = false;
  record.inode = InodeNo{4711};
  record.mode = 02770;
  record.uid = 1000;
  record.gid = 50;
  record.atime = {1'700'000'001, 1};
  record.mtime = {1'700'000'002, 2};
  record.ctime = {1'700'000'003, 3};
  record.btime = {1'700'000'004, 4};
  record.flags = 0x10;
  record.project_id = 7;
  record.xattrs = {{"system.posix_acl_access", std::string("\x02\x00\x00\x00", 4)},
                   {"user.empty", ""},
                   {"user.not\xffutf8", "v"}};
  record.subtree.entries = 12;
  record.subtree.bytes = 34567;
  record.subtree.needs_rebuild = true;
  record.subtree.has_unselected = true;
  record.subtree.has_copies = true;
  record.subtree.many_ids = true;
  record.subtree.uids = {0, 5, 1000};
  record.subtree.gids = {1, 2, 3, 4, 5, 6, 7, 4'000'000'000};
  return directory;
}

Problem sample_problem() {
  return Problem{ProblemKind::kMissed, "home/\xff/file", "linkat", 18, "another filesystem"};
}

Entry inline_entry(std::string_view name, const InodeRecord& record) {
  Entry entry;
  entry.kind = Entry::Kind::kInline;
  entry.name = name;
  entry.inode = record;
  return entry;
}

Entry grouped_entry(std::string_view name, InodeNo group) {
  Entry entry;
  entry.kind = Entry::Kind::kGrouped;
  entry.name = name;
  entry.group = group;
  return entry;
}

Entry directory_entry(std::string_view name, DirId directory) {
  Entry entry;
  entry.kind = Entry::Kind::kDirectory;
  entry.name = name;
  entry.directory = directory;
  return entry;
}

TempDirectory::TempDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "catalog-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {  // NOLINT(misc-include-cleaner): it is in <cstdlib>
    throw std::runtime_error("mkdtemp failed");
  }
  path_ = pattern;
  fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

TempDirectory::~TempDirectory() {
  ::close(fd_);
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDirectory::file(std::string_view name) const {
  return path_ + "/" + std::string(name);
}

std::vector<std::string> TempDirectory::names() const {
  std::vector<std::string> found;
  for (const auto& item : std::filesystem::directory_iterator(path_)) {
    found.push_back(item.path().filename().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace holdfast::catalog::testing
