#!/usr/bin/env python3
"""Every phase against a user who swaps, replaces, truncates and moves whatever is worked on.

The user's tree is full of directories that turn into symlinks to a canary, thousands of times a second. Whatever
happens: the canary stays as it is (one lies outside of the volume, one beside ROOT on the same mount, where a
hard link would succeed), files that nobody touches are all there, and so is the last finished version of each
file that is replaced by rename. Seconds a phase; HOLDFAST_FAULTS=all gives each five minutes.
"""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import loopfs  # noqa: E402
import oracle  # noqa: E402
import phases  # noqa: E402
import races  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

# Delays in front of these calls, in microseconds: windows that are a thousand times wider.
_CALLS = "openat,openat2,linkat,renameat2,unlinkat,statx,newfstatat"
_MOUNT_CALLS = "trace=" + _CALLS


def _sealed(case, root):
    case.capture(root)


def _wiped_with_image(case, root):
    case.capture(root)
    case.wipe(root)
    treegen.build_image(root)
    # The new system knows the user, too: what restore merges into is the user's own.
    races.build_home(root, (case.canary, case.near), 2)


def _restored(case, root):
    _wiped_with_image(case, root)
    case.restore(root, expect=(0, 3))


# Name, command without ROOT, how a volume comes to stand before it, exit codes under fire, and whether the old
# system goes. 1: rollback stops where the user puts something in its way, and the next run goes on.
_PHASES = (
    ("capture", ("capture", *treegen.INCLUDES), lambda case, root: None, (0, 3), False),
    ("capture-again", ("capture",), _sealed, (0, 3), False),
    ("verify", ("verify",), _sealed, (0, 3), False),
    ("wipe", ("wipe", "--yes"), _sealed, (0, 3), False),
    ("wipe-delete", ("wipe", "--yes", "--delete"), _sealed, (0, 3), True),
    ("restore-link", ("restore",), _wiped_with_image, (0, 3), False),
    ("restore-move", ("restore", "--mode", "move"), _wiped_with_image, (0, 3), False),
    ("restore-copy", ("restore", "--mode", "copy"), _wiped_with_image, (0, 3), False),
    ("rollback", ("rollback", "--yes"), _wiped_with_image, (0, 1), False),
    ("discard", ("discard", "--yes", "--lose-displaced"), _restored, (0, 3), True),
)
# What runs before it, with the user at work already: what they hold open then, they hold in aside/, too.
_FIRST = {"wipe-delete": ("wipe", "--yes")}
_SECONDS = 300.0 if fault_table.everything() else 2.0


