#!/bin/sh
# Fuzzes every target for so many seconds each, from the kept corpus, and stops at the first broken promise: the input
# is left in crashes/ of the build directory. What was learned stays there too, in corpus/; `--keep` merges the smallest
# part of it that reaches the same code into tests/fuzz/corpus.
#
#     tests/fuzz/run.sh SECONDS [TARGET...]
#     tests/fuzz/run.sh --keep [TARGET...]
set -eu
cd "$(dirname "$0")/../.."
build=${HOLDFAST_FUZZ_BUILD:-build/fuzz}
seconds=$1
shift
if [ $# -eq 0 ]; then
  # shellcheck disable=SC2046
  set -- $(for source in tests/fuzz/*_fuzz.cpp; do basename "$source" _fuzz.cpp; done)
fi
[ -f "$build/build.ninja" ] || cmake --preset fuzz -B "$build" >/dev/null
cmake --build "$build" --target $(for target in "$@"; do echo "${target}_fuzz"; done)
for target in "$@"; do
  kept=tests/fuzz/corpus/$target
  learned=$build/corpus/$target
  program=$build/tests/fuzz/${target}_fuzz
  mkdir -p "$learned" "$build/crashes"
  if [ "$seconds" = --keep ]; then
    smallest=$build/smallest/$target
    rm -rf "$smallest"
    mkdir -p "$smallest"
    "$program" -merge=1 "$smallest" "$kept" "$learned" 2>/dev/null
    find "$smallest" -type f -size -4k -exec cp -n {} "$kept/" \;
    continue
  fi
  echo "fuzz: $target, $seconds s"
  "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 \
    -artifact_prefix="$build/crashes/$target-" "$learned" "$kept" >"$build/$target.log" 2>&1 ||
    { tail -n 40 "$build/$target.log"; exit 1; }
  grep -E 'number_of_executed_units|new_units_added|peak_rss' "$build/$target.log"
done
