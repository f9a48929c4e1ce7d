#include "storecore/select/rule_set.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "storecore/select/pattern.hpp"
#include "storecore/select/precedence.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

// Design
//
// There may be thousands of rules (hundreds of patterns for each of several homes), and almost all
// of them name one place. So they are not compared one by one, as the few patterns of a command
// line are: all patterns together make one tree, whose edges are their parts, and those that begin
// alike share nodes. A directory stands at the nodes that its path leads to: mostly one, or none,
// and the node behind each `**` that was passed, which no name leaves.
//
// Names that any pattern has as a literal part are numbered. A name costs one hash look-up for its
// number; only if it has one are the edges of the directory's nodes searched for it. What is left
// are the globs of those nodes, compared one by one, but only if the first and last byte fit.
//
// A node knows the best of the rules that end there, and what the rules below it can do. So a
// directory's verdict needs no look at rules, and directories below which nothing can change stand
// nowhere. Ranks number the rules by precedence: the lowest that is found has won.
//
// Rejected: a deterministic automaton made on the way (a table that threads must share, for states
// that are small as they are); one hash table of whole paths (patterns with a glob in the middle
// would need the automaton all the same).
namespace holdfast::core {

using catalog::Result;
using Kind = PatternPart::Kind;

/// The tree while it grows.
class RuleTree {
 public:
  RuleTree() : nodes_(1) {}

  void add(const Pattern& pattern, std::uint32_t rank) {
    std::size_t at = 0;
    for (const PatternPart& part : pattern.parts) at = child(at, part);
    nodes_[at].endings.push_back({.rank = rank, .directories_only = pattern.directories_only});
  }

  void finish(RuleSet& set) const {
    set.nodes_.reserve(nodes_.size());
    for (const Growing& node : nodes_) set.nodes_.push_back(frozen(node, set));
    // Children were made behind their parents: backwards, each is finished before it is asked.
    for (std::size_t i = nodes_.size(); i-- > 0;) set.nodes_[i].below = look_below(nodes_[i], set);
  }

 private:
  using NodeId = RuleSet::NodeId;
  struct Growing {
    std::map<std::string, NodeId> literals;
    std::map<std::string, NodeId> globs;
    NodeId any_depth = RuleSet::kNone;
    bool stays = false;
    std::vector<RuleSet::Ending> endings;
  };

  NodeId child(std::size_t at, const PatternPart& part) {
    const auto next = static_cast<NodeId>(nodes_.size());
    const NodeId to = [&] {
      switch (part.kind) {
        case Kind::kAnyDepth:
          if (nodes_[at].any_depth == RuleSet::kNone) nodes_[at].any_depth = next;
          return nodes_[at].any_depth;
        case Kind::kLiteral:
          return nodes_[at].literals.try_emplace(part.text, next).first->second;
        case Kind::kGlob:
          return nodes_[at].globs.try_emplace(part.text, next).first->second;
      }
      return next;
    }();
    if (to == next) nodes_.emplace_back().stays = part.kind == Kind::kAnyDepth;
    return to;
  }

  static RuleSet::Glob glob(const std::string& text, NodeId to) {
    // Only the plain cases: a class or an escape may end in any byte.
    const bool plain = text.find_first_of("[]\\") == std::string::npos;
    const auto fixed = [&](char byte) { return plain && byte != '*' && byte != '?' ? byte : '\0'; };
    return {.text = text, .first = fixed(text.front()), .last = fixed(text.back()), .to = to};
  }

  static RuleSet::Node frozen(const Growing& node, RuleSet& set) {
    RuleSet::Node made{.literals = range(set.literals_, node.literals),
                       .globs = range(set.globs_, node.globs),
                       .endings = range(set.endings_, node.endings),
                       .any_depth = node.any_depth,
                       .stays = node.stays};
    for (const auto& [text, to] : node.literals) {
      const auto next = static_cast<RuleSet::NameId>(set.names_.size());
      set.literals_.push_back({.name = set.names_.try_emplace(text, next).first->second, .to = to});
    }
    std::ranges::sort(set.literals_.begin() + made.literals.first, set.literals_.end(), {},
                      &RuleSet::Literal::name);
    for (const auto& [text, to] : node.globs) set.globs_.push_back(glob(text, to));
    for (const RuleSet::Ending& ending : node.endings) {
      set.endings_.push_back(ending);
      made.best_of_dir = std::min(made.best_of_dir, ending.rank);
      if (!ending.directories_only) made.best = std::min(made.best, ending.rank);
    }
    return made;
  }

  static RuleSet::Range range(const auto& all, const auto& added) {
    return {.first = static_cast<std::uint32_t>(all.size()),
            .count = static_cast<std::uint32_t>(added.size())};
  }