@cases.on("ext4", *(("xfs", "btrfs") if fault_table.everything() else ()))
class RacesMixin:
    """ROOT is a directory of the volume, so that a canary can lie beside it on the same mount."""

    def setUp(self):
        super().setUp()
        self.need_root()
        self.need_program("strace")
        if not os.access(run.test_program("racer"), os.X_OK):
            self.skip_loudly(f"no racer at {run.test_program('racer')}: build it")
        os.chmod(self.scratch.path, 0o755)
        self.seed = fault_table.seed()
        self.dice = random.Random(self.seed)

    def golden(self, lead_up) -> str:
        """An image that stands before the phase. Mount points of copies are in one place, for the symlinks."""
        # treegen's symlinks to the near canary hold its path: the same for each copy.
        self.place = os.path.join(self.scratch.path, "raced")
        self.near = os.path.join(self.place, "canary")
        volume = self.volume("raced", megabytes=phases._MEGABYTES[self.filesystem],
                             mkfs_options=phases._MKFS.get(self.filesystem, ()))
        races.build_canary(self.near)
        root = os.path.join(volume.path, "root")
        os.mkdir(root, 0o755)
        treegen.build_old_system(root)
        treegen.build_users(root)
        races.build_home(root, (self.canary, self.near), 1)
        lead_up(self, root)
        self.before = oracle.record(volume.path, exclude=("lost+found",))
        volume.unmount()
        os.rmdir(volume.path)
        return volume.image

    def copy(self, image: str, number: int) -> loopfs.Volume:
        copied = os.path.join(self.scratch.path, f"copy-{number}.img")
        cases.run_tool("cp", "--sparse=always", image, copied)
        volume = loopfs.Volume(self.filesystem, self.scratch.path, "raced", image=copied)
        self.addCleanup(volume.close)
        return volume

    def slowed(self) -> list:
        """One run in two has its windows widened: some of the calls wait a little, chosen by the dice."""
        if self.dice.random() < 0.5:
            return []
        every = self.dice.randint(2, 9)
        first = self.dice.randint(1, every)
        return [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", _MOUNT_CALLS,
                "-e", f"inject={_CALLS}:delay_enter={self.dice.choice((200, 1000, 4000))}:when={first}+{every}"]

    def check(self, phase: str, racer: races.Racer, deletes_old: bool) -> list:
        after = oracle.record(self.place, exclude=("lost+found",))
        self.assert_same(oracle.below(self.before, "canary"), oracle.below(after, "canary"), ("atime",),
                         f"{phase}: the canary beside ROOT was touched")
        # What holdfast deletes in the end: the old system, and with discard what restore displaced.
        kept = oracle.below(self.before, "root/" + races.HOME, "root/.holdfast/tree") if deletes_old else self.before
        losses = races.bystander_losses(kept, after) + racer.last_version_losses(after)
        selected = [os.path.join(place, name) for name in ("home/al", "home/bo", "srv/data")
                    for place in ("root", "root/.holdfast/tree")]
        others = oracle.without(self.before, "root/" + races.HOME, *(
            f"root/.holdfast/{area}/{races.HOME}" for area in ("tree", "aside/1")), *(
                f"root/.holdfast/{part}" for part in ("catalog", "log", "journal", "state.json", "lock",
                                                      "manifest.jsonl", "manifest.xxh128", "README",
                                                      "selection", "ballast")),
                                "root/" + cases.MARKER, "root/.holdfast/displaced")
        found = {fields["sha256"] for fields in after.values() if "sha256" in fields}
        wanted = oracle.below(others, *selected) if deletes_old else others
        losses += sorted(oracle.printable(path) for path, fields in wanted.items()
                         if "sha256" in fields and fields["sha256"] not in found)
        return losses

    def assert_only_mallory_is_missing(self, result):
        for kind in ("missing", "corrupt"):
            others = [path for path in result.paths_of(kind) if not path.startswith(races.HOME)]
            self.assertEqual(others, [], result.describe())

    def race(self, name: str):
        _, command, lead_up, codes, deletes_old = next(row for row in _PHASES if row[0] == name)
        # restore --mode move: what the user carried away is not in its place. rollback: there is nothing to do.
        again_codes = {"restore-move": (4,), "rollback": (5,)}.get(name, ())
        image = self.golden(lead_up)
        runs = operations = 0
        seen = {}
        lost = []
        started = time.monotonic()
        while time.monotonic() - started < _SECONDS * run.patience() ** 0.5 or runs < 2:
            runs += 1
            with self.copy(image, runs) as volume:
                root = os.path.join(volume.path, "root")
                racer = races.Racer(root, f"{self.seed}-{runs}")
                try:
                    if name in _FIRST:
                        self.holdfast(_FIRST[name][0], root, *_FIRST[name][1:], expect=(0, 3))
                    result = self.holdfast(command[0], root, *command[1:], prefix=self.slowed(), expect=None,
                                           timeout=120)
                finally:
                    racer.stop()
                operations += racer.operations
                seen[result.code] = seen.get(result.code, 0) + 1
                with self.subTest(phase=name, seed=self.seed, run=runs):
                    self.assertIn(result.code, codes, result.describe())
                    self.assertGreater(racer.operations, 0)
                    losses = self.check(name, racer, deletes_old)
                    # Left alone, the same command comes to its end, and loses nothing either.
                    if name != "discard" or result.code != 0:
                        result = self.holdfast(command[0], root, *command[1:], expect=(0, 3, 5, *again_codes))
                        if result.code == 5 and 5 not in again_codes:
                            # The user has taken away more than half of what the first run met: that wants a word.
                            self.assertEqual(result.reason_codes, {"vanished"}, result.describe())
                            result = self.holdfast(command[0], root, *command[1:], "--allow-vanished", expect=(0, 3))
                        losses += self.check(name, racer, deletes_old)
                        self.assert_only_mallory_is_missing(result)
                    lost += losses
                    self.assertEqual(losses, [], f"lost\n{result.describe()}")
            os.unlink(volume.image)
            os.rmdir(volume.path)
        seconds = time.monotonic() - started
        print(f"RACE: {name} on {self.filesystem}: {runs} runs, {operations} operations of the racer, "
              f"{operations / seconds:.0f}/s, exit codes {seen}, seed {self.seed}", flush=True)
        fault_table.note("race", name, self.filesystem, runs, len(lost), self.seed)

    def test_capture(self):
        self.race("capture")

    def test_capture_again(self):
        self.race("capture-again")

    def test_verify(self):
        self.race("verify")

    def test_wipe(self):
        self.race("wipe")

    def test_wipe_delete(self):
        self.race("wipe-delete")

    def test_restore_link(self):
        self.race("restore-link")

    def test_restore_move(self):
        self.race("restore-move")

    def test_restore_copy(self):
        self.race("restore-copy")

    def test_rollback(self):
        self.race("rollback")

    def test_discard(self):
        self.race("discard")


if __name__ == "__main__":
    cases.main()
