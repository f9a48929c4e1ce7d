#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/identity.hpp"

namespace holdfast::core {

/// Where a store is in its life. docs/store.md has the transitions.
enum class StoreState : std::uint8_t {
  kCapturing,  ///< links are being made; catalog not sealed
  kLinked,     ///< everything is linked and recorded, not everything is hashed
  kSealed,     ///< complete, hashed, checked, durable
  kWiping,     ///< a wipe plan is being carried out
  kWiped,      ///< ROOT is empty around the store; the image can be applied
  kRestoring,
  kRestored,    ///< every catalogued entry is in place below ROOT
  kDiscarding,  ///< the store is being deleted; only discard goes on from here
};
/// "capturing", "linked", ...
[[nodiscard]] std::string_view to_word(StoreState state) noexcept;
[[nodiscard]] std::optional<StoreState> store_state_from(std::string_view word) noexcept;

/// A volume that was captured together with this one.
struct TiedVolume {
  VolumeIdentity volume;
  DirIdentity root;
  std::string path;    ///< where its ROOT was at capture, absolute: a hint for messages
  std::string inside;  ///< its ROOT's path inside the filesystem, whatever is mounted where: how it
                       ///< is found again
};

/// Times between which we changed ctimes of held files ourselves (restore by link), in
/// CLOCK_REALTIME.
struct OwnChange {
  catalog::Timestamp from;
  catalog::Timestamp to;
};

/// What state.json holds. The catalog says what is stored; this says how far we are.
struct StoreRecord {
  StoreState state = StoreState::kCapturing;
  std::string capture_id;
  std::string created_by;  ///< "holdfast 0.1.0"
  std::string created_at;  ///< UTC, RFC 3339
  std::string sealed_at;   ///< empty before the first seal
  std::map<std::string, std::string> labels;
  VolumeIdentity volume;
  DirIdentity root;
  DirIdentity store;
  std::string root_path;  ///< where ROOT was at capture, absolute: a hint for messages
  std::vector<TiedVolume> volumes;

  std::uint64_t catalog_bytes = 0;  ///< of data.mdb while sealed; 0 while not
  std::uint64_t catalog_xxh3 = 0;

  std::map<std::string, std::uint64_t> counts;  ///< words of Count, as of the last seal
  std::uint64_t missed = 0;                     ///< gaps nobody accepted, as of the last seal
  std::uint64_t unstable = 0;
  std::uint64_t problems =
      0;  ///< fingerprint of all problems: tells whether a refresh found others
  std::vector<std::string> accepted;  ///< --accept-missed patterns

  std::uint32_t wipe_number = 0;     ///< N of the aside/N that holds the old system; 0: never wiped
  bool wipe_refreshed = false;       ///< the refresh from aside/N is sealed: deletion may go on
  bool old_system_complete = false;  ///< aside/N is whole: rollback can bring it back
  std::uint64_t old_system_names =
      0;  ///< names in aside/N when the wipe ended: rollback counts again; 0: unknown
  bool protected_dirs = false;  ///< directories of store and mirror are (being) set immutable
  bool moved_out = false;       ///< restore used mode move: the store no longer has every name
  bool restored_all = false;    ///< a complete restore has ended once
  std::vector<OwnChange> own_changes;
};

/// Reads and writes the two slots of state.json.
///
/// The file has two slots of kSlotBytes, each one line: a JSON object with a sequence number and
/// the XXH3-64 of its content, padded with blanks. A write goes to the slot that is not current,
/// then fdatasync: a power cut leaves one good slot, and a full disk does not matter since both
/// slots were allocated at creation. One thread, under the exclusive lock; load() also under the
/// shared lock or none.
class StateFile {
 public:
  static constexpr std::size_t kSlotBytes = 32768;
  /// Fails (kUsage) when @p record leaves too little room for what later states add to it. Asked
  /// where labels, accepted patterns and ties are taken in.
  [[nodiscard]] static catalog::Status check_room(const StoreRecord& record);

  /// Makes the file with both slots allocated. Not durable until the barrier.
  [[nodiscard]] static catalog::Status create(DirFd store, const StoreRecord& record);
  /// kNoStore when there is no file; kCatalogBad when neither slot is good or the format is newer.
  [[nodiscard]] static catalog::Result<StoreRecord> load(DirFd store);
  /// Durable when it returns.
  [[nodiscard]] static catalog::Status save(DirFd store, const StoreRecord& record);

  /// For repair, which has to tell one kind of unreadable from another.
  struct Look {
    bool found = false;
    std::optional<StoreRecord> record;  ///< of the current slot
    bool damaged_slot = false;          ///< one that was written once and is not good any more
    bool newer = false;                 ///< a slot is whole and of a format that we do not know
  };
  [[nodiscard]] static catalog::Result<Look> look(DirFd store);
};

/// For tests and fuzzing: one slot's text.
[[nodiscard]] std::string encode_slot(const StoreRecord& record, std::uint64_t sequence);
struct DecodedSlot {
  StoreRecord record;
  std::uint64_t sequence = 0;
};
[[nodiscard]] std::optional<DecodedSlot> decode_slot(std::string_view text);

}  // namespace holdfast::core
