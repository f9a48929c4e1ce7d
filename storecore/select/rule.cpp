#include "storecore/select/rule.hpp"

#include <string>
#include <string_view>

namespace holdfast::core {

std::string escape_pattern(std::string_view bytes) {
  constexpr std::string_view special = "*?[]\\";
  std::string pattern;
  pattern.reserve(bytes.size());
  for (const char byte : bytes) {
    const bool negates = byte == '!' && pattern.empty();
    if (negates || special.contains(byte)) pattern.push_back('\\');
    pattern.push_back(byte);
  }
  return pattern;
}

}  // namespace holdfast::core
