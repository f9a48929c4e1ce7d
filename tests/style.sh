#!/bin/bash
# clang-format and clang-tidy 19.
#
#   tests/style.sh format          every source is formatted as .clang-format says
#   tests/style.sh tidy changed    clang-tidy on sources that differ from the merge base
#   tests/style.sh tidy all        clang-tidy on every source
#
# HOLDFAST_BASE names the commit to compare with; else it is the merge base with origin/main, or, on
# that branch itself, the commit before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folders=(catalog storecore cli bench tests)

all_sources() { find "${folders[@]}" -name '*.cpp' -o -name '*.hpp' | sort; }

base_commit() {
  git rev-parse --is-inside-work-tree >/dev/null 2>&1 || return 0
  git rev-parse -q --verify HEAD >/dev/null || return 0
  local base=${HOLDFAST_BASE:-}
  if [[ -z $base ]]; then
    base=$(git merge-base HEAD origin/main 2>/dev/null || true)
    if [[ -z $base || $base == "$(git rev-parse HEAD)" ]]; then
      base=$(git rev-parse -q --verify HEAD~1 || true)
    fi
  fi
  echo "$base"
}

# A changed header is checked through the source of the same name, which includes it first.
changed_sources() {
  { git diff --name-only --diff-filter=d "$1" -- "${folders[@]}"
    git ls-files --others --exclude-standard -- "${folders[@]}"; } |
    sed -n 's/\.hpp$/.cpp/; /\.cpp$/p' | sort -u |
    while read -r file; do if [[ -f $file ]]; then echo "$file"; fi; done
}

case "${1:-}" in
  format)
    all_sources | xargs -r clang-format-19 --dry-run --Werror
    ;;
  tidy)
    if [[ ${2:-changed} == all ]]; then
      sources=$(all_sources | grep '\.cpp$')
    else
      base=$(base_commit)
      if [[ -z $base ]]; then
        echo "clang-tidy: no earlier commit to compare with; 'tests/run.sh --tidy-all' checks everything"
        exit 0
      fi
      sources=$(changed_sources "$base")
    fi
    if [[ -z $sources ]]; then
      echo "clang-tidy: nothing changed"
      exit 0
    fi
    echo "clang-tidy: $(wc -l <<<"$sources") sources"
    cmake --preset tidy -Wno-dev >/dev/null
    xargs -P "${JOBS:-$(nproc)}" -n 1 clang-tidy-19 -p build/tidy --quiet <<<"$sources" \
      2> >(grep -v 'warnings generated\.$' >&2)
    ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
