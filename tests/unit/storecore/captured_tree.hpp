#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "fixture.hpp"
#include "recording_observer.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/store/store.hpp"

namespace holdfast::test {

/// A directory that is captured and looked at by the real operations, in this process.
class CapturedTree : public testing::Test {
 protected:
  [[nodiscard]] core::RunContext context(unsigned jobs = 4) {
    core::RunContext context;
    context.observer = &observer;
    context.jobs = jobs;
    context.version = "holdfast test";
    return context;
  }
  [[nodiscard]] core::Targets targets() const {
    return {.roots = {tree.path()}, .store = std::nullopt, .volumes = {}};
  }
  /// ROOT, with /tmp as it is: names below are relative to it.
  void capture(bool hash_later = false) {
    core::CaptureOptions options;
    options.selection = core::SelectionSpec{.everything = true, .include = {}, .exclude = {}};
    options.hash_later = hash_later;
    const core::RunReport run = core::capture(targets(), options, context());
    const bool overlay =
        run.volumes.front().error && run.volumes.front().error->reason_code == "overlay-filesystem";
    if (overlay) GTEST_SKIP() << "TMPDIR is on an overlay filesystem";
    ASSERT_EQ(run.exit_code(), 0) << message(run);
    observer.forget();
  }
  [[nodiscard]] core::VolumeReport verify(bool quick = false, unsigned jobs = 4) {
    observer.forget();
    return core::verify(targets(), {.quick = quick}, context(jobs)).volumes.front();
  }
  [[nodiscard]] core::Store open_store() {
    auto place = core::resolve_place(tree.path(), std::nullopt);
    auto store = core::Store::open(*place, core::Store::Access::kWrite, "test", context());
    if (!store) throw std::runtime_error(catalog::describe(store.error()));
    return std::move(*store);
  }
  static std::string message(const core::RunReport& run) {
    const auto& error = run.volumes.front().error;
    return error ? catalog::describe(*error) : "no error";
  }

  /// Of the mirror.
  [[nodiscard]] std::string held(const std::string& name) const {
    return tree.path(".holdfast/tree/" + name);
  }
  void rename(const std::string& from, const std::string& to) const {
    ASSERT_EQ(std::rename(tree.path(from).c_str(), tree.path(to).c_str()), 0) << from;
  }
  void remove(const std::string& name) const {
    ASSERT_EQ(run_program({"rm", "-rf", tree.path(name)}), 0) << name;
  }
  void link(const std::string& name, const std::string& new_name) const {
    ASSERT_EQ(::link(tree.path(name).c_str(), tree.path(new_name).c_str()), 0) << new_name;
  }
  /// Overwrites bytes in place and puts the mtime back: what is left is another ctime.
  void overwrite_quietly(const std::string& name, std::string_view bytes) const {
    const core::Fd fd(::open(tree.path(name).c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_GE(fd.get(), 0) << name;
    struct stat before{};
    ASSERT_EQ(::fstat(fd.get(), &before), 0) << name;
    ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(::futimens(fd.get(), times), 0);
  }
  /// An edit that shows: other bytes, other size.
  void append(const std::string& name) const {
    const core::Fd fd(::open(tree.path(name).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    ASSERT_EQ(::write(fd.get(), "more", 4), 4) << name;
  }

  TempDir tree;
  RecordingObserver observer;
};

using Lines = std::vector<std::string>;

inline std::uint64_t counted(const core::VolumeReport& report, core::Count count) {
  return report.counts.get(count).value_or(0);
}

}  // namespace holdfast::test
