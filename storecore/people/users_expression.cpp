#include "storecore/people/users_expression.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/nearest.hpp"
#include "storecore/people/accounts.hpp"
#include "storecore/select/selection.hpp"

namespace holdfast::core {
namespace {

using catalog::Fault;

bool is_blank_at_end(std::string_view text) noexcept {
  if (!text.ends_with(' ') && !text.ends_with('\t')) return false;
  // A blank behind a backslash belongs to the name, unless the backslash has one of its own.
  text.remove_suffix(1);
  const std::size_t other = text.find_last_not_of('\\');
  const std::size_t backslashes = text.size() - (other == std::string_view::npos ? 0 : other + 1);
  return backslashes % 2 == 0;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (is_blank_at_end(text)) text.remove_suffix(1);
  return text;
}

/// Takes what stands before the next comma off @p rest; @p last: there is none.
std::string_view next_item(std::string_view& rest, bool& last) noexcept {
  std::size_t at = 0;
  while (at < rest.size() && rest[at] != ',') at += rest[at] == '\\' ? 2U : 1U;
  last = at >= rest.size();
  const std::string_view item = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return item;
}

std::string to_lower(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

/// The account whose name is the nearest one to what was typed; nullptr: none is near.
const Account* nearest(std::string_view typed, const Accounts& accounts) {
  std::vector<std::string_view> names;
  names.reserve(accounts.all().size());
  for (const Account& account : accounts.all()) names.push_back(account.name);
  const auto name = catalog::nearest(to_lower(typed), names);
  return name ? accounts.find_name(*name) : nullptr;
}

}  // namespace

catalog::Result<UsersExpression::Item> UsersExpression::parse_item(std::string_view source) {
  Item item;
  std::string_view text = trimmed(source);
  item.source = text;
  if (text.starts_with('!')) {
    item.leaves_out = true;
    text = trimmed(text.substr(1));
  }
  if (text.empty()) {
    return catalog::fail(Fault::kUsage, item.source, "--users has an item that names nobody",
                         "write names with one comma between them, as in 'all,!guest'");
  }
  if (text.starts_with('!')) {
    return catalog::fail(Fault::kUsage, item.source, "--users has two ! in one item",
                         "a name that begins with ! is written \\!");
  }
  if (text == "all") return item;
  if (text.starts_with('#')) {
    item.kind = Kind::kNumber;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 1, end, item.number);
    if (error == std::errc() && stop == end) return item;
    return catalog::fail(Fault::kUsage, item.source, "--users has a # without a user number",
                         "a name that begins with # is written \\#");
  }
  item.kind = Kind::kName;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (std::string_view("*?[").contains(text[at])) {
      item.kind = Kind::kGlob;
      item.text = text;
      return item;
    }
    if (text[at] == '\\') ++at;
    if (at == text.size()) {
      return catalog::fail(Fault::kUsage, item.source, "--users has an item that ends in a \\");
    }
    item.text.push_back(text[at]);
  }
  return item;
}

catalog::Result<UsersExpression> UsersExpression::parse(std::string_view text) {
  UsersExpression expression;
  for (bool last = false; !last;) {
    auto item = parse_item(next_item(text, last));
    if (!item) return std::unexpected(std::move(item.error()));
    expression.items_.push_back(std::move(*item));
  }
  return expression;
}

UsersExpression UsersExpression::everybody() {
  UsersExpression expression;
  expression.items_.emplace_back();
  return expression;
}

bool UsersExpression::Item::matches(const Account& account, bool is_one_of_people) const {
  switch (kind) {
    case Kind::kAll:
      return is_one_of_people;
    case Kind::kName:
      return account.name == text;
    case Kind::kNumber:
      return account.uid == number;
    case Kind::kGlob:
      return is_one_of_people && glob_match(text, account.name);
  }
  return false;
}

std::unexpected<catalog::Error> UsersExpression::nobody_matches(const Item& item,
                                                                const Accounts& accounts) {
  std::string hint;
  if (item.kind == Kind::kName) {
    if (const Account* near = nearest(item.text, accounts)) {
      hint = "did you mean " + catalog::escape_name(near->name) + "?";
    }
  } else if (item.kind == Kind::kGlob &&
             std::ranges::any_of(accounts.all(), [&](const Account& account) {
               return glob_match(item.text, account.name);
             })) {
    hint = "it matches system accounts, which are meant by their whole name only";
  }
  const std::string_view reason = item.kind == Kind::kNumber
                                      ? "no account of the captured system has that number"
                                      : "no account of the captured system has that name";
  return catalog::fail(Fault::kUsage, item.source, reason, hint);
}

catalog::Result<std::vector<const Account*>> UsersExpression::choose(const Accounts& accounts,
                                                                     const UidRange& people) const {
  std::vector<bool> used(items_.size());
  std::vector<const Account*> chosen;
  for (const Account& account : accounts.all()) {
    const bool is_one_of_people = is_person(account, people);
    bool is_chosen = items_.front().leaves_out && is_one_of_people;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!items_[i].matches(account, is_one_of_people)) continue;
      used[i] = true;
      is_chosen = !items_[i].leaves_out;
    }
    if (is_chosen) chosen.push_back(&account);
  }
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (!used[i] && items_[i].kind != Kind::kAll) return nobody_matches(items_[i], accounts);
  }
  return chosen;
}

}  // namespace holdfast::core
