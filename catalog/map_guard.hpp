#pragma once

#include <cstddef>
#include <cstdint>

/// While a catalog is not sealed it has no checksum, and LMDB trusts what it maps: a damaged page
/// can end in SIGSEGV, SIGBUS or an assertion. Env registers its map here, and the program's signal
/// handler asks whether a fault lies in it, so that the run ends with exit 12 and a line that says
/// why.
namespace holdfast::catalog {

/// True when @p address lies in the map of an open catalog. Async-signal-safe, any thread.
[[nodiscard]] bool is_in_catalog_map(const void* address) noexcept;

/// True when @p address lies in the map of a catalog's lock.mdb, which LMDB writes to: a fault
/// there is the filesystem's answer to a disk that failed, and says nothing of the catalog.
/// Async-signal-safe, any thread.
[[nodiscard]] bool is_in_lock_map(const void* address) noexcept;
/// True while a catalog is being opened: LMDB writes to lock.mdb's map before anybody can ask where
/// it is. Async-signal-safe, any thread.
[[nodiscard]] bool is_map_being_made() noexcept;
/// Behind a fault in lock.mdb's map, or while it is made: has its volume next to no space left? A
/// filesystem that writes elsewhere at each change (btrfs) needs some for a page that is there
/// already. Makes one fstatfs(2), and may be called from a signal handler.
[[nodiscard]] bool is_lock_volume_full(const void* address) noexcept;

/// Called when LMDB's own assertions fail, from the thread that hit one; must not return. Set once,
/// before threads start. The default writes a line to stderr and aborts.
using DamageHandler = void (*)(const char* what);
void set_damage_handler(DamageHandler handler) noexcept;

/// For Env. Ends the program through the handler.
[[noreturn]] void report_damage(const char* what) noexcept;

/// For Env: remembers where the file behind @p data_fd was just mapped with a map of @p bytes.
/// LMDB does not say where, so /proc/self/maps is asked; maps that are remembered already are not
/// taken again. The caller lets no other map be made between mmap and this call.
/// @return what forget_map() takes; negative when the map was not found or there are too many,
/// which
///         costs the good message and nothing else
[[nodiscard]] int remember_map(int data_fd, std::size_t bytes);
/// For Env, around LMDB's opening of what is in @p directory_fd (borrowed until end_map()). One at
/// a time.
void begin_map(int directory_fd) noexcept;
void end_map() noexcept;
/// The same for the lock file, whose inode is @p inode. @p data_fd is on the same volume and stays
/// open until forget_map().
[[nodiscard]] int remember_lock_map(int data_fd, std::uint64_t inode);
void forget_map(int slot) noexcept;

}  // namespace holdfast::catalog
