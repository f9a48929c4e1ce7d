#!/bin/bash
# Installs what is missing of the Debian packages that holdfast is built and tested with.
#
#   tests/setup.sh build   to build, and to run tests/demo.sh
#   tests/setup.sh test    and what the tests compare with
#   tests/setup.sh check   and clang 19: sanitizer runtimes, clang-format, clang-tidy (the default)
#   tests/setup.sh bench   to build, and what the benchmark measures beside holdfast
#
# Where nothing is missing, nothing is called: no network, no root.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build pkg-config ccache
  liblmdb-dev libxxhash-dev libboost-filesystem-dev libspdlog-dev libfmt-dev libcli11-dev
  nlohmann-json3-dev libtomlplusplus-dev libblkid-dev libgtest-dev libgmock-dev libbenchmark-dev
  python3 e2fsprogs util-linux mount rsync tar xxhash
)
test_packages=(
  lmdb-utils xfsprogs btrfs-progs ntfs-3g acl attr strace libcap2-bin git
  libfuse3-dev valgrind
)
check_packages=(
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev
)

bench_packages=(
  xfsprogs btrfs-progs restic borgbackup ostree gnuplot-nox valgrind
)

case "${1:-check}" in
  build) wanted=("${build_packages[@]}") ;;
  test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
  check) wanted=("${build_packages[@]}" "${test_packages[@]}" "${check_packages[@]}") ;;
  bench) wanted=("${build_packages[@]}" "${bench_packages[@]}") ;;
  *) echo "usage: tests/setup.sh [build|test|check|bench]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup: not a Debian system; needed: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  if [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]]; then
    missing+=("$package")
  fi
done
if [[ ${#missing[@]} -eq 0 ]]; then
  exit 0
fi

echo "setup: installing ${missing[*]}"
as_root=()
if [[ $EUID -ne 0 ]]; then
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get -q update
"${as_root[@]}" apt-get -q install -y --no-install-recommends "${missing[@]}"
