"""A hostile user's home and the program that changes it while holdfast works (racer.cpp)."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile

import linux_calls
import oracle
import run
import treegen

USER = (61_003, 61_003)
HOME = "home/mallory"
# Files that nobody touches, among those that are swapped, replaced and moved about.
_BYSTANDERS = ("bystander-1", "bystander-2")
_SLOTS = 8
_MUTATED = 6


def build_home(root: str, canaries, seed: int) -> None:
    """What racer.cpp expects, owned by USER; symlinks lead to each of the canaries."""
    outside, near = canaries
    os.makedirs(os.path.join(root, HOME), exist_ok=True)
    with treegen.Dir(os.path.join(root, HOME)) as home:
        def bystanders(where: treegen.Dir, tag: str) -> None:
            for name in _BYSTANDERS:
                where.file(name, f"{seed} {tag} {name}\n" * 30)

        bystanders(home, "home")
        with home.dir("swap") as swap:
            bystanders(swap, "swap")
            with swap.dir("directory") as inner:
                bystanders(inner, "directory")
                inner.file("precious", b"mallory's own, of a name that the canary has\n")
                with inner.dir("inner") as deeper:
                    bystanders(deeper, "inner")
                    deeper.file("file", b"mallory's own too\n")
            swap.symlink("way-out", near)
            swap.file("plain", f"{seed} plain\n").node("pipe", stat.S_IFIFO | 0o644)
            swap.file("leaf", f"{seed} leaf\n").symlink("leaf-out", os.path.join(near, "precious"))
        with home.dir("whole") as whole:
            bystanders(whole, "whole")
            with whole.dir("inner") as inner:
                bystanders(inner, "whole inner")
        home.symlink("whole-out", outside)
        with home.dir("mutate") as mutate:
            bystanders(mutate, "mutate")
            for index in range(_MUTATED):
                mutate.file(f"m-{index}", b"first words\n" * 100)
        with home.dir("replace") as replace:
            bystanders(replace, "replace")
            for index in range(_SLOTS):
                replace.file(f"slot-{index}", f"{seed} slot {index} before the race\n")
        with home.dir("churn") as churn:
            bystanders(churn, "churn")
            for name in ("a", "b"):
                churn.dir(name).__exit__()
            with churn.dir("a") as first, first.dir("wanderer") as wanderer:
                bystanders(wanderer, "wanderer")
    for place, names, files in os.walk(os.path.join(root, HOME)):
        for name in (".", *names, *files):
            os.chown(os.path.join(place, name), *USER, follow_symlinks=False)


def build_canary(path: str) -> None:
    """Content, mode, owner, ACL, times and link counts that must not change."""
    os.mkdir(path, 0o711)
    with treegen.Dir(path) as canary:
        canary.file("precious", b"must never be touched\n", 0o4750, (12_345, 54_321))
        canary.file("leaf", b"nor this\n", 0o600)
        canary.xattr("precious", "system.posix_acl_access", linux_calls.encode_acl([
            (linux_calls.ACL_USER_OBJ, 6), (linux_calls.ACL_USER, 4, 1001), (linux_calls.ACL_GROUP_OBJ, 4),
            (linux_calls.ACL_MASK, 4), (linux_calls.ACL_OTHER, 0)]))
        with canary.dir("inner", 0o1770) as inner:
            inner.file("file", b"deep canary\n").times("file", 1_000_000_007)
            inner.file("bystander-1", b"a canary of that name\n")
        canary.times("inner", 1_000_000_000_000_000_007)


def is_bystander(path: bytes) -> bool:
    return os.path.basename(path) in {os.fsencode(name) for name in _BYSTANDERS}


def bystander_losses(before: dict, after: dict) -> list:
    """Content of files that nobody touched and that has no name on the volume now."""
    found = {fields["sha256"] for fields in after.values() if "sha256" in fields}
    return sorted(oracle.printable(path) for path, fields in before.items()
                  if is_bystander(path) and "sha256" in fields and fields["sha256"] not in found)


class Racer:
    """Runs as USER until stop()."""

    def __init__(self, root: str, tag: str, user=USER):
        self.tag = tag
        identity = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        # Where the other user reaches it, wherever the build is.
        self._place = tempfile.TemporaryDirectory(prefix="holdfast-test-racer-")  # pylint: disable=consider-using-with
        os.chmod(self._place.name, 0o755)
        program = shutil.copy(run.test_program("racer"), self._place.name)
        self._process = subprocess.Popen(  # pylint: disable=consider-using-with
            [program, os.path.join(root, HOME), tag], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=linux_calls.die_with_parent, **identity)
        if self._process.stdout.readline() != "racing\n":
            raise AssertionError(f"the racer did not start: {self._process.communicate()[1]}")
        self.operations = 0
        self._last = []

    def stop(self) -> None:
        if self._process.stdin.closed:
            return
        answer = json.loads(self._process.communicate(timeout=60)[0])
        self._last = answer.pop("last")
        self.operations = sum(answer.values())
        self.by_kind = answer

    def last_version_losses(self, after: dict) -> list:
        """The last finished version of each slot must have a name somewhere."""
        found = {fields["sha256"] for fields in after.values() if "sha256" in fields}
        lost = []
        for slot, version in enumerate(self._last):
            text = f"{self.tag} slot {slot} version {version}\n"
            if version and hashlib.sha256(text.encode()).hexdigest() not in found:
                lost.append(text.strip())
        return lost
