#include "cli/parse.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/name.hpp"
#include "catalog/nearest.hpp"
#include "cli/options.hpp"

/// CLI11 does the walking, with its conveniences off that would change what people type: bracket
/// lists
/// (`[ab]` is a pattern here), values for flags, and `--exclude=` swallowing the word behind it.
namespace holdfast::cli {

namespace {

struct Bound {
  const OptionSpec* spec;
  CLI::Option* option;
};

std::string cli11_name(const OptionSpec& option) {
  if (option.letter.empty() || option.name.empty()) {
    return fmt::format("{}{}", option.letter, option.name);
  }
  return fmt::format("{},{}", option.letter, option.name);
}

CLI::Option* bind_option(CLI::App& app, const OptionSpec& spec) {
  CLI::Option* option = nullptr;
  if (spec.argument.empty()) {
    option = app.add_flag(cli11_name(spec));
    option->disable_flag_override();
  } else {
    option = app.add_option(cli11_name(spec),
                            CLI::callback_t([](const CLI::results_t&) { return true; }));
    option->expected(1)->allow_extra_args(false);
  }
  return option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

const OptionSpec* find_option(std::span<const OptionSpec* const> taken, std::string_view name) {
  const auto found = std::ranges::find_if(taken, [name](const OptionSpec* option) {
    return (!option->name.empty() && option->name == name) ||
           (!option->letter.empty() && option->letter == name);
  });
  return found == taken.end() ? nullptr : *found;
}

UsageError unknown_option(Command command, std::span<const OptionSpec* const> taken,
                          const std::string& word) {
  const std::string name = word.starts_with("--") ? word.substr(0, word.find('=')) : word;
  UsageError error{command, fmt::format("unknown option \"{}\"", catalog::escape_name(name)), {}};
  std::vector<std::string_view> names;
  for (const OptionSpec* option : taken) {
    if (!option->name.empty()) {
      names.push_back(option->name);
    }
  }
  if (const auto close = catalog::nearest(name, names); close && name.starts_with("--")) {
    error.hint = fmt::format("did you mean {}?", *close);
  } else {
    error.hint = fmt::format("holdfast {} --help lists the options", spec_of(command).name);
  }
  return error;
}

/// Splits `--name=` into `--name` and an empty word, and finds flags that were given a value. CLI11
/// takes an empty value for none and eats the next word.
std::expected<std::vector<std::string>, UsageError> split_empty_values(
    Command command, std::span<const OptionSpec* const> taken, std::span<const std::string> args) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (word == "--") {
      words.insert(words.end(), args.begin() + static_cast<std::ptrdiff_t>(i), args.end());
      return words;
    }
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const OptionSpec* spec = find_option(taken, std::string_view(word).substr(0, equals));
    if (equals != std::string::npos && spec != nullptr) {
      if (spec->argument.empty()) {
        return std::unexpected(
            UsageError{command, fmt::format("{}: takes no value", spec->name), {}});
      }
      words.emplace_back(spec->name);
      words.push_back(word.substr(equals + 1));
      continue;
    }
    words.push_back(word);
    if (equals == std::string::npos && spec != nullptr && !spec->argument.empty() &&
        i + 1 < args.size()) {
      words.push_back(args[++i]);  // its value, whatever it looks like
    }
  }
  return words;
}

/// A value option that ends the line has no value; CLI11 says so in words of its own.
UsageError misused(Command command, std::span<const OptionSpec* const> taken,
                   const std::vector<std::string>& words, const std::string& what) {
  const OptionSpec* last = words.empty() ? nullptr : find_option(taken, words.back());
  if (last != nullptr && !last->argument.empty()) {
    return {command, fmt::format("{}: needs a value: {}", display_name(*last), last->argument), {}};
  }
  return {command, catalog::escape_name(what), {}};
}

std::expected<RawArguments, UsageError> collect(Command command, std::span<const Bound> bound,
                                                const CLI::Option& rest) {
  RawArguments raw;
  for (const auto& [spec, option] : bound) {
    const std::size_t count = option->count();
    if (count == 0) {
      continue;
    }
    if (count > 1 && !spec->repeatable && !spec->argument.empty()) {
      return std::unexpected(
          UsageError{command, fmt::format("{}: given more than once", display_name(*spec)), {}});
    }
    if (spec->argument.empty()) {
      raw.values[spec->id].resize(count);
    } else {
      raw.values[spec->id] = option->results();
    }
  }
  if (rest.count() > 0) {
    raw.positionals = rest.results();
  }
  return raw;
}

}  // namespace

std::expected<RawArguments, UsageError> parse_arguments(Command command,
                                                        std::span<const std::string> args) {
  const std::vector<const OptionSpec*> taken = options_of(command);
  auto words = split_empty_values(command, taken, args);
  if (!words) {
    return std::unexpected(std::move(words.error()));
  }
  CLI::App app;
  app.set_help_flag();
  app.allow_windows_style_options(false);
  std::vector<Bound> bound;
  bound.reserve(taken.size());
  for (const OptionSpec* spec : taken) {
    bound.push_back({spec, bind_option(app, *spec)});
  }
  CLI::Option* rest =
      app.add_option("positionals", CLI::callback_t([](const CLI::results_t&) { return true; }));
  // CLI11 takes a positional only while it expects more, or with allow_extra_args, which splits
  // "[a,b]".
  rest->expected(static_cast<int>(words->size()) + 1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);

  std::vector<std::string> reversed(words->rbegin(), words->rend());  // as CLI11 wants them
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ExtrasError&) {
    return std::unexpected(unknown_option(command, taken, app.remaining().front()));
  } catch (const CLI::ParseError& error) {
    return std::unexpected(misused(command, taken, *words, error.what()));
  }
  return collect(command, bound, *rest);
}

}  // namespace holdfast::cli
