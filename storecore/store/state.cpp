#include "storecore/store/state.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/records.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/identity.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/store/layout.hpp"
#include "storecore/store/store_file.hpp"

namespace holdfast::core {

using catalog::failed;
using catalog::Fault;
using catalog::Result;
using catalog::Status;
using nlohmann::json;

namespace {

constexpr int kStateFormat = 1;
constexpr std::array<std::pair<StoreState, std::string_view>, 8> kWords{{
    {StoreState::kCapturing, "capturing"},
    {StoreState::kLinked, "linked"},
    {StoreState::kSealed, "sealed"},
    {StoreState::kWiping, "wiping"},
    {StoreState::kWiped, "wiped"},
    {StoreState::kRestoring, "restoring"},
    {StoreState::kRestored, "restored"},
    {StoreState::kDiscarding, "discarding"},
}};

// Paths are raw bytes and JSON is UTF-8: base64 keeps what JSON cannot.
json text_json(const std::string& bytes) {
  if (catalog::is_utf8(bytes)) return bytes;
  return json{{"b64", catalog::to_base64(bytes)}};
}
std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return catalog::from_base64(value.at("b64").get<std::string>()).value();
}

json to_json(const VolumeIdentity& volume) {
  return {
      {"fs_type", volume.fs_type}, {"fs_uuid", volume.fs_uuid}, {"subvolume", volume.subvolume}};
}
VolumeIdentity volume_of(const json& value) {
  return {.fs_type = value.at("fs_type").get<std::string>(),
          .fs_uuid = value.at("fs_uuid").get<std::string>(),
          .subvolume = value.at("subvolume").get<std::uint64_t>()};
}

json to_json(const catalog::Timestamp& time) { return {time.seconds, time.nanoseconds}; }
catalog::Timestamp time_of(const json& value) {
  return {.seconds = value.at(0).get<std::int64_t>(),
          .nanoseconds = value.at(1).get<std::uint32_t>()};
}

json to_json(const DirIdentity& dir) {
  return {{"inode", dir.inode}, {"btime", to_json(dir.btime)}};
}
DirIdentity dir_of(const json& value) {
  return {.inode = value.at("inode").get<std::uint64_t>(), .btime = time_of(value.at("btime"))};
}

json to_json(const StoreRecord& record) {
  json volumes = json::array();
  for (const TiedVolume& tied : record.volumes)
    volumes.push_back({{"volume", to_json(tied.volume)},
                       {"root", to_json(tied.root)},
                       {"path", text_json(tied.path)},
                       {"inside", text_json(tied.inside)}});
  json accepted = json::array();
  for (const std::string& pattern : record.accepted) accepted.push_back(text_json(pattern));
  json labels = json::object();
  for (const auto& [key, value] : record.labels) labels[key] = value;
  json own = json::array();
  for (const OwnChange& change : record.own_changes)
    own.push_back({to_json(change.from), to_json(change.to)});
  return {{"format", kStateFormat},
          {"state", to_word(record.state)},
          {"capture_id", record.capture_id},
          {"created_by", record.created_by},
          {"created_at", record.created_at},
          {"sealed_at", record.sealed_at},
          {"labels", labels},
          {"volume", to_json(record.volume)},
          {"root", to_json(record.root)},
          {"store", to_json(record.store)},
          {"root_path", text_json(record.root_path)},
          {"volumes", volumes},
          {"catalog_bytes", record.catalog_bytes},
          {"catalog_xxh3", fmt::format("{:016x}", record.catalog_xxh3)},
          {"counts", record.counts},
          {"missed", record.missed},
          {"unstable", record.unstable},
          {"problems", record.problems},
          {"accepted", accepted},
          {"wipe_number", record.wipe_number},
          {"wipe_refreshed", record.wipe_refreshed},
          {"old_system_complete", record.old_system_complete},
          {"old_system_names", record.old_system_names},
          {"protected_dirs", record.protected_dirs},
          {"moved_out", record.moved_out},
          {"restored_all", record.restored_all},
          {"own_changes", own}};
}

StoreRecord record_of(const json& value) {
  StoreRecord record;
  record.state = store_state_from(value.at("state").get<std::string>()).value();
  record.capture_id = value.at("capture_id").get<std::string>();
  record.created_by = value.at("created_by").get<std::string>();
  record.created_at = value.at("created_at").get<std::string>();
  record.sealed_at = value.at("sealed_at").get<std::string>();
  record.labels = value.at("labels").get<std::map<std::string, std::string>>();
  record.volume = volume_of(value.at("volume"));
  record.root = dir_of(value.at("root"));
  record.store = dir_of(value.at("store"));
  record.root_path = text_of(value.at("root_path"));
  for (const json& tied : value.at("volumes"))
    record.volumes.push_back({.volume = volume_of(tied.at("volume")),
                              .root = dir_of(tied.at("root")),
                              .path = text_of(tied.at("path")),
                              .inside = text_of(tied.at("inside"))});
  record.catalog_bytes = value.at("catalog_bytes").get<std::uint64_t>();
  record.catalog_xxh3 = std::stoull(value.at("catalog_xxh3").get<std::string>(), nullptr, 16);
  record.counts = value.at("counts").get<std::map<std::string, std::uint64_t>>();
  record.missed = value.at("missed").get<std::uint64_t>();
  record.unstable = value.at("unstable").get<std::uint64_t>();
  record.problems = value.at("problems").get<std::uint64_t>();
  for (const json& pattern : value.at("accepted")) record.accepted.push_back(text_of(pattern));
  record.wipe_number = value.at("wipe_number").get<std::uint32_t>();
  record.wipe_refreshed = value.at("wipe_refreshed").get<bool>();
  record.old_system_complete = value.at("old_system_complete").get<bool>();
  record.old_system_names = value.value("old_system_names", std::uint64_t{0});
  record.protected_dirs = value.at("protected_dirs").get<bool>();
  record.moved_out = value.at("moved_out").get<bool>();
  record.restored_all = value.at("restored_all").get<bool>();
  for (const json& change : value.at("own_changes"))
    record.own_changes.push_back({.from = time_of(change.at(0)), .to = time_of(change.at(1))});
  return record;
}

struct Slots {
  std::array<std::optional<DecodedSlot>, 2> slots;
  [[nodiscard]] std::optional<std::size_t> current() const {
    if (!slots[0] && !slots[1]) return std::nullopt;
    if (!slots[0]) return 1;
    if (!slots[1]) return 0;
    return slots[0]->sequence > slots[1]->sequence ? 0 : 1;
  }
};

/// For repair: both slots, one on a sector that cannot be read as damage. EIO when neither can be.
SysResult<std::string> read_text(int fd) {
  std::string text;
  std::array<std::byte, StateFile::kSlotBytes> slot;
  std::error_code unreadable;
  bool any = false;
  for (std::size_t i = 0; i < 2; ++i) {
    std::size_t done = 0;
    while (done < slot.size()) {
      const auto got = pread_some(fd, std::span(slot).subspan(done), text.size() + done);
      if (!got && got.error().value() != EIO) return std::unexpected(got.error());
      if (!got) unreadable = got.error();
      if (!got || *got == 0) break;
      done += *got;
    }
    if (unreadable && done < slot.size() && i == 0) {
      text.assign(StateFile::kSlotBytes, '\0');  // damage, and no blank slot
      continue;
    }
    if (done != 0) any = true;
    for (const std::byte byte : std::span(slot).first(done)) text += static_cast<char>(byte);
    if (done < slot.size()) break;
  }
  if (!any && unreadable) return std::unexpected(unreadable);
  return text;
}

Result<Slots> read_slots(int fd) {
  const auto stat = stat_fd(fd);
  if (!stat) return failed("statx", layout::kState, stat.error());
  if (stat->size > 4 * StateFile::kSlotBytes)
    return catalog::fail(Fault::kCatalogBad, layout::kState, "is far larger than its two slots",
                         "the files are safe in tree/: see the README beside it");
  // Strictly: the slot that cannot be read may be the newer one, and the other an older state.
  const auto text = read_all(fd, 4 * StateFile::kSlotBytes);
  if (!text) return failed("read", layout::kState, text.error());
  Slots slots;
  const std::string_view all(*text);
  for (std::size_t i = 0; i < slots.slots.size(); ++i) {
    if (all.size() >= (i + 1) * StateFile::kSlotBytes)
      slots.slots[i] = decode_slot(all.substr(i * StateFile::kSlotBytes, StateFile::kSlotBytes));
  }
  return slots;
}

/// A slot that is whole but of another format: the checksum tells it from damage.
bool is_newer(std::string_view text) {
  const auto end = text.find_last_not_of(" \n");
  if (end == std::string_view::npos) return false;
  text = text.substr(0, end + 1);
  constexpr std::string_view marker = "\"store\":";
  const auto at = text.find(marker);
  if (at == std::string_view::npos || text.back() != '}') return false;
  const std::string_view body =
      text.substr(at + marker.size(), text.size() - at - marker.size() - 1);
  try {
    const json outer = json::parse(text);
    const auto sum =
        catalog::checksum64(fmt::format("{}{}", outer.at("sequence").get<std::uint64_t>(), body));
    return outer.at("xxh3").get<std::string>() == fmt::format("{:016x}", sum) &&
           outer.at("store").at("format").get<int>() > kStateFormat;
  } catch (const std::exception&) {
    return false;
  }
}

Status too_large() {
  return catalog::fail(Fault::kUsage, layout::kState,
                       "labels, tied volumes and accepted patterns do not fit into the state file");
}

}  // namespace

