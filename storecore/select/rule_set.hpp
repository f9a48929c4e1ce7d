#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/select/precedence.hpp"
#include "storecore/select/rule.hpp"

/// The rules of a selection, followed from directory to directory. Pure. Called by Selection, from
/// any thread.
namespace holdfast::core {

class RuleSet {
 public:
  using NodeId = std::uint32_t;
  /// Where in the patterns a directory stands: nodes of the tree of patterns, sorted, each once.
  using Places = std::vector<NodeId>;

  [[nodiscard]] static catalog::Result<RuleSet> compile(const std::vector<SelectionRule>& rules);

  [[nodiscard]] bool empty() const noexcept { return rule_of_rank_.empty(); }
  [[nodiscard]] Places start() const;

  struct Found {
    Claim claim;      ///< the strongest rule that ends at the name, at depth 1; kNothing: none does
    Outlook outlook;  ///< below the name, if it is a directory
  };
  [[nodiscard]] Found find(std::span<const NodeId> from, std::string_view name,
                           bool is_directory) const;
  [[nodiscard]] Places step(std::span<const NodeId> from, std::string_view name) const;
  [[nodiscard]] Outlook outlook(std::span<const NodeId> places) const noexcept;

  /// Ranks of all rules that end at @p name, in no order; one may come twice.
  [[nodiscard]] std::vector<std::uint32_t> ranks_at(std::span<const NodeId> from,
                                                    std::string_view name, bool is_directory) const;
  /// What a rule of this rank claims where it matches.
  [[nodiscard]] Claim claim_of(std::uint32_t rank, std::uint32_t depth) const noexcept;
  /// Its place in the list that was compiled.
  [[nodiscard]] std::size_t rule_of(std::uint32_t rank) const noexcept {
    return rule_of_rank_[rank];
  }

 private:
  friend class RuleTree;  // which makes it
  using NameId = std::uint32_t;
  static constexpr std::uint32_t kNone = UINT32_MAX;

  /// Part of an array below.
  struct Range {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  struct Literal {
    NameId name;
    NodeId to;
  };
  struct Glob {
    std::string text;
    char first;  ///< what a name must begin with; NUL: anything
    char last;   ///< and end with
    NodeId to;
    [[nodiscard]] bool matches(std::string_view name) const noexcept;
  };
  struct Ending {
    std::uint32_t rank;
    bool directories_only;
  };
  struct Node {
    Range literals;  ///< sorted by name
    Range globs;
    Range endings;                      ///< rules whose patterns end here
    NodeId any_depth = kNone;           ///< behind a `**`
    std::uint32_t best = kNone;         ///< rank among the endings
    std::uint32_t best_of_dir = kNone;  ///< the same where the name is a directory's
    bool stays = false;                 ///< this is behind a `**`: any name leads here again
    Outlook below = {};
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept {
      return std::hash<std::string_view>{}(name);
    }
  };

  /// Calls @p arrive for each node that @p name leads to; one may come twice.
  template <class Arrive>
  void follow(std::span<const NodeId> from, std::string_view name, Arrive arrive) const;
  void add(NodeId node, Places& places) const;

  template <class T>
  static std::span<const T> part(const std::vector<T>& all, Range range) noexcept {
    return std::span(all).subspan(range.first, range.count);
  }

  std::vector<Node> nodes_;
  std::vector<Literal> literals_;
  std::vector<Glob> globs_;
  std::vector<Ending> endings_;
  std::unordered_map<std::string, NameId, NameHash, std::equal_to<>> names_;
  std::vector<std::uint32_t> rule_of_rank_;
  std::vector<bool> takes_;         ///< by rank
  std::uint32_t first_common_ = 0;  ///< the rank behind the last always_exclude
};

}  // namespace holdfast::core
