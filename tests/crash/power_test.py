#!/usr/bin/env python3
"""Power cuts at any write of any command, and right after success: nothing is lost, done is done.

A command runs on a disk with a volatile write cache (support/faultdisk.py). At its Nth write or flush the power goes;
what was written since the last flush is lost, kept, or kept in part. Then the volume is mounted again, everything on it
is recorded, and the command is run once more. A neighbour calls fsync on directories meanwhile: on btrfs that makes
single directories durable, out of order with everything else.
"""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import faultdisk  # noqa: E402
import linux_calls  # noqa: E402
import loopfs  # noqa: E402
import oracle  # noqa: E402
import phases  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

_KEEPS = ("none", "half", "torn", "all")
_WORKERS = ("--jobs", "4")
# Started anew on a volume where it is done already: nothing left to do, refused, or no store any more.
_CODES_WHEN_DONE = {"rollback": (0, 5), "discard": (0, 10)}


class Neighbour(threading.Thread):
    """Somebody else on the volume: calls fsync on every directory there is, again and again."""

    def __init__(self, root: str):
        super().__init__()
        self.root = root
        self._stop_now = threading.Event()

    def run(self):
        while not self._stop_now.wait(0.001):
            for directory, _, _ in os.walk(self.root):
                if self._stop_now.is_set():
                    return
                try:
                    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME)
                except OSError:
                    continue
                try:
                    os.fsync(fd)
                except OSError:  # the power is gone, or the directory
                    pass
                finally:
                    os.close(fd)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stop_now.set()
        self.join()


def with_flags(phase: phases.Phase) -> phases.Phase:
    """The phase on a volume that also holds immutable and append-only files: their flags are cleared on the way."""
    def lead_up(case, root):
        with treegen.Dir(os.path.join(root, "home/al")) as home:
            home.file("frozen", b"immutable\n").flags("frozen", linux_calls.FLAG_IMMUTABLE)
            home.file("appended.log", b"append-only\n").flags("appended.log", linux_calls.FLAG_APPEND)
            with home.dir("frozen-directory") as frozen:
                frozen.file("inside", b"in an immutable directory\n")
            home.flags("frozen-directory", linux_calls.FLAG_IMMUTABLE)
        with treegen.Dir(root) as top:
            with top.dir("opt") as opt:
                opt.file("package", b"in an immutable directory at the top\n")
                opt.file("frozen-conf", b"immutable\n").flags("frozen-conf", linux_calls.FLAG_IMMUTABLE)
            top.flags("opt", linux_calls.FLAG_IMMUTABLE)
        phase.lead_up(case, root)
    return phases.Phase(phase.name, phase.command, phase.done, lead_up, phase.good_codes, phase.deletes_old)


class Stand:
    """A phase on a filesystem: its golden image on a fault disk, and what an undisturbed run leaves."""

    def __init__(self, case: "PowerCase", filesystem: str, phase: phases.Phase):
        self.case = case
        self.phase = phase if filesystem == "ntfs" else with_flags(phase)
        self.filesystem = filesystem
        self.golden = phases.Golden(case, filesystem, self.phase)
        self.before = self.golden.before
        self.volume = case.faulty_volume(filesystem, f"{filesystem}-{phase.name}", self.golden.image)
        self.lost = 0
        self.undisturbed = self._undisturbed()

    def _undisturbed(self) -> dict:
        self.volume.start()
        result = self.command()
        self.case.assertIn(result.code, self.phase.good_codes, result.describe())
        return phases.whole(self.volume.path)

    def command(self, **options) -> run.Result:
        """The phase's command, any exit code."""
        return self.case.holdfast(*self.phase.arguments(self.volume.path), *_WORKERS, expect=None, timeout=120,
                                  **options)

    def comparable(self, entries: dict) -> dict:
        """Directories of the mirror lose what is moved out of them, at a time of its own in each run."""
        if "move" not in self.phase.command:
            return entries
        mirror = oracle.below(entries, os.path.join(cases.STORE, "tree"))
        for fields in mirror.values():
            fields.pop("mtime")
        return entries | mirror

    def state(self) -> str:
        status = self.case.holdfast("status", self.volume.path, expect=(0, 3, 10))
        return "" if status.code == 10 else status.summary["state"]

    def close(self):
        self.volume.close()
        os.unlink(self.golden.image)


