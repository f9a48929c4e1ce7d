#!/bin/bash
# Installs what is missing, builds, and runs all tests: what CI runs is what a developer runs.
#
#   tests/run.sh               debug build, both sanitizer builds, clang-format, clang-tidy on what changed
#   tests/run.sh --quick       debug build only
#   tests/run.sh --tidy-all    clang-tidy on every source instead of what changed
#   tests/run.sh --no-setup    installs nothing
#
# The long tests (label slow) are in tests/nightly.sh. The last line is "N passed, N failed, N skipped".
# JOBS=N: how much at once, by default one a processor. CI=true: a skipped test is a failed one.
set -euo pipefail
shopt -s nullglob
{ # Read whole before it begins: a run takes long enough for this file to be edited meanwhile.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=false tidy=changed setup=true
for argument in "$@"; do
  case "$argument" in
    --quick) quick=true ;;
    --tidy-all) tidy=all ;;
    --no-setup) setup=false ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
done
jobs="${JOBS:-$(nproc)}"
reports=build/reports
# What another clone has compiled need not be compiled again.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
failed_steps=0

step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# A step that fails is counted and named; the steps behind it still run.
attempt() {
  local name=$1
  shift
  if ! "$@"; then
    echo "FAILED: $name"
    failed_steps=$((failed_steps + 1))
    return 1
  fi
}

build_and_test() {
  local preset=$1 left_out=$2
  step "$preset: build"
  attempt "$preset: configure" cmake --preset "$preset" -Wno-dev >"$reports/$preset-configure.log" ||
    { cat "$reports/$preset-configure.log"; return 0; }
  attempt "$preset: build" cmake --build --preset "$preset" -j "$jobs" || return 0
  step "$preset: test"
  # Failed tests are counted in the report; ctest's own exit code says no more.
  ctest --test-dir "build/$preset" -LE "$left_out" -j "$jobs" --output-on-failure --no-tests=error \
    --test-output-size-passed 4000000 --test-output-size-failed 4000000 \
    --output-junit "$PWD/$reports/$preset.xml" || true
  attempt "$preset: test report" test -s "$reports/$preset.xml" || return 0
}

rm -rf "$reports"
mkdir -p "$reports"
if $setup; then
  step "packages"
  if $quick; then tests/setup.sh test; else tests/setup.sh check; fi
fi

build_and_test dev slow
if ! $quick; then
  build_and_test asan-ubsan 'slow|ondisk|injected'
  build_and_test tsan 'slow|ondisk|injected'
  step "clang-format"
  attempt "clang-format" tests/style.sh format || true
  step "clang-tidy"
  attempt "clang-tidy" tests/style.sh tidy "$tidy" || true
fi

step "result"
python3 -B tests/support/tally.py --failed-steps "$failed_steps" "$reports"/*.xml
exit
}
