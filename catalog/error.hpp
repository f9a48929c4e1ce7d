#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>

/// What can go wrong, in the two sizes the project uses: a bare system error close to the kernel,
/// and an Error that a person can act on at the borders of a module.
namespace holdfast::catalog {

/// Why a run could not do what was asked. The values are the process's exit codes.
/// Frozen: never renumber, scripts rely on them.
enum class Fault : std::uint8_t {
  kFailed = 1,       ///< I/O or system error; nothing was lost, run again
  kUsage = 2,        ///< the request makes no sense; nothing was touched
  kIncomplete = 3,   ///< finished, but entries were missed, left over, modified or in conflict
  kDamage = 4,       ///< stored content is corrupt or missing
  kRefused = 5,      ///< a safety rule says no; see Error::reason_code
  kNoStore = 10,     ///< there is no store here
  kInUse = 11,       ///< another process works on the store
  kCatalogBad = 12,  ///< catalog or state damaged, or written by a newer version
  kNoSpace = 13,     ///< not enough space, quota or inodes
};

/// The run, or the step that was asked for, failed. Everything a message needs, unformatted.
struct Error {
  Fault fault = Fault::kFailed;
  std::string operation;  ///< what was tried, e.g. "linkat"; empty for rules of our own
  std::string place;      ///< raw path bytes, relative to ROOT where there is one; printed escaped
  std::error_code cause;  ///< the system's answer; false when the reason is ours
  std::string reason;     ///< one clause, no full stop; empty when cause says it all
  std::string reason_code;  ///< stable word for scripts, e.g. "not-sealed"; kRefused always has one
  std::string hint;         ///< the cure, if it is known; empty otherwise
};

template <class T>
using Result = std::expected<T, Error>;
template <class T>
using SysResult = std::expected<T, std::error_code>;
using Status = Result<void>;
using SysStatus = SysResult<void>;

/// The error_code for the calling thread's errno.
[[nodiscard]] std::error_code last_error() noexcept;
[[nodiscard]] std::unexpected<std::error_code> sys_error(int errno_value) noexcept;

/// Builds the error of a failed system call. ENOSPC and EDQUOT become kNoSpace, all else kFailed.
[[nodiscard]] std::unexpected<Error> failed(std::string_view operation, std::string_view place,
                                            std::error_code cause);
[[nodiscard]] std::unexpected<Error> fail(Fault fault, std::string_view place,
                                          std::string_view reason, std::string_view hint = {});
/// A safety rule said no. @p reason_code is a stable word that tests and scripts compare.
[[nodiscard]] std::unexpected<Error> refused(std::string_view reason_code, std::string_view place,
                                             std::string_view reason, std::string_view hint = {});

/// One line without a full stop: "PLACE: CAUSE or REASON (OPERATION)", names escaped.
[[nodiscard]] std::string describe(const Error& error);

/// Which of two faults decides the exit code: 12, 13, 1, 4, 5, 3 in that order, then the others.
[[nodiscard]] Fault worse(Fault a, Fault b) noexcept;

}  // namespace holdfast::catalog
