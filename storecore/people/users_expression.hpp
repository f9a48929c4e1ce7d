#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/people/accounts.hpp"

namespace holdfast::core {

/// `--users`: who is meant. Pure.
///
/// Items between commas, read in order; the last one that matches an account decides. `all` is
/// everybody who is a person, `name` one account, `#1000` the accounts of that number, `stud*`
/// (also
/// `?`, `[...]`) the people with such names; `!` in front leaves them out. An expression that
/// begins with `!` begins from all, any other from nobody. A system account is meant by its own
/// name or number only. `\` takes the next byte literally: `\all` is a user called all. Blanks
/// around an item are nothing.
class UsersExpression {
 public:
  /// Errors: kUsage: an empty item, a number that is none, a backslash at the end.
  [[nodiscard]] static catalog::Result<UsersExpression> parse(std::string_view text);
  [[nodiscard]] static UsersExpression everybody();

  /// Whom it means, in the order of passwd. Pointers into @p accounts, good while that lives.
  ///
  /// Errors: kUsage: an item that no account matches, also one with `!`, with the name that is
  /// nearest as a hint.
  [[nodiscard]] catalog::Result<std::vector<const Account*>> choose(const Accounts& accounts,
                                                                    const UidRange& people) const;

 private:
  enum class Kind : std::uint8_t { kAll, kName, kNumber, kGlob };
  struct Item {
    Kind kind = Kind::kAll;
    bool leaves_out = false;
    std::uint32_t number = 0;
    std::string text;  ///< the name without backslashes, or the glob
    std::string source;

    [[nodiscard]] bool matches(const Account& account, bool is_one_of_people) const;
  };

  [[nodiscard]] static catalog::Result<Item> parse_item(std::string_view source);
  [[nodiscard]] static std::unexpected<catalog::Error> nobody_matches(const Item& item,
                                                                      const Accounts& accounts);

  std::vector<Item> items_;  ///< never empty
};

}  // namespace holdfast::core