std::string_view to_word(StoreState state) noexcept {
  for (const auto& [value, word] : kWords)
    if (value == state) return word;
  return "unknown";
}

std::optional<StoreState> store_state_from(std::string_view word) noexcept {
  for (const auto& [value, known] : kWords)
    if (known == word) return value;
  return std::nullopt;
}

// {"sequence":N,"xxh3":"HEX","store":{...}} where the checksum is of the text of the number and the
// object.
namespace {

std::string slot_text(const StoreRecord& record, std::uint64_t sequence) {
  const std::string body = to_json(record).dump(-1, ' ', false, json::error_handler_t::replace);
  const std::string signed_text = fmt::format("{}{}", sequence, body);
  std::string line = fmt::format("{{\"sequence\":{},\"xxh3\":\"{:016x}\",\"store\":{}}}", sequence,
                                 catalog::checksum64(signed_text), body);
  return line;
}

}  // namespace

std::string encode_slot(const StoreRecord& record, std::uint64_t sequence) {
  std::string line = slot_text(record, sequence);
  if (line.size() < StateFile::kSlotBytes) line.resize(StateFile::kSlotBytes - 1, ' ');
  line += '\n';
  return line;
}

std::optional<DecodedSlot> decode_slot(std::string_view text) {
  const auto end = text.find_last_not_of(" \n");
  if (end == std::string_view::npos) return std::nullopt;
  text = text.substr(0, end + 1);
  constexpr std::string_view marker = "\"store\":";
  const auto at = text.find(marker);
  if (at == std::string_view::npos || text.back() != '}') return std::nullopt;
  const std::string_view body =
      text.substr(at + marker.size(), text.size() - at - marker.size() - 1);
  try {
    const json outer = json::parse(text);
    DecodedSlot slot;
    slot.sequence = outer.at("sequence").get<std::uint64_t>();
    const auto sum = catalog::checksum64(fmt::format("{}{}", slot.sequence, body));
    if (outer.at("xxh3").get<std::string>() != fmt::format("{:016x}", sum)) return std::nullopt;
    const json& store = outer.at("store");
    if (store.at("format").get<int>() != kStateFormat) return std::nullopt;
    slot.record = record_of(store);
    return slot;
  } catch (
      const std::exception&) {  // json and optional: whatever is wrong, this is no slot of ours
    return std::nullopt;
  }
}

