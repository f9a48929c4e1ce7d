#!/bin/bash
# Installs what is missing, builds holdfast, and shows the main job.
#
#   tests/demo.sh              on a sample volume that it makes: a loop-mounted ext4 as root, else a folder
#   tests/demo.sh DIR          captures and verifies DIR, and tells the commands that come next: nothing of DIR
#                              is moved or deleted
#   tests/demo.sh --wipe DIR   goes on with DIR: wipes, restores, and compares with a record made before
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
given='' wipe=false
for argument in "$@"; do
  case "$argument" in
    --wipe) wipe=true ;;
    -*) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    *) given=$(realpath -- "$argument") ;;
  esac
done
if $wipe && [[ -z $given ]]; then
  echo "demo: --wipe needs a directory" >&2
  exit 2
fi

# Our mounts are seen by us alone and end with us, however we end.
if [[ $EUID -eq 0 && -z $given && -z ${HOLDFAST_DEMO_NAMESPACE:-} ]]; then
  "$repository/tests/setup.sh" build
  export HOLDFAST_DEMO_NAMESPACE=1
  exec unshare --mount --propagation private "${BASH_SOURCE[0]}" "$@"
fi

bold='' plain=''
if [[ -t 1 ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi
title() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "${*//$repository\/build\/release\/cli\//}"; "$@"; }

"$repository/tests/setup.sh" build
title "build"
(cd "$repository" && cmake --preset release -Wno-dev >/dev/null &&
  cmake --build --preset release -j "${JOBS:-$(nproc)}" --target holdfast | tail -n 1)
holdfast=$repository/build/release/cli/holdfast
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-demo-XXXXXX")
root=$work/target
mounted=false
clean_up() {
  cd /
  if $mounted; then umount "$root" || umount -l "$root"; fi
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT

on_given_directory() {
  local oracle=$repository/tests/support/oracle.py
  if $wipe; then
    title "a record of $given by a program of its own"
    python3 -B "$oracle" record "$given" --exclude .holdfast --exclude lost+found >"$work/before.json"
  fi
  title "capture: links, records, hashes; moves nothing"
  show "$holdfast" capture --everything "$given"
  title "verify: every file is read again and compared"
  show "$holdfast" verify "$given"
  title "would a wipe go through?"
  show "$holdfast" wipe --dry-run "$given" || true
  if ! $wipe; then
    title "what comes next, when you want it"
    printf '%s\n' "holdfast wipe --yes $given       # all but the store goes aside" \
      "(put the new system on $given)" \
      "holdfast restore $given          # the captured files take their places again" \
      "holdfast rollback --yes $given   # or: the old system comes back as it was" \
      "holdfast discard --yes $given    # the store goes, the files stay"
    return
  fi
  title "wipe"
  show "$holdfast" wipe --yes "$given"
  title "restore"
  show "$holdfast" restore "$given"
  title "compare with the record"
  python3 -B "$oracle" record "$given" --exclude .holdfast --exclude lost+found \
    --exclude HOLDFAST-DO-NOT-FORMAT.txt >"$work/after.json"
  show python3 -B "$oracle" compare "$work/before.json" "$work/after.json" \
    --ignore nlink --ignore inode --ignore btime --ignore atime --ignore-type socket
  title "the store is still there: holdfast discard --yes $given removes it"
}

make_sample() {
  mkdir "$root" "$work/copy" "$work/image"
  if [[ $EUID -eq 0 ]]; then
    title "a sample volume: ext4 on a loop device"
    truncate -s 1G "$work/volume.img"
    mkfs.ext4 -q -F "$work/volume.img"
    mount -o loop "$work/volume.img" "$root"
    mounted=true
  else
    title "a sample folder (as root it would be a volume)"
  fi
  python3 -B - "$repository/tests/support" "$root" "$work/image" <<'PYTHON'
import sys
sys.path.insert(0, sys.argv[1])
import treegen
treegen.build_old_system(sys.argv[2])
treegen.build_users(sys.argv[2])
treegen.build_image(sys.argv[3], collide=False)
PYTHON
  local real
  for real in /usr/share/perl5 /usr/share/zoneinfo /usr/share/misc; do
    if [[ -d $real ]]; then cp -a "$real" "$root/home/al/"; fi
  done
  tar -C "$work/image" -cf "$work/image.tar" .
  rsync -aHAXR "$root/./home" "$root/./srv/data" "$work/copy/"
  show ls "$root"
  printf '%s files in home and srv/data, %s in the system around them\n' \
    "$(find "$root/home" "$root/srv/data" -type f | wc -l)" \
    "$(find "$root" -type f -not -path "$root/home/*" -not -path "$root/srv/data/*" | wc -l)"
}

equal_to_the_copy() {
  local differences
  differences=$(rsync -naHAXicR --no-implied-dirs --delete "$work/copy/./home" "$work/copy/./srv/data" "$root/")
  echo "\$ rsync -naHAXicR --no-implied-dirs --delete COPY/./home COPY/./srv/data TARGET/"
  if [[ -n $differences ]]; then
    printf '%s\n' "$differences"
    echo "demo: FAILED: the restored files differ from the copy" >&2
    exit 1
  fi
  echo "(prints nothing: equal)"
}

if [[ -n $given ]]; then
  on_given_directory
  exit 0
fi

make_sample
title "capture: users' files get a second name in the store"
show "$holdfast" capture --include home --include srv/data "$root"
title "wipe: everything else goes aside, the volume is empty around the store"
show "$holdfast" wipe --yes "$root"
show ls -A "$root"
title "the new image, by whoever deploys: here tar"
show tar -C "$root" -xpf "$work/image.tar"
title "restore: the links go back to their places"
show "$holdfast" restore "$root"
show ls "$root" "$root/home/al"
title "is everything as it was? rsync compares with a copy made before, byte by byte"
equal_to_the_copy
title "xxh128sum reads the store's manifest"
(cd "$root/.holdfast/tree" && show xxh128sum --check --quiet ../manifest.xxh128 && echo "all files match")
title "discard: the store and the old system go, the files stay"
show "$holdfast" discard --yes "$root"
show ls -A "$root"
equal_to_the_copy
printf '\nThe main job works: %s files were captured, wiped around, restored and verified.\n' \
  "$(find "$root/home" "$root/srv/data" -type f | wc -l)"