  Outlook look_below(const Growing& node, const RuleSet& set) const {
    Outlook below;
    const auto lead_to = [&](NodeId to) {
      below |= set.nodes_[to].below;
      below |= effects(nodes_[to], set);
    };
    for (const auto& [text, to] : node.literals) lead_to(to);
    for (const auto& [text, to] : node.globs) lead_to(to);
    if (node.any_depth != RuleSet::kNone) lead_to(node.any_depth);
    if (node.stays) below |= effects(node, set);
    return below;
  }

  static Outlook effects(const Growing& node, const RuleSet& set) {
    Outlook effects;
    for (const RuleSet::Ending& ending : node.endings)
      (set.takes_[ending.rank] ? effects.include : effects.exclude) = true;
    return effects;
  }

  std::vector<Growing> nodes_;
};

Result<RuleSet> RuleSet::compile(const std::vector<SelectionRule>& rules) {
  std::vector<Pattern> patterns;
  patterns.reserve(rules.size());
  for (const SelectionRule& rule : rules) {
    const bool is_include = rule.effect == RuleEffect::kInclude;
    auto pattern = compile_pattern(rule.pattern, is_include ? Anchor::kRoot : Anchor::kNoSlash);
    if (!pattern) {
      const std::string reason = std::string("the pattern ").append(pattern.error());
      return catalog::fail(catalog::Fault::kUsage, rule.pattern,
                           reason + ", in " + rule.file + " line " + std::to_string(rule.line));
    }
    patterns.push_back(std::move(*pattern));
  }
  RuleSet set;
  set.rule_of_rank_ = rank_rules(rules, patterns);
  RuleTree tree;
  for (std::uint32_t rank = 0; rank < rules.size(); ++rank) {
    const std::uint32_t rule = set.rule_of_rank_[rank];
    const RuleEffect effect = rules[rule].effect;
    set.takes_.push_back(effect == RuleEffect::kInclude);
    if (effect == RuleEffect::kAlwaysExclude) set.first_common_ = rank + 1;
    tree.add(patterns[rule], rank);
  }
  tree.finish(set);
  return set;
}

bool RuleSet::Glob::matches(std::string_view name) const noexcept {
  if (first != '\0' && !name.starts_with(first)) return false;
  if (last != '\0' && !name.ends_with(last)) return false;
  return glob_match(text, name);
}

template <class Arrive>
void RuleSet::follow(std::span<const NodeId> from, std::string_view name, Arrive arrive) const {
  const auto known = names_.find(name);
  for (const NodeId id : from) {
    const Node& node = nodes_[id];
    if (node.stays) arrive(id);
    if (known != names_.end()) {
      const auto edges = part(literals_, node.literals);
      const auto edge = std::ranges::lower_bound(edges, known->second, {}, &Literal::name);
      if (edge != edges.end() && edge->name == known->second) arrive(edge->to);
    }
    for (const Glob& glob : part(globs_, node.globs)) {
      if (glob.matches(name)) arrive(glob.to);
    }
  }
}

void RuleSet::add(NodeId node, Places& places) const {
  const Node& at = nodes_[node];
  if (at.stays || at.literals.count != 0 || at.globs.count != 0) places.push_back(node);
  // A `**` may match nothing: what is behind it can begin here.
  if (at.any_depth != kNone) places.push_back(at.any_depth);
}

RuleSet::Places RuleSet::start() const {
  Places places;
  if (!empty()) add(0, places);
  return places;
}

RuleSet::Found RuleSet::find(std::span<const NodeId> from, std::string_view name,
                             bool is_directory) const {
  Found found;
  std::uint32_t best = kNone;
  follow(from, name, [&](NodeId to) {
    const Node& node = nodes_[to];
    best = std::min(best, is_directory ? node.best_of_dir : node.best);
    found.outlook |= node.below;
  });
  if (best != kNone) found.claim = claim_of(best, 1);
  return found;
}

RuleSet::Places RuleSet::step(std::span<const NodeId> from, std::string_view name) const {
  Places places;
  follow(from, name, [&](NodeId to) { add(to, places); });
  std::ranges::sort(places);
  const auto repeated = std::ranges::unique(places);
  places.erase(repeated.begin(), repeated.end());
  return places;
}

Outlook RuleSet::outlook(std::span<const NodeId> places) const noexcept {
  Outlook outlook;
  for (const NodeId node : places) outlook |= nodes_[node].below;
  return outlook;
}

std::vector<std::uint32_t> RuleSet::ranks_at(std::span<const NodeId> from, std::string_view name,
                                             bool is_directory) const {
  std::vector<std::uint32_t> ranks;
  follow(from, name, [&](NodeId to) {
    for (const Ending& ending : part(endings_, nodes_[to].endings)) {
      if (is_directory || !ending.directories_only) ranks.push_back(ending.rank);
    }
  });
  return ranks;
}

Claim RuleSet::claim_of(std::uint32_t rank, std::uint32_t depth) const noexcept {
  return {.step = rank < first_common_ ? Step::kAlwaysExcluded : Step::kRule,
          .takes = takes_[rank],
          .depth = depth,
          .rank = rank};
}

}  // namespace holdfast::core
