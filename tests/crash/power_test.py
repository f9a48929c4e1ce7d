#!/usr/bin/env python3
"""Power cuts at any write of any command, and right after success: nothing is lost, done is done.

A command runs on a disk with a volatile write cache (support/faultdisk.py). At its Nth write or flush the power goes;
what was written since the last flush is lost, kept, or kept in part. Then the volume is mounted again, everything on it
is recorded, and the command is run once more. A neighbour calls fsync on directories meanwhile: on btrfs that makes
single directories durable, out of order with everything else.
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import faultdisk  # noqa: E402
import phases  # noqa: E402
import run  # noqa: E402
from stand import Neighbour, Stand, StandCase  # noqa: E402

_KEEPS = ("none", "half", "torn", "all")
_CUTS = 40  # of each phase on each filesystem, at night


@cases.on("ext4", "xfs", "btrfs")
class PowerCutMixin(StandCase):
    """On a disk with a volatile write cache."""

    def test_at_any_write_loses_nothing_and_the_command_can_be_run_again(self):
        dice = self.dice()
        for name in phases.NAMES:
            stand = Stand(self, self.filesystem, phases.BY_NAME[name])
            events = self.events_of(stand)
            wanted = _CUTS if fault_table.everything() else 1
            points = sorted(dice.sample(range(1, events + 1), min(wanted, events)))
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

    def test_right_after_success_without_barriers_is_noticed(self):
        """The test has teeth: with every sync taken out of the program, what it reports as done is not there."""
        self.need_program("strace")
        syncs = "syncfs,fsync,fdatasync"
        stand = Stand(self, self.filesystem, phases.BY_NAME["rollback"])
        stand.volume.start("cache")
        result = stand.command(prefix=[run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syncs}",
                                       "-e", f"inject={syncs}:retval=0"])
        stand.volume.cut("none")
        self.assertIn(result.code, stand.phase.good_codes, result.describe())
        stand.volume.revive()
        with self.assertRaises(AssertionError):
            self.check_after(stand, result)
        stand.close()


@cases.on("ext4", "xfs")
class ShutdownMixin(StandCase):
    """The filesystem ends in the middle of a command and its log is not flushed; the disk keeps what it was given."""

    def test_at_a_random_time_loses_nothing_and_the_command_can_be_run_again(self):
        dice = self.dice()
        names = phases.NAMES if fault_table.everything() else dice.sample(phases.NAMES, 3)
        for name in names:
            stand = Stand(self, self.filesystem, phases.BY_NAME[name])
            stand.volume.start()
            begin = time.monotonic()
            stand.command()
            seconds = time.monotonic() - begin
            count = 5 if fault_table.everything() else 1
            for _ in range(count):
                delay = dice.random() * seconds
                with self.subTest(phase=name, after_seconds=delay):
                    stand.volume.start()
                    shutdown = threading.Timer(delay, faultdisk.shut_down, (stand.volume.path,))
                    shutdown.start()
                    result = stand.command()
                    shutdown.join()
                    stand.volume.unmount()
                    stand.volume.mount()
                    self.check_after(stand, result)
                    self.run_again(stand)
                    self.check_filesystem(stand)
            fault_table.note("filesystem shut down", name, self.filesystem, count, stand.lost, self.seed)
            stand.close()


if __name__ == "__main__":
    cases.main()