Status StateFile::check_room(const StoreRecord& record) {
  constexpr std::size_t reserve = 8192;
  return slot_text(record, 0).size() + reserve <= kSlotBytes ? Status{} : too_large();
}

Status StateFile::create(DirFd store, const StoreRecord& record) {
  // Under another name until it is whole: a crash must not leave an empty state file, which no
  // later run could tell from a damaged one.
  const std::string staged = std::string(layout::kState) + ".new";
  auto fd = open_at(store, staged.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) return failed("openat", staged, fd.error());
  const std::string slot = encode_slot(record, 1);
  if (slot.size() != kSlotBytes) return too_large();
  // Both slots are written out, not only reserved: rewriting them later needs no new block.
  std::string blank(kSlotBytes - 1, ' ');
  blank += '\n';
  if (auto written = write_all(fd->get(), slot + blank); !written)
    return failed("write", staged, written.error());
  if (auto synced = fsync_fd(fd->get()); !synced) return failed("fsync", staged, synced.error());
  if (auto renamed = rename_no_replace(store, staged.c_str(), store, layout::kState); !renamed)
    return failed("renameat2", layout::kState, renamed.error());
  if (auto synced = fsync_fd(store.fd); !synced)
    return failed("fsync", layout::kStore, synced.error());
  return {};
}

