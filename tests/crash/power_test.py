#!/usr/bin/env python3
"""Power cuts at any write of any command, and right after success: nothing is lost, done is done.

A command runs on a disk with a volatile write cache (support/faultdisk.py). At its Nth write or flush the power goes;
what was written since the last flush is lost, kept, or kept in part. Then the volume is mounted again, everything on it
is recorded, and the command is run once more. A neighbour calls fsync on directories meanwhile: on btrfs that makes
single directories durable, out of order with everything else.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import phases  # noqa: E402
from stand import Neighbour, Stand, StandCase  # noqa: E402

_KEEPS = ("none", "half", "torn", "all")


@cases.on("ext4", "xfs", "btrfs")
class PowerCutMixin(StandCase):
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
