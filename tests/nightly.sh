#!/bin/bash
# The long ones: every fault at every point, fuzzing, mutants, a million files, clang-tidy on every source.
#
#   tests/nightly.sh           all of it, some hours
#   tests/nightly.sh faults    kills, errors, power cuts, damage and races, with the table of runs and losses
#   tests/nightly.sh fuzz | teeth | scale | tidy | sanitizers
#
# tests/run.sh has a sample of the faults and all the rest. HOLDFAST_SEED=N repeats a run.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."
parts=("$@")
[[ $# -gt 0 ]] || parts=(faults fuzz teeth scale sanitizers tidy)
jobs="${JOBS:-$(nproc)}"
reports=$PWD/build/reports-nightly
failed_steps=0
tests/setup.sh check
rm -rf "$reports"
mkdir -p "$reports"
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

build() {
  cmake --preset "$1" -Wno-dev >/dev/null
  cmake --build --preset "$1" -j "$jobs"
}

# preset, report, further arguments of ctest
run_tests() {
  local preset=$1 report=$2
  shift 2
  ctest --test-dir "build/$preset" "$@" --output-on-failure --no-tests=error --test-output-size-passed 4000000 \
    --test-output-size-failed 4000000 --output-junit "$reports/$report.xml" || true
}

for part in "${parts[@]}"; do
  echo "== $part ($SECONDS s)"
  case "$part" in
    faults)
      build release
      HOLDFAST_FAULTS=all HOLDFAST_FAULT_TABLE=$reports/faults.jsonl \
        run_tests release faults -j "$jobs" -L 'crash|races|damage'
      python3 -B tests/support/fault_table.py "$reports/faults.jsonl" || failed_steps=$((failed_steps + 1))
      ;;
    fuzz) tests/fuzz/run.sh "${HOLDFAST_FUZZ_SECONDS:-300}" || failed_steps=$((failed_steps + 1)) ;;
    teeth)
      build dev
      cmake --build build/dev --target teeth || failed_steps=$((failed_steps + 1))
      ;;
    scale)
      build release
      run_tests release scale -V -L slow
      ;;
    sanitizers)
      for preset in asan-ubsan tsan; do
        build "$preset"
        HOLDFAST_FILESYSTEMS=all run_tests "$preset" "$preset" -j "$jobs" -LE slow
      done
      ;;
    tidy) tests/style.sh tidy all || failed_steps=$((failed_steps + 1)) ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
echo "== result ($SECONDS s)"
python3 -B tests/support/tally.py --failed-steps "$failed_steps" "$reports"/*.xml
