// One slot of state.json. The checksum keeps chance away from what lies behind it: the input is
// tried as it is, and as the record of a slot with the right checksum.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/digest.hpp"
#include "fuzz.hpp"
#include "storecore/store/state.hpp"

using namespace holdfast::core;  // NOLINT(google-build-using-namespace)
using holdfast::fuzz::require;

namespace {

void check(std::string_view text) {
  const holdfast::fuzz::Exact exact(text);
  const auto slot = decode_slot(exact.view());
  if (!slot) return;
  const std::string again = encode_slot(slot->record, slot->sequence);
  const auto read = decode_slot(again);
  require(read.has_value(), "what was read can be written and read");
  require(read->sequence == slot->sequence, "the sequence number comes back");
  require(encode_slot(read->record, read->sequence) == again, "a record comes back whole");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = holdfast::fuzz::Bytes(data, size).rest();
  check(text);
  constexpr std::uint64_t sequence = 7;
  check(fmt::format("{{\"sequence\":{},\"xxh3\":\"{:016x}\",\"store\":{}}}", sequence,
                    holdfast::catalog::checksum64(fmt::format("{}{}", sequence, text)), text));
  return 0;
}
