#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/select/rule.hpp"

/// Which paths are wanted. Pure: bytes in, verdict out; no system call.
namespace holdfast::core {

struct Explanation;  // explain.hpp

/// What a person asked for, as it is stored with the capture.
struct SelectionSpec {
  bool everything = false;
  std::vector<std::string> include;  ///< patterns, see Selection
  std::vector<std::string> exclude;
  std::vector<SelectionRule> rules = {};  ///< the resolved rules of rule files; in any order
  bool operator==(const SelectionSpec&) const = default;
};
/// The member `rules` is there only if there are rules: versions that know none refuse it.
[[nodiscard]] std::string to_json(const SelectionSpec& spec);
[[nodiscard]] std::optional<SelectionSpec> selection_from_json(std::string_view text);

/// Compiled patterns, asked one component at a time from the root down.
///
/// Patterns are gitignore's: `*` and `?` match within a component, `[...]` a class (also `[!...]`,
/// ranges, `[:digit:]`), `**` any number of components, a trailing `/` directories only, `\` takes
/// the next byte literally; a matched directory takes everything below it. An include is anchored
/// at ROOT unless it starts with `**/`; an exclude without a `/` before its end matches at any
/// depth, as in gitignore, with one it is anchored. A leading `/` anchors. A leading `!` is an
/// error, and so are an empty pattern, `..`, an unclosed `[` and a backslash at the end of a
/// component. Exclude beats include.
///
/// Both beat the rules, of which the one that matches nearest to the path decides: docs/rules.md
/// has the order, precedence.hpp the comparison. An include rule is anchored as an include is,
/// an exclude or always_exclude rule as an exclude is.
///
/// Thread-safe once made. Matching state is a value: one State per directory, computed from its
/// parent's.
class Selection {
 public:
  [[nodiscard]] static catalog::Result<Selection> compile(const SelectionSpec& spec);
  Selection(Selection&&) noexcept;
  Selection& operator=(Selection&&) noexcept;
  ~Selection();

  /// Where in the patterns a directory stands. Cheap to copy; shares what it can.
  class State {
   public:
    /// Everything below is wanted and nothing can change that any more, neither an exclude nor a
    /// rule; nor is there an include that could match for the first time: no name needs a look.
    [[nodiscard]] bool takes_all() const noexcept { return takes_all_; }

   private:
    friend class Selection;
    struct Positions;
    std::shared_ptr<const Positions> positions_;
    bool takes_all_ = false;
  };

  enum class Verdict : std::uint8_t {
    kSelected,    ///< wanted
    kEnter,       ///< a directory that is not wanted itself, but something below may be
    kUnselected,  ///< not wanted, and nothing below can be
  };

  [[nodiscard]] State root() const;
  /// ROOT's own verdict: kSelected with `everything`, else kEnter.
  [[nodiscard]] Verdict root_verdict() const noexcept;
  [[nodiscard]] Verdict judge(const State& parent, std::string_view name, bool is_directory) const;
  /// State inside directory @p name, for which judge() did not say kUnselected.
  [[nodiscard]] State enter(const State& parent, std::string_view name) const;

  /// What judge() says of @p path, and why. Marks nothing as matched. Not for hot loops.
  /// @param path  relative to ROOT, leading slash allowed; one that no capture can hold (`..`) is
  ///              kUnselected without a match
  [[nodiscard]] Explanation explain(std::string_view path, bool is_directory) const;

  /// Patterns that judge() never found to match anything so far, in the order given. An include of
  /// which an exclude took everything is among them. Any thread.
  [[nodiscard]] std::vector<std::string> unmatched_includes() const;
  [[nodiscard]] std::vector<std::string> unmatched_excludes() const;

 private:
  struct Impl;
  explicit Selection(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// One component against one shell pattern without slashes: `*`, `?`, `[...]`, `\`. Bytes, no
/// locale; a leading dot is nothing special. For `find --name`.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view name) noexcept;

}  // namespace holdfast::core
