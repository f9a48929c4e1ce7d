#!/bin/bash
# The long ones: a million files, and clang-tidy on every source. tests/run.sh has all the others.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests/setup.sh check
reports=build/reports-nightly
failed_steps=0
rm -rf "$reports"
mkdir -p "$reports"
cmake --preset release -Wno-dev
cmake --build --preset release -j "${JOBS:-$(nproc)}"
ctest --test-dir build/release -L slow --verbose --no-tests=error \
  --test-output-size-passed 4000000 --test-output-size-failed 4000000 \
  --output-junit "$PWD/$reports/release.xml" || true
tests/style.sh tidy all || failed_steps=1
python3 -B tests/support/tally.py --failed-steps "$failed_steps" "$reports"/*.xml
