#include "storecore/store/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/store/store_file.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Fault;
using catalog::Result;
using catalog::Status;

namespace {

constexpr std::size_t kLimit = std::size_t{1} << 30;
constexpr std::size_t kSumDigits = 16;

std::string sealed_line(std::string_view text) {
  return fmt::format("{:016x} {}\n", catalog::checksum64(text), text);
}

bool is_whole(std::string_view line) {
  return line.size() > kSumDigits && line[kSumDigits] == ' ' &&
         line.substr(0, kSumDigits) ==
             fmt::format("{:016x}", catalog::checksum64(line.substr(kSumDigits + 1)));
}

/// The content of a journal; nothing for a missing one.
Result<std::string> read_text(DirFd journal_dir, const char* name) {
  const auto fd = open_store_file(journal_dir, name, O_RDONLY);
  if (!fd && fd.error().cause.value() == ENOENT) return {};
  if (!fd) return std::unexpected(fd.error());
  auto text = read_all(fd->get(), kLimit);
  if (!text) return failed("read", name, text.error());
  return std::move(*text);
}

/// Leaves damaged lines out, and says how many there were.
Result<std::uint64_t> visit_whole_lines(std::string_view text, const Journal::Visitor& visit) {
  std::uint64_t bad = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // torn
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (!is_whole(line)) {
      if (text.empty()) break;  // the last line, half written before its newline reached the disk
      ++bad;
      continue;
    }
    if (auto status = visit(line.substr(kSumDigits + 1)); !status)
      return std::unexpected(status.error());
  }
  return bad;
}

}  // namespace

Result<Journal> Journal::open(DirFd journal_dir, const char* name) {
  auto fd = open_store_file(journal_dir, name, O_RDWR | O_APPEND);
  if (!fd && fd.error().cause.value() == ENOENT) {
    fd = open_store_file(journal_dir, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL, 0600);
    if (fd) {
      if (const auto synced = fsync_fd(journal_dir.fd); !synced)
        return failed("fsync", name, synced.error());
    }
  }
  if (!fd) return std::unexpected(fd.error());
  // A torn last line would swallow the next one: cut it off.
  const auto text = read_all(fd->get(), kLimit);
  if (!text) return failed("read", name, text.error());
  const std::size_t end = text->rfind('\n');
  const std::size_t keep = end == std::string::npos ? 0 : end + 1;
  if (keep != text->size() && ftruncate(fd->get(), static_cast<off_t>(keep)) != 0)
    return failed("ftruncate", name, catalog::last_error());
  return Journal(std::move(*fd), name);
}

Status Journal::append(std::string_view text) { return append_all({std::string(text)}); }

Status Journal::append_all(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += sealed_line(text);
  if (const auto written = write_all(fd_.get(), lines); !written)
    return failed("write", name_, written.error());
  if (const auto synced = fdatasync_fd(fd_.get()); !synced)
    return failed("fdatasync", name_, synced.error());
  return {};
}

Status Journal::clear() {
  if (ftruncate(fd_.get(), 0) != 0) return failed("ftruncate", name_, catalog::last_error());
  if (const auto synced = fdatasync_fd(fd_.get()); !synced)
    return failed("fdatasync", name_, synced.error());
  return {};
}

Status Journal::for_each_line(std::string_view text, std::string_view name, const Visitor& visit) {
  const auto bad = visit_whole_lines(text, visit);
  if (!bad) return std::unexpected(bad.error());
  if (*bad != 0) return catalog::fail(Fault::kCatalogBad, name, "the journal is damaged");
  return {};
}

Status Journal::read(DirFd journal_dir, const char* name, const Visitor& visit) {
  const auto text = read_text(journal_dir, name);
  if (!text) return std::unexpected(text.error());
  return for_each_line(*text, name, visit);
}

Result<std::uint64_t> Journal::read_whole_lines(DirFd journal_dir, const char* name,
                                                const Visitor& visit) {
  const auto text = read_text(journal_dir, name);
  if (!text) return std::unexpected(text.error());
  return visit_whole_lines(*text, visit);
}

Status Journal::replace(DirFd journal_dir, const std::string& name,
                        const std::vector<std::string>& texts) {
  const std::string staged = name + ".new";
  {
    auto journal = open(journal_dir, staged.c_str());
    if (!journal) return std::unexpected(journal.error());
    if (auto cleared = journal->clear(); !cleared) return cleared;
    if (auto added = journal->append_all(texts); !added) return added;
  }
  for (unsigned number = 1;; ++number) {
    const std::string kept = fmt::format("{}.damaged-{}", name, number);
    const auto linked = link_at(journal_dir, name.c_str(), journal_dir, kept.c_str());
    if (linked || linked.error().value() == ENOENT) break;
    if (linked.error().value() != EEXIST) return failed("linkat", name, linked.error());
  }
  if (auto renamed = rename_replace(journal_dir, staged.c_str(), journal_dir, name.c_str());
      !renamed)
    return failed("renameat", name, renamed.error());
  if (auto synced = fsync_fd(journal_dir.fd); !synced) return failed("fsync", name, synced.error());
  return {};
}

}  // namespace holdfast::core
