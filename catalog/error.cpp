#include "catalog/error.hpp"

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "catalog/name.hpp"

namespace holdfast::catalog {
namespace {

// EDQUOT has no std::errc, so the plain number is compared; both categories carry errno values.
bool is_no_space(const std::error_code& cause) noexcept {
  const bool is_errno =
      cause.category() == std::system_category() || cause.category() == std::generic_category();
  // EDQUOT comes with <cerrno>, out of a kernel header that the check wants by its own name.
  // NOLINTNEXTLINE(misc-include-cleaner)
  return is_errno && (cause.value() == ENOSPC || cause.value() == EDQUOT);
}

// Higher decides. Signals stand above all of these and are not faults.
int rank(Fault fault) noexcept {
  switch (fault) {
    case Fault::kCatalogBad:
      return 9;
    case Fault::kNoSpace:
      return 8;
    case Fault::kFailed:
      return 7;
    case Fault::kDamage:
      return 6;
    case Fault::kRefused:
      return 5;
    case Fault::kIncomplete:
      return 4;
    case Fault::kInUse:
      return 3;
    case Fault::kNoStore:
      return 2;
    case Fault::kUsage:
      return 1;
  }
  return 0;
}

}  // namespace

std::error_code last_error() noexcept { return {errno, std::system_category()}; }

std::unexpected<std::error_code> sys_error(int errno_value) noexcept {
  return std::unexpected(std::error_code(errno_value, std::system_category()));
}

std::unexpected<Error> failed(std::string_view operation, std::string_view place,
                              std::error_code cause) {
  Error error;
  error.fault = is_no_space(cause) ? Fault::kNoSpace : Fault::kFailed;
  error.operation = operation;
  error.place = place;
  error.cause = cause;
  return std::unexpected(std::move(error));
}

std::unexpected<Error> fail(Fault fault, std::string_view place, std::string_view reason,
                            std::string_view hint) {
  Error error;
  error.fault = fault;
  error.place = place;
  error.reason = reason;
  error.hint = hint;
  return std::unexpected(std::move(error));
}

std::unexpected<Error> refused(std::string_view reason_code, std::string_view place,
                               std::string_view reason, std::string_view hint) {
  auto result = fail(Fault::kRefused, place, reason, hint);
  result.error().reason_code = reason_code;
  return result;
}

std::string describe(const Error& error) {
  std::string line = escape_name(error.place);
  const auto add = [&line](std::string_view part) {
    if (part.empty()) {
      return;
    }
    if (!line.empty()) {
      line += ": ";
    }
    line += part;
  };
  add(error.reason);
  if (error.cause) {
    add(error.cause.message());
  }
  if (!error.operation.empty()) {
    line += line.empty() ? "" : " ";
    line += '(';
    line += error.operation;
    line += ')';
  }
  return line;
}

Fault worse(Fault a, Fault b) noexcept { return rank(a) >= rank(b) ? a : b; }

}  // namespace holdfast::catalog