class PowerCase(cases.VolumeCase):
    def faulty_volume(self, filesystem: str, name: str, image: str) -> faultdisk.FaultyVolume:
        try:
            volume = faultdisk.FaultyVolume(filesystem, self.scratch.path, name, image)
        except loopfs.Unavailable as reason:
            self.skip_loudly(f"{filesystem}: {reason}")
        self.addCleanup(volume.close)
        return volume

    def dice(self) -> random.Random:
        """Seeded for this test; the seed is in its output."""
        self.seed = fault_table.seed()
        print(f"seed {self.seed} (HOLDFAST_SEED)", flush=True)
        return random.Random(f"{self.seed} {self.id()}")

    # What must hold after the power came back.

    def check_after(self, stand: Stand, result: run.Result):
        """Nothing without a name; what was reported done is done; what was not is an I/O error, and no other."""
        after = phases.whole(stand.volume.path)
        lost = phases.losses(stand.phase, stand.before, after)
        stand.lost += len(lost)
        self.assertEqual(lost, [], f"content lost\n{result.describe()}")
        if result.code in stand.phase.good_codes:
            self.assertIn(stand.state(), stand.phase.done, f"was reported done\n{result.describe()}")
            self.assert_as_undisturbed(stand, after, f"was reported done\n{result.describe()}")
        else:
            # 12: an unsealed catalog has no checksum, and its map can no longer be read.
            self.assertIn(result.code, (1, 12), result.describe())

    def assert_as_undisturbed(self, stand: Stand, after: dict, message: str):
        differences = phases.differences_at_the_end(stand.comparable(stand.undisturbed), stand.comparable(after))
        if differences:
            shown = "\n".join(differences[:40])
            self.fail(f"{message}\n{len(differences)} differences\n{shown}")

    def run_again(self, stand: Stand):
        """The same command brings it to the same end."""
        phase = stand.phase
        done = stand.state() in phase.done
        codes = phase.good_codes + (_CODES_WHEN_DONE.get(phase.name, ()) if done else ())
        again = stand.command()
        self.assertIn(again.code, codes, again.describe())
        self.assertIn(stand.state(), phase.done, again.describe())
        self.assert_as_undisturbed(stand, phases.whole(stand.volume.path), f"run again\n{again.describe()}")
        if "" not in phase.done:
            self.holdfast("verify", stand.volume.path)

    def check_filesystem(self, stand: Stand):
        stand.volume.unmount()
        self.assertEqual(faultdisk.fsck(stand.filesystem, stand.volume.disk.file), "")


@cases.on("ext4", "xfs", "btrfs")
class PowerCutMixin(PowerCase):
    """On a disk with a volatile write cache."""

    def test_at_any_write_loses_nothing_and_the_command_can_be_run_again(self):
        dice = self.dice()
        for name in phases.NAMES:
            stand = Stand(self, self.filesystem, phases.BY_NAME[name])
            events = self.events_of(stand)
            points = range(1, events + 2) if fault_table.everything() else [dice.randint(1, events)]
            struck = 0
            first = dice.randrange(len(_KEEPS))
            for number in points:
                keep = _KEEPS[(first + number) % len(_KEEPS)]
                neighbour, seed = dice.random() < 0.5, dice.randrange(1 << 32)
                with self.subTest(phase=name, at=number, of=events, keep=keep, neighbour=neighbour, cut_seed=seed):
                    struck += 1
                    self.cut_once(stand, number, keep, seed, neighbour)
            fault_table.note("power cut at a write", name, self.filesystem, struck, stand.lost, self.seed)
            stand.close()

    def events_of(self, stand: Stand) -> int:
        """Writes and flushes of an undisturbed run."""
        stand.volume.start("cache")
        begin = stand.volume.disk.events
        stand.command()
        return max(1, stand.volume.disk.events - begin)

    def cut_once(self, stand: Stand, number: int, keep: str, seed: int, neighbour: bool):
        volume = stand.volume
        volume.start("cache", f"cut-at {number} {keep} {seed}")
        if neighbour:
            with Neighbour(volume.path):
                result = stand.command()
        else:
            result = stand.command()
        volume.cut(keep, seed)  # where the run was shorter than that: right at its end
        volume.revive()
        self.check_after(stand, result)
        self.run_again(stand)
        self.check_filesystem(stand)

    def test_right_after_success_loses_nothing_that_was_reported(self):
        for name in phases.NAMES:
            stand = Stand(self, self.filesystem, phases.BY_NAME[name])
            with self.subTest(phase=name):
                stand.volume.start("cache")
                result = stand.command()
                stand.volume.cut("none")
                self.assertIn(result.code, stand.phase.good_codes, result.describe())
                stand.volume.revive()
                self.check_after(stand, result)
                if "" not in stand.phase.done:
                    self.holdfast("verify", stand.volume.path)
            fault_table.note("power cut after success", name, self.filesystem, 1, stand.lost)
            stand.close()


if __name__ == "__main__":
    cases.main()
