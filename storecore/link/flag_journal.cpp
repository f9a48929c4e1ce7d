#include "storecore/link/flag_journal.hpp"

#include <fmt/format.h>
#include <linux/fs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/attrs.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/journal.hpp"
#include "storecore/store/layout.hpp"

namespace holdfast::core {

using catalog::Status;
using catalog::SysResult;
using catalog::SysStatus;

namespace {

constexpr std::uint32_t kBlocking = FS_IMMUTABLE_FL | FS_APPEND_FL;

constexpr std::string_view kFlagsWord = "flags";
constexpr std::string_view kModeWord = "mode";

/// Takes a number and the blank behind it off @p line.
template <class Number>
bool take_number(std::string_view& line, Number& number) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc{} || end == line.data() + line.size() || *end != ' ') return false;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()) + 1);
  return true;
}

/// Opens what may carry flags: a regular file or a directory. ENOENT-like answers for all else.
SysResult<Fd> open_flagged(DirFd dir, const std::string& name) {
  auto stat = stat_at(dir, name);
  if (!stat) return std::unexpected(stat.error());
  if (stat->is_directory()) return open_dir_at(dir, name.c_str());
  if (stat->is_regular()) return open_file_at(dir, name.c_str());
  return catalog::sys_error(ENOTSUP);
}

/// Sets the flags if @p path below @p top still is the noted inode.
void set_again(DirFd top, const FlagNote& noted) {
  const auto components = catalog::split_path(noted.path);
  if (!components) return;
  SysResult<Fd> fd = catalog::sys_error(ENOENT);
  if (components->empty()) {
    fd = open_dir_at(top, ".");
  } else {
    const auto parent = open_dir_below(top, std::span(*components).first(components->size() - 1));
    if (!parent) return;
    fd = open_flagged(*parent, components->back());
  }
  if (!fd) return;
  const auto stat = stat_fd(fd->get());
  if (!stat || stat->inode != noted.inode) return;
  if (noted.is_mode) {
    (void)chmod_fd(fd->get(), noted.value);
  } else {
    (void)write_flags(fd->get(), noted.value);
  }
}

}  // namespace

// "flags INODE VALUE BASE64(PATH)" or "mode ...": numbers first, the path cannot forge them.
std::optional<FlagNote> parse_flag_note(std::string_view line) {
  FlagNote noted;
  const std::string_view word = line.substr(0, line.find(' '));
  if (word != kFlagsWord && word != kModeWord) return std::nullopt;
  if (word.size() == line.size()) return std::nullopt;
  noted.is_mode = word == kModeWord;
  line.remove_prefix(word.size() + 1);
  if (!take_number(line, noted.inode) || !take_number(line, noted.value)) return std::nullopt;
  auto path = catalog::from_base64(line);
  if (!path || !catalog::is_clean_path(*path)) return std::nullopt;
  noted.path = std::move(*path);
  return noted;
}

SysStatus FlagJournal::note(std::string_view what, std::string_view path, std::uint64_t inode,
                            std::uint32_t value) {
  const std::lock_guard lock(mutex_);
  if (!journal_) {
    const auto dir = open_dir_at(store_->dir(), layout::kJournal);
    if (!dir) return std::unexpected(dir.error());
    auto journal = Journal::open(*dir, layout::kJournalFlags);
    if (!journal) return std::unexpected(journal.error().cause);
    journal_ = std::move(*journal);
  }
  const auto appended =
      journal_->append(fmt::format("{} {} {} {}", what, inode, value, catalog::to_base64(path)));
  if (!appended) return std::unexpected(appended.error().cause);
  return {};
}

