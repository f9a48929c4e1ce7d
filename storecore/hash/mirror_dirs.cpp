#include "storecore/hash/mirror_dirs.hpp"

#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catalog/error.hpp"
#include "catalog/ids.hpp"
#include "catalog/reader.hpp"
#include "storecore/walk/dir_node.hpp"

namespace holdfast::core {

using catalog::DirId;
using catalog::Fault;
using catalog::Result;

namespace {
constexpr std::size_t kMaxDepth = 1'000'000;
}

MirrorDirs::MirrorDirs(std::shared_ptr<DirNode> tree) : tree_(std::move(tree)) {}

Result<std::shared_ptr<DirNode>> MirrorDirs::find(const catalog::Reader& reader, DirId id) {
  struct Step {
    DirId id;
    std::string name;
  };
  std::vector<Step> steps;
  std::shared_ptr<DirNode> at;
  for (DirId up = id; !at;) {
    if (up == catalog::kRootDir) {
      at = tree_;
      break;
    }
    if (const auto known = nodes_.find(catalog::raw(up)); known != nodes_.end()) {
      at = known->second;
      break;
    }
    auto row = reader.find_directory(up);
    if (!row) return std::unexpected(row.error());
    if (!*row || steps.size() > kMaxDepth)
      return catalog::fail(Fault::kCatalogBad, "catalog", "a directory has no way to the root");
    steps.push_back({.id = up, .name = std::move((*row)->name)});
    up = (*row)->parent;
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    at = DirNode::child(at, std::move(step->name));
    nodes_.emplace(catalog::raw(step->id), at);
  }
  return at;
}

void MirrorDirs::trim(std::size_t nodes) {
  if (nodes_.size() > nodes) nodes_.clear();
}

}  // namespace holdfast::core
