#include "catalog/records.hpp"

#include <string_view>

namespace holdfast::catalog {

std::string_view to_word(FileType type) noexcept {
  switch (type) {
    case FileType::kFile:
      return "file";
    case FileType::kDirectory:
      return "directory";
    case FileType::kSymlink:
      return "symlink";
    case FileType::kFifo:
      return "fifo";
    case FileType::kChar:
      return "char";
    case FileType::kBlock:
      return "block";
  }
  return "unknown";
}

std::string_view to_word(Held held) noexcept {
  switch (held) {
    case Held::kLink:
      return "link";
    case Held::kReflink:
      return "reflink";
    case Held::kCopy:
      return "copy";
    case Held::kNode:
      return "node";
  }
  return "unknown";
}

}  // namespace holdfast::catalog