Result<StoreRecord> StateFile::load(DirFd store) {
  const auto fd = open_store_file(store, layout::kState, O_RDONLY);
  if (!fd && fd.error().cause.value() == ENOENT)
    return catalog::fail(Fault::kNoStore, layout::kState, "there is no state file");
  if (!fd) return std::unexpected(fd.error());
  auto slots = read_slots(fd->get());
  if (!slots) return std::unexpected(slots.error());
  const auto current = slots->current();
  if (!current)
    return catalog::fail(Fault::kCatalogBad, layout::kState,
                         "damaged, or written by a newer version of holdfast");
  return std::move(slots->slots.at(*current)->record);
}

Result<StateFile::Look> StateFile::look(DirFd store) {
  Look look;
  const auto fd = open_at(store, layout::kState, O_RDONLY);
  if (!fd && fd.error().value() == ENOENT) return look;
  if (!fd) return failed("openat", layout::kState, fd.error());
  look.found = true;
  const auto text = read_text(fd->get());
  if (!text && text.error().value() == EIO) {
    look.damaged_slot = true;
    return look;
  }
  if (!text) return failed("read", layout::kState, text.error());
  std::uint64_t newest = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string_view slot = text->size() >= (i + 1) * kSlotBytes
                                      ? std::string_view(*text).substr(i * kSlotBytes, kSlotBytes)
                                      : std::string_view();
    auto decoded = decode_slot(slot);
    look.newer = look.newer || is_newer(slot);
    // The second slot is blank until the first change of state.
    const bool blank = !slot.empty() && slot.find_first_not_of(" \n") == std::string_view::npos;
    if (!decoded && !blank) look.damaged_slot = true;
    if (!decoded || (look.record && decoded->sequence < newest)) continue;
    newest = decoded->sequence;
    look.record = std::move(decoded->record);
  }
  return look;
}

Status StateFile::save(DirFd store, const StoreRecord& record) {
  const auto fd = open_store_file(store, layout::kState, O_RDWR);
  if (!fd) return std::unexpected(fd.error());
  const auto slots = read_slots(fd->get());
  if (!slots) return std::unexpected(slots.error());
  const auto current = slots->current();
  if (!current)
    return catalog::fail(Fault::kCatalogBad, layout::kState,
                         "the state file was damaged meanwhile");
  const std::uint64_t sequence = slots->slots.at(*current)->sequence + 1;
  const std::string slot = encode_slot(record, sequence);
  if (slot.size() != kSlotBytes) return too_large();
  const std::size_t target = 1 - *current;
  if (auto written = pwrite_all(fd->get(), slot, target * kSlotBytes); !written)
    return failed("pwrite", layout::kState, written.error());
  if (auto synced = fdatasync_fd(fd->get()); !synced)
    return failed("fdatasync", layout::kState, synced.error());
  return {};
}

}  // namespace holdfast::core