SysStatus FlagJournal::with_cleared(DirFd dir, const std::string& name, std::string_view path,
                                    const std::function<SysStatus()>& change) {
  const auto fd = open_flagged(dir, name);
  if (!fd) return change();  // nothing to clear on it, or it is gone: the change says what is wrong
  const auto stat = stat_fd(fd->get());
  const auto flags = read_flags(fd->get());
  if (!stat || !flags || (flags->flags & kBlocking) == 0) return change();
  if (auto noted = note(kFlagsWord, path, stat->inode, flags->flags); !noted) return noted;
  if (auto cleared = write_flags(fd->get(), flags->flags & ~kBlocking); !cleared) return cleared;
  auto changed = change();
  if (auto set = write_flags(fd->get(), flags->flags); !set && changed) return set;
  return changed;
}

SysStatus FlagJournal::with_writable(DirFd dir, const std::string& name, std::string_view path,
                                     const std::function<SysStatus()>& change) {
  const auto fd = open_dir_at(dir, name.c_str());
  if (!fd) return change();
  const auto stat = stat_fd(fd->get());
  if (!stat || stat->uid != geteuid() || (stat->mode & 0700U) == 0700U) return change();
  if (auto noted = note(kModeWord, path, stat->inode, stat->mode); !noted) return noted;
  if (auto opened = chmod_fd(fd->get(), stat->mode | 0700U); !opened) return opened;
  auto changed = change();
  if (auto closed = chmod_fd(fd->get(), stat->mode); !closed && changed) return closed;
  return changed;
}

SysStatus FlagJournal::clear_for_good(DirFd dir, const std::string& name, std::string_view path) {
  const auto fd = open_flagged(dir, name);
  if (!fd) return std::unexpected(fd.error());
  const auto stat = stat_fd(fd->get());
  const auto flags = read_flags(fd->get());
  if (!stat) return std::unexpected(stat.error());
  if (!flags) return std::unexpected(flags.error());
  if ((flags->flags & kBlocking) == 0) return {};
  if (auto noted = note(kFlagsWord, path, stat->inode, flags->flags); !noted) return noted;
  return write_flags(fd->get(), flags->flags & ~kBlocking);
}

SysStatus FlagJournal::clear_inheritance(int dir, std::string_view path) {
  const auto stat = stat_fd(dir);
  const auto flags = read_flags(dir);
  if (!stat || !flags || !flags->project_inherit) return {};
  if (auto noted = note(kFlagsWord, path, stat->inode, flags->flags); !noted) return noted;
  return write_flags(dir, flags->flags & ~static_cast<std::uint32_t>(FS_PROJINHERIT_FL));
}

Status FlagJournal::finish() {
  const std::lock_guard lock(mutex_);
  if (!journal_) return {};
  if (auto durable = store_->barrier(); !durable) return durable;
  return journal_->clear();
}

Status FlagJournal::recover(Store& store) {
  const auto dir = store.subdir(layout::kJournal);
  if (!dir) return std::unexpected(dir.error());
  std::vector<FlagNote> all;
  const auto read =
      Journal::read(*dir, layout::kJournalFlags, [&](std::string_view line) -> Status {
        auto noted = parse_flag_note(line);
        if (!noted)
          return catalog::fail(catalog::Fault::kCatalogBad, layout::kJournalFlags,
                               "the journal is damaged");
        all.push_back(std::move(*noted));
        return {};
      });
  if (!read) return read;
  if (all.empty()) return {};
  const auto tree = store.subdir(layout::kTree);
  std::optional<Fd> aside;
  if (store.record().wipe_number != 0) {
    const std::array<std::string, 2> parts{layout::kAside,
                                           std::to_string(store.record().wipe_number)};
    if (auto fd = open_dir_below(store.dir(), parts)) aside = std::move(*fd);
  }
  for (const FlagNote& noted : all) {
    set_again(store.root(), noted);
    if (tree) set_again(*tree, noted);
    if (aside) set_again(*aside, noted);
  }
  if (auto durable = store.barrier(); !durable) return durable;
  auto journal = Journal::open(*dir, layout::kJournalFlags);
  if (!journal) return std::unexpected(journal.error());
  return journal->clear();
}

}  // namespace holdfast::core
