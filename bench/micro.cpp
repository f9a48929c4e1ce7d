// Micro benchmarks of the parts that a capture does once for every file. Each checks its answer
// first. Times on shared machines mean little; compare two builds on one machine, in one run, by
// their ratio.
//
//   holdfast_micro --benchmark_filter=catalog
#include <benchmark/benchmark.h>

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "catalog/batch.hpp"
#include "catalog/codec.hpp"
#include "catalog/digest.hpp"
#include "catalog/ids.hpp"
#include "catalog/lmdb.hpp"
#include "catalog/manifest.hpp"
#include "catalog/records.hpp"
#include "catalog/schema.hpp"
#include "catalog/writer.hpp"
#include "storecore/hash/hash_file.hpp"
#include "storecore/os/at_calls.hpp"
#include "storecore/os/dirents.hpp"
#include "storecore/os/fd.hpp"
#include "storecore/os/stat.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"

namespace {

namespace fs = boost::filesystem;
using holdfast::catalog::Entry;
using holdfast::catalog::Table;

constexpr std::uint64_t kRows = 20'000;
constexpr int kFiles = 1000;

/// A directory of its own, removed at the end.
class Scratch {
 public:
  Scratch() : path_(fs::temp_directory_path() / fs::unique_path("holdfast-bench-%%%%%%%%")) {
    fs::create_directories(path_);
    fs::permissions(path_, fs::owner_all);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    boost::system::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  [[nodiscard]] holdfast::core::Fd open() const {
    auto fd = holdfast::core::open_dir_path(path_.string());
    if (!fd) std::abort();
    return std::move(*fd);
  }

 private:
  fs::path path_;
};

Entry sample_entry(std::uint64_t number) {
  Entry entry;
  entry.name = "file-name-" + std::to_string(10'000'000 + number);
  entry.inode.source_inode = holdfast::catalog::InodeNo{1000 + number};
  entry.inode.held_inode = entry.inode.source_inode;
  entry.inode.mode = 0644;
  entry.inode.size = 4096;
  entry.inode.mtime = {.seconds = 1'700'000'000, .nanoseconds = 5};
  entry.inode.btime = entry.inode.mtime;
  entry.inode.ctime = entry.inode.mtime;
  return entry;
}

void make_file(const holdfast::core::Fd& dir, const std::string& name, std::size_t bytes) {
  auto fd = holdfast::core::create_file_at(dir, name.c_str(), 0600);
  if (!fd || !holdfast::core::write_all(fd->get(), std::string(bytes, 'x'))) std::abort();
}

void encode_decode_entry(benchmark::State& state) {
  const Entry entry = sample_entry(7);
  const std::string key = holdfast::catalog::entry_key(holdfast::catalog::DirId{9}, entry.name);
  if (holdfast::catalog::decode_entry(key, holdfast::catalog::encode(entry))->inode !=
      entry.inode) {
    state.SkipWithError("an entry does not survive its encoding");
  }
  for (auto _ : state) {
    const std::string value = holdfast::catalog::encode(entry);
    benchmark::DoNotOptimize(holdfast::catalog::decode_entry(key, value));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encode_decode_entry);

void manifest_line_of_a_file(benchmark::State& state) {
  const Entry entry = sample_entry(7);
  const std::string path = "home/someone/documents/" + entry.name;
  if (!holdfast::catalog::parse_manifest_line(
          holdfast::catalog::manifest_line(path, entry.inode, false))) {
    state.SkipWithError("a manifest line cannot be read back");
  }
  for (auto _ : state)
    benchmark::DoNotOptimize(holdfast::catalog::manifest_line(path, entry.inode, false));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(manifest_line_of_a_file);

/// Rows as the link phase writes them: directory after directory, nearly in key order.
void catalog_put(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    {
      const Scratch scratch;
      const auto dir = scratch.open();
      auto env = holdfast::catalog::Env::open(dir.get(), holdfast::catalog::Env::Mode::kCreate);
      if (!env) return state.SkipWithError("the catalog cannot be made");
      holdfast::catalog::Writer writer(*env);
      holdfast::catalog::Batch batch;
      for (std::uint64_t i = 0; i < kRows; ++i) {
        const Entry entry = sample_entry(i);
        batch.put(Table::kEntries,
                  holdfast::catalog::entry_key(holdfast::catalog::DirId{1 + i / 12}, entry.name),
                  holdfast::catalog::encode(entry));
      }
      state.ResumeTiming();
      const bool written = writer.apply(batch) && writer.commit();
      state.PauseTiming();
      if (!written || writer.rows() != kRows) return state.SkipWithError("rows were lost");
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
}
BENCHMARK(catalog_put)->Unit(benchmark::kMillisecond);

void hash_file(benchmark::State& state) {
  const Scratch scratch;
  const auto dir = scratch.open();
  const auto bytes = static_cast<std::size_t>(state.range(0));
  make_file(dir, "f", bytes);
  holdfast::core::FileHasher hasher;
  const std::string content(bytes, 'x');
  const auto wanted = holdfast::catalog::digest_of(std::as_bytes(std::span(content)));
  const auto first = hasher.hash(dir, "f");
  if (!first || first->digest != wanted) return state.SkipWithError("wrong digest");
  for (auto _ : state) benchmark::DoNotOptimize(hasher.hash(dir, "f"));
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(hash_file)->Arg(1 << 12)->Arg(1 << 16)->Arg(1 << 24);

/// One directory read and each name looked at: the bound for a second capture.
void list_and_stat(benchmark::State& state) {
  const Scratch scratch;
  const auto dir = scratch.open();
  for (int i = 0; i < kFiles; ++i) make_file(dir, "file-" + std::to_string(i), 1);
  for (auto _ : state) {
    auto fd = holdfast::core::open_dir_at(dir, ".");
    holdfast::core::DirReader reader;
    holdfast::core::Dirent dirent;
    int seen = 0;
    while (*reader.fill(fd->get())) {
      while (reader.next(dirent)) seen += holdfast::core::stat_at(*fd, dirent.name) ? 1 : 0;
    }
    if (seen != kFiles) return state.SkipWithError("names were lost");
  }
  state.SetItemsProcessed(state.iterations() * kFiles);
}
BENCHMARK(list_and_stat);

void link_into_mirror(benchmark::State& state) {
  const Scratch scratch;
  const auto dir = scratch.open();
  (void)holdfast::core::mkdir_at(dir, "from", 0700);
  const auto from = holdfast::core::open_dir_at(dir, "from");
  std::vector<std::string> names;
  for (int i = 0; i < kFiles; ++i) {
    names.push_back("file-" + std::to_string(i));
    make_file(*from, names.back(), 1);
  }
  std::uint64_t round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const std::string to_name = "to-" + std::to_string(round++);
    (void)holdfast::core::mkdir_at(dir, to_name.c_str(), 0700);
    const auto to = holdfast::core::open_dir_at(dir, to_name.c_str());
    state.ResumeTiming();
    for (const std::string& name : names) {
      if (!holdfast::core::link_at(*from, name.c_str(), *to, name.c_str()))
        return state.SkipWithError("a link failed");
    }
  }
  state.SetItemsProcessed(state.iterations() * kFiles);
}
BENCHMARK(link_into_mirror)->Iterations(50);

void judge_path(benchmark::State& state) {
  using holdfast::core::Selection;
  const auto selection = Selection::compile({.everything = false,
                                             .include = {"home", "srv/*/data", "**/keep"},
                                             .exclude = {"*.tmp", ".cache/", "node_modules/"}});
  const auto home = selection->enter(selection->root(), "home");
  if (selection->judge(home, "letter.txt", false) != Selection::Verdict::kSelected ||
      selection->judge(home, "a.tmp", false) != Selection::Verdict::kUnselected) {
    state.SkipWithError("wrong verdict");
  }
  for (auto _ : state) benchmark::DoNotOptimize(selection->judge(home, "letter.txt", false));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(judge_path);

/// As rule files give them: thousands of places by name, and some names at any depth.
holdfast::core::SelectionSpec many_rules() {
  using holdfast::core::RuleEffect;
  holdfast::core::SelectionSpec spec;
  const auto add = [&](RuleEffect effect, std::string pattern) {
    auto& rule = spec.rules.emplace_back();
    rule.effect = effect;
    rule.pattern = std::move(pattern);
  };
  for (const std::string home : {"home/al", "home/bo", "home/cy", "home/di", "home/ed"}) {
    add(RuleEffect::kInclude, home);
    for (int i = 0; i < 380; ++i)
      add(RuleEffect::kExclude, home + "/.config/app-" + std::to_string(i) + "/Cache");
    for (const std::string name : {".cache", "node_modules", "__pycache__", ".nobackup"})
      add(RuleEffect::kExclude, home + "/**/" + name);
  }
  for (const std::string name : {".thumbnails", ".Trash-*", "*.swp", "core.[0-9]*"})
    add(RuleEffect::kAlwaysExclude, name);
  return spec;
}

void judge_path_by_rules(benchmark::State& state) {
  using holdfast::core::Selection;
  const auto selection = Selection::compile(many_rules());
  auto at = selection->root();
  for (const char* name : {"home", "al", "Documents"}) at = selection->enter(at, name);
  if (selection->judge(at, "letter.txt", false) != Selection::Verdict::kSelected ||
      selection->judge(at, "letter.swp", false) != Selection::Verdict::kUnselected) {
    state.SkipWithError("wrong verdict");
  }
  for (auto _ : state) benchmark::DoNotOptimize(selection->judge(at, "letter.txt", false));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(judge_path_by_rules);

}  // namespace
