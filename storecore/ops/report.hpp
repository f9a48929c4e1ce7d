#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/store/state.hpp"

/// What an operation says when it is done. The command line turns it into text or JSON and nothing
/// else.
namespace holdfast::core {

/// Names of the counts in JSON summaries, in that order. Fields may be added, never renamed.
enum class Count : std::uint8_t {
  kEntries,  ///< catalogued entries of every type
  kFiles,    ///< names of regular files
  kInodes,   ///< inodes behind them, each once
  kDirectories,
  kSymlinks,
  kSpecials,  ///< FIFOs and device nodes
  kBytes,     ///< apparent bytes of regular files, each inode once
  kLinked,    ///< by this run
  kReflinked,
  kCopied,
  kHashedFiles,  ///< inodes that were read
  kHashedBytes,
  kDropped,  ///< let go of by a refresh; in dropped/
  kSkipped,
  kMissed,
  kUnstable,
  kVanished,
  kRestored,
  kConflicts,
  kDisplaced,
  kMovedAside,
  kDeleted,
  kLeft,
  kOk,
  kModified,
  kCorrupt,
  kMissing,
  kExtra,
  kAdopted,       ///< names in the mirror that the catalog did not have
  kRehashed,      ///< files whose hash of the capture is not known any more
  kSetuid,        ///< names of files with setuid or setgid
  kCapabilities,  ///< files with capabilities that this run took or gave back
};
inline constexpr std::size_t kCounts = 32;
/// "entries", "files", "hashed_files", ...
[[nodiscard]] std::string_view to_word(Count count) noexcept;

/// A count that was never set is unknown and is not printed. One thread.
class Counts {
 public:
  void set(Count count, std::uint64_t value) { values_[index(count)] = value; }
  void add(Count count, std::uint64_t value) {
    values_[index(count)] = get(count).value_or(0) + value;
  }
  [[nodiscard]] std::optional<std::uint64_t> get(Count count) const {
    return values_[index(count)];
  }

 private:
  static std::size_t index(Count count) { return static_cast<std::size_t>(count); }
  std::array<std::optional<std::uint64_t>, kCounts> values_{};
};

struct PhaseReport {
  std::string name;
  double seconds = 0;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// One reason why wipe or discard says no.
struct Reason {
  std::string code;  ///< stable, e.g. "missed-entries"
  std::string text;
};

struct SizedPath {
  std::string path;  ///< raw bytes relative to ROOT
  std::uint64_t bytes = 0;
};

/// The outcome on one volume.
struct VolumeReport {
  std::string root;   ///< as it was named or found, absolute
  std::string store;  ///< absolute; empty when there is none
  std::string capture_id;
  std::string captured_at;  ///< UTC, RFC 3339: when the store was last sealed, else created; empty:
                            ///< no store
  std::map<std::string, std::string> labels;
  std::string fs_type;
  std::string fs_uuid;
  std::optional<StoreState> state;  ///< after the run; nullopt: no store, or not readable
  std::optional<catalog::Error> error;
  /// 0, or a catalog::Fault: the error's, or what problems add up to (3, 4).
  int exit_code = 0;
  std::string next;      ///< what to do next, one line, a command where there is one
  bool durable = false;  ///< what the report says will survive a power cut
  bool nothing_to_do = false;
  std::string started_at;  ///< UTC, RFC 3339
  double seconds = 0;
  std::vector<PhaseReport> phases;
  std::optional<std::uint64_t> free_bytes;
  std::optional<std::uint64_t> needed_bytes;
  Counts counts;

  // wipe, discard
  std::optional<bool> ready;    ///< --dry-run: would it go?
  std::vector<Reason> reasons;  ///< why not
  std::optional<std::uint64_t> would_free_bytes;
  std::vector<std::string> kept;        ///< --keep paths and borders that stay
  std::vector<SizedPath> not_selected;  ///< the ten largest trees that will not survive
};

struct RunReport {
  std::vector<VolumeReport>
      volumes;  ///< in the order in which ROOTs were named; tied volumes behind theirs
  /// The worst volume's: signal first, then 12, 13, 1, 4, 5, 3.
  [[nodiscard]] int exit_code() const noexcept;
};

}  // namespace holdfast::core
