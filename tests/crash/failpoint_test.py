#!/usr/bin/env python3
"""Killed at named places with several threads at work: nothing lost, and the same command finishes the job.

HOLDFAST_FAILPOINT=name:N kills the process at the Nth arrival at a name. Places between two system calls of one
thread are the sweeps' (kill_test.py); here others are in the midst of their own.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import linux_calls  # noqa: E402
import phases  # noqa: E402
import sweep  # noqa: E402
import treegen  # noqa: E402

_SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "storecore")
_CALL = re.compile(r"\bfailpoint\(\"([a-z-]+)\"\)")

_CAPTURES = ("capture", "capture-again", "wipe", "wipe-delete")
_SEALS = (*_CAPTURES, "seal")
_WIPES = ("wipe", "wipe-delete")
_RESTORES = ("restore-link", "restore-move", "restore-copy")
# Every name, and the phases that come by it.
_REPAIRS = ("repair-sealed", "repair-wiped")
_REACHED = {
    "batch-applied": _CAPTURES,
    "bring-back": ("rollback",),
    "deleting-directory": ("wipe-delete", "discard"),
    "deleting-old-system": ("wipe-delete",),
    "directory-flagged": (*_WIPES, "rollback", *_RESTORES),
    "discard-before-state": ("discard",),
    "discarding": ("discard",),
    "dropped-from-mirror": ("capture-again",),
    "file-deleted": ("wipe-delete", "discard"),
    "file-hashed": _SEALS,
    "hashed": _SEALS,
    "link-held": _CAPTURES,
    "linked": _CAPTURES,
    "linked-before-barrier": _CAPTURES,
    "move-aside": _WIPES,
    "move-image": ("rollback",),
    "moved-aside": _WIPES,
    "protecting": _WIPES,
    "repair-before-barrier": _REPAIRS,
    "repair-before-state": ("repair-stateless",),
    "repair-between-names": _REPAIRS,
    "repair-filled": _REPAIRS,
    "repair-recorded": _REPAIRS,
    "repair-swapped": _REPAIRS,
    "restore-before-barrier": _RESTORES,
    "restore-before-state": _RESTORES,
    "restore-clear": ("restore-move-flagged",),
    "restore-copied": ("restore-copy",),
    "restore-displace": _RESTORES,
    "restore-displaced": _RESTORES,
    "restore-given": _RESTORES,
    "restore-move-whole": ("restore-move",),
    "restore-prepared": _RESTORES,
    "restore-put-in-place": ("restore-link", "restore-copy"),
    "restore-staged": ("restore-link", "restore-copy"),
    "rolled-back": ("rollback",),
    "seal-before-barrier": _SEALS,
    "seal-before-state": _SEALS,
    "unprotected": ("rollback", *_RESTORES),
    "unsealed": ("capture-again", *_WIPES),
    "window-written": _SEALS,
    "wipe-planned": _WIPES,
    "wiped-before-protect": _WIPES,
}
# Passed by once for each entry or directory, by several threads.
_MANY = ("link-held", "file-hashed", "file-deleted", "deleting-directory", "directory-flagged", "restore-given",
         "move-aside", "bring-back", "move-image", "batch-applied")
_JOBS = 4


def _with_flags(case, root):
    """As restore-move, with flags on files in a directory that the image has: their second names leave the store last."""
    with treegen.Dir(os.path.join(root, "home/al")) as home:
        home.file("immutable", b"flags stay\n").flags("immutable", 0x10)
        home.file("append", b"only longer\n").flags("append", 0x20)
    case.capture(root)
    case.wipe(root)
    treegen.build_image(root)


def _without_state(case, root):
    case.capture(root)
    case.wipe(root)
    linux_calls.change_flags(os.path.join(root, cases.STORE), remove=linux_calls.FLAG_IMMUTABLE)
    os.unlink(os.path.join(root, cases.STORE, "state.json"))


_STATELESS = phases.Phase("repair-stateless", ("repair",), ("wiped",), _without_state, (0, 3))
_FLAGGED = phases.Phase("restore-move-flagged", ("restore", "--mode", "move"), ("restored",), _with_flags, (0, 3))


class KilledAtAFailpoint(sweep.Struck):
    def numbers(self, name: str) -> tuple:
        if name not in _MANY:
            return (1,)
        return (1, 2, 3, 5, 8, 12, 17, 23, 30) if fault_table.everything() else (self.dice.choice((2, 5, 9)),)

    def runs_of(self, phase) -> list:
        """(name, N) of a phase; in the sample each name is struck in one of its phases."""
        names = [name for name, reached in _REACHED.items() if phase.name in reached]
        if not fault_table.everything():
            names = [name for name in names if self.where[name] == phase.name]
        return [(name, number) for name in names for number in self.numbers(name)]

    def sweep_phase(self, phase, filesystem: str):
        runs = self.runs_of(phase)
        if not runs:
            return
        swept = sweep.Sweep(self, filesystem, phase)
        tally = sweep.Tally(self, "SIGKILL at a failpoint", phase.name, filesystem, self.seed)
        for index, (name, number) in enumerate(runs):
            where = f"{name}:{number}"

            def judge(outcome):
                if outcome.result.code != 137:
                    # There may be fewer than N of them; the first there is always.
                    return ([], [f"not killed: exit {outcome.result.code}"]) if number == 1 else None
                return swept.losses(outcome), swept.healed(outcome, third=index % 8 == 0)

            swept.one(tally, where, lambda: swept.run_with(env={"HOLDFAST_FAILPOINT": where}, jobs=_JOBS), judge)
        tally.close()

    def sweep_filesystem(self, filesystem: str):
        self.where = {name: self.dice.choice(reached) for name, reached in _REACHED.items()}
        for phase in [*sweep.phases_to_run(), _FLAGGED, _STATELESS]:
            with self.subTest(phase=phase.name):
                self.sweep_phase(phase, filesystem)

    def test_on_ext4(self):
        self.sweep_filesystem("ext4")

    def test_on_btrfs(self):
        if not fault_table.everything():
            self.where = {}
            phase = self.dice.choice(sweep.phases_to_run())
            self.where = {name: phase.name for name, reached in _REACHED.items() if phase.name in reached}
            self.where.update((name, "") for name in _REACHED if name not in self.where)
            return self.sweep_phase(phase, "btrfs")
        self.sweep_filesystem("btrfs")
        return None


class Names(cases.VolumeCase):
    def test_every_name_in_the_source_is_struck(self):
        found = set()
        for directory, _, names in os.walk(_SOURCES):
            for name in names:
                if name.endswith((".cpp", ".hpp")):
                    with open(os.path.join(directory, name), encoding="utf-8") as source:
                        found.update(_CALL.findall(source.read()))
        self.assertEqual(found, set(_REACHED))
        known = {*phases.NAMES, _FLAGGED.name, _STATELESS.name}
        self.assertEqual([name for name, reached in _REACHED.items() if not set(reached) & known], [])


if __name__ == "__main__":
    cases.main()
