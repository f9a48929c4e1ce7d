#!/usr/bin/env python3
"""Killed before any call that modifies something: nothing lost, and the same command finishes the job."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import run  # noqa: E402
import sweep  # noqa: E402

# Points of a phase in the sample; of calls that only look, and on the filesystems that are sampled, in the full run.
_FAST = 7
_LOOKING = 0.08
_OTHER_FILESYSTEMS = 0.15


class KilledAtACall(sweep.StruckOnEach):
    """strace kills holdfast as it enters the Nth call of a name: the call is not made."""

    def points(self, swept: sweep.Sweep, filesystem: str) -> list:
        modifying = [point for point in swept.points if point.modifies]
        looking = [point for point in swept.points if not point.modifies]
        if not fault_table.everything():
            return sweep.chosen(modifying, _FAST - 1, self.dice) + sweep.chosen(looking, 1, self.dice)
        if filesystem == "ext4":
            return modifying + sweep.chosen(looking, int(len(looking) * _LOOKING), self.dice)
        return sweep.chosen(modifying, int(len(modifying) * _OTHER_FILESYSTEMS), self.dice)

    def sweep_phase(self, phase, filesystem: str):
        swept = sweep.Sweep(self, filesystem, phase)
        tally = sweep.Tally(self, "SIGKILL at a call", phase.name, filesystem, self.seed)
        for index, point in enumerate(self.points(swept, filesystem)):
            def judge(outcome, third=index % 8 == 0):
                if outcome.result.code != 137:
                    return [], [f"not killed: exit {outcome.result.code}"]
                return swept.losses(outcome), swept.healed(outcome, third)

            swept.one(tally, point, lambda: swept.strike(point.call, point.number, "signal=KILL"), judge)
        tally.close()


if __name__ == "__main__":
    cases.main()
