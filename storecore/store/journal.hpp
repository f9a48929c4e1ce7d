#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"

namespace holdfast::core {

/// An append-only file of lines in `journal/`, each line with the XXH3-64 of its text.
///
/// append() is durable when it returns (fdatasync), so that what it announces may be begun. A torn
/// last line (power cut while appending) is left out when reading; a bad line before the last is
/// damage. One thread at a time.
class Journal {
 public:
  /// Opens @p name in @p journal_dir (borrowed), making it when missing; a new file's name is
  /// durable when this returns.
  [[nodiscard]] static catalog::Result<Journal> open(DirFd journal_dir, const char* name);
  [[nodiscard]] catalog::Status append(std::string_view text);
  /// Several lines, one fdatasync.
  [[nodiscard]] catalog::Status append_all(const std::vector<std::string>& texts);
  /// Empties the file, durably.
  [[nodiscard]] catalog::Status clear();

  using Visitor = std::function<catalog::Status(std::string_view text)>;
  /// Calls @p visit for each whole line of @p text, a journal's content. kCatalogBad for damage.
  [[nodiscard]] static catalog::Status for_each_line(std::string_view text, std::string_view name,
                                                     const Visitor& visit);
  /// The same for a file. A missing one has no lines.
  [[nodiscard]] static catalog::Status read(DirFd journal_dir, const char* name,
                                            const Visitor& visit);
  /// For repair: leaves out damaged lines, and says how many there were. Torn ends are none.
  [[nodiscard]] static catalog::Result<std::uint64_t> read_whole_lines(DirFd journal_dir,
                                                                       const char* name,
                                                                       const Visitor& visit);
  /// Puts @p texts into the place of the journal in one step; what was there stays beside it as
  /// NAME.damaged-N. Durable when it returns.
  [[nodiscard]] static catalog::Status replace(DirFd journal_dir, const std::string& name,
                                               const std::vector<std::string>& texts);

 private:
  Journal(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Fd fd_;
  std::string name_;
};

}  // namespace holdfast::core
