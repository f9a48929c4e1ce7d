#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

/// A walk with nothing in it but system calls: what the bare loops have in common.
///
/// It shares no code with the engine, so that no slowness of the engine's can hide in the bound
/// that the engine is measured against. It has none of the engine's care either: an error ends the
/// program, a tree that changes meanwhile is an error, and every directory on the way down is held
/// open.
namespace holdfast::bench {

/// An open directory. Whoever has a child has its parents.
struct Dir {
  std::shared_ptr<Dir> parent;  ///< null: the top
  std::string name;             ///< in the parent
  int fd = -1;
  int twin = -1;  ///< the same directory in the mirror, for the loop that links
  std::function<void(Dir&)> leave;

  Dir() = default;
  Dir(const Dir&) = delete;
  Dir& operator=(const Dir&) = delete;
  /// The last user is done: everything in it and below was visited.
  ~Dir();
};
using DirPtr = std::shared_ptr<Dir>;

struct Entry {
  const char* name;  ///< dies with the call
  std::uint64_t inode;
  unsigned char type;  ///< DT_*, never DT_UNKNOWN
};

struct Visitor {
  std::function<void(Dir&)> enter;                       ///< may be empty; opened, not read yet
  std::function<void(const DirPtr&, const Entry&)> see;  ///< everything, directories too
  std::function<void(Dir&)> leave;                       ///< may be empty; see Dir::~Dir
};

struct Counts {
  std::atomic<std::uint64_t> directories{0};
  std::atomic<std::uint64_t> files{0};
  std::atomic<std::uint64_t> others{0};
  std::atomic<std::uint64_t> bytes{0};
  void count(unsigned char type) noexcept;
};

/// Visits everything below @p top on @p threads threads, one directory at a time each.
void walk(const char* top, unsigned threads, const Visitor& visitor);

/// As walk(), from a directory that is open already; closes it.
void walk_from(const DirPtr& top, unsigned threads, const Visitor& visitor);

/// Opens the top of a walk.
[[nodiscard]] DirPtr open_top(const char* path);

/// Says what failed and ends the program.
[[noreturn]] void die(const char* what, const char* name);

/// "NAME [--threads N] ARGUMENT...": the words that are no options, and the options that all loops
/// have.
struct Arguments {
  unsigned threads = 1;
  bool by_inode = false;  ///< --order inode
  unsigned window = 16'384;
  const char* first = nullptr;
  const char* second = nullptr;
};
[[nodiscard]] Arguments parse(int argc, char** argv, int positionals, const char* usage);

/// Seconds on a steady clock.
[[nodiscard]] double now() noexcept;

/// One line of JSON: what was seen and how long it took.
void report(const Counts& counts, double seconds, const std::string& more = {});

}  // namespace holdfast::bench
