#!/usr/bin/env python3
"""Calls that fail: EIO, ENOSPC and others at each call. Never a crash, a hang, a loss, or an exit 0 that is not true."""

import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import phases  # noqa: E402
import run  # noqa: E402
import sweep  # noqa: E402

_ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.ENOMEM, errno.EINTR, errno.ESTALE)
# Of the store as a whole, not of one entry: when a call that changes the store says so, the run has failed.
_OF_THE_STORE = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.ESTALE)
# Phases whose writes go to the store alone: there no failed one may end as an entry that was missed.
_TAKE_INTO_STORE = ("capture", "capture-again", "seal")
_SYNCS = ("syncfs", "fsync", "fdatasync")
# What a run may end with. 5: a rule that needs what could not be read says no. 12: what could not be read is the
# catalog. Never 2 or 10: neither the command line nor the store's existence is in question.
_CODES = (0, 1, 3, 4, 5, 12, 13)

_FAST = 8
_LOOKING = 0.35
_OTHER_FILESYSTEMS = 0.1


class FailingCalls(sweep.StruckOnEach):
    """strace makes the Nth call of a name fail, once or from there on: the call is not made."""

    def points(self, swept: sweep.Sweep, filesystem: str) -> list:
        # A sanitizer's own allocator maps memory, and gives up where the program would not.
        points = [point for point in swept.points if point.call != "mmap" or not run.sanitizers()]
        modifying = [point for point in points if point.modifies]
        looking = [point for point in points if not point.modifies]
        if not fault_table.everything():
            return sweep.chosen(modifying, _FAST // 2, self.dice) + sweep.chosen(looking, _FAST // 2, self.dice)
        if filesystem == "ext4":
            return modifying + sweep.chosen(looking, int(len(looking) * _LOOKING), self.dice)
        return sweep.chosen(modifying + looking, int(len(swept.points) * _OTHER_FILESYSTEMS), self.dice)

    def judged(self, swept: sweep.Sweep, point: sweep.Point, error: int, lasting: bool, outcome: sweep.Outcome) -> list:
        """What is wrong with how a struck run ended."""
        result = outcome.result
        allowed = list(_CODES)
        if error == errno.EACCES:  # a lock's word for held; and a ROOT that cannot be reached is the caller's mistake
            allowed += {"fcntl": [11], "newfstatat": [2], "getcwd": [2]}.get(point.call, [])
        if result.code not in allowed:
            return [f"exit {result.code}\n{result.describe()}"]
        wrong = []
        if result.code in (0, 3):
            wrong += swept.incomplete(outcome)
        # A write that fails for good takes the words on standard error with it.
        # ESTALE is also our own word for another directory under a mirror's name: exit 4, missing.
        elif not _names(result, error) and not (lasting and point.call in ("write", "writev")) \
                and not (error == errno.ESTALE and result.code == 4) and result.code != 11:
            wrong.append(f"exit {result.code} without saying \"{os.strerror(error)}\": {result.stderr[-300:]!r}")
        if point.modifies and error in _OF_THE_STORE and result.code == 3 and swept.phase.name in _TAKE_INTO_STORE:
            wrong.append("a store that could not be written was taken for an entry that could not be read: exit 3")
        if point.call in _SYNCS:
            wrong += _synced_again(outcome.log)
        return wrong

    def sweep_phase(self, phase, filesystem: str):
        swept = sweep.Sweep(self, filesystem, phase, marker_counts=False)
        tally = sweep.Tally(self, "error at a call", phase.name, filesystem, self.seed)
        for index, point in enumerate(self.points(swept, filesystem)):
            error = self.dice.choice(_ERRORS)
            if point.call == "ioctl" and error == errno.EACCES:
                error = errno.EIO  # EACCES is an answer of filesystems without flags: then the store goes without
            # No kernel interrupts every attempt: calls that are made again until they succeed would never end.
            lasting = self.dice.random() < 0.3 and error != errno.EINTR
            where = f"{sweep.errno_name(error)}{' from' if lasting else ' at'} {point!r}"
            watch = ("syncfs",) if point.call in _SYNCS else ()

            def strike():
                return swept.strike(point.call, f"{point.number}+" if lasting else point.number,
                                    f"error={sweep.errno_name(error)}", watch)

            def judge(outcome, third=index % 8 == 0):
                lost = swept.losses(outcome)
                wrong = [] if "(INJECTED)" in outcome.log else ["the call was not made"]
                wrong += self.judged(swept, point, error, lasting, outcome)
                if point.call in _SYNCS:
                    swept.mount_anew_if_refused(outcome)
                return lost, wrong + swept.healed(outcome, third)

            swept.one(tally, where, strike, judge)
        tally.close()


class FoundOnce(FailingCalls):
    """Points at which a run once went wrong, struck in every run of the tests."""

    def strike_all(self, phase: str, wanted, error: int, lasting: bool = False):
        swept = sweep.Sweep(self, "ext4", phases.BY_NAME[phase], marker_counts=False)
        tally = sweep.Tally(self, "error at a call, found once", phase, "ext4", self.seed)
        for point in filter(wanted, swept.points):
            number = f"{point.number}+" if lasting else point.number
            swept.one(tally, f"{sweep.errno_name(error)}{' from' if lasting else ' at'} {point!r}",
                      lambda point=point, number=number: swept.strike(point.call, number,
                                                                      f"error={sweep.errno_name(error)}"),
                      lambda outcome, point=point: (
                          swept.losses(outcome),
                          self.judged(swept, point, error, lasting, outcome) + swept.healed(outcome)))
        tally.close()

    def test_a_restored_directory_that_could_not_be_given_away_is_given_away_by_the_next_run(self):
        self.strike_all("restore-link", lambda point: point.call == "fchown", errno.EACCES)

    def test_a_restored_directory_that_cannot_be_opened_any_more_is_finished_by_the_next_run(self):
        self.strike_all("restore-link", lambda point: point.call == "openat" and '"photos"' in point.text, errno.EACCES,
                        lasting=True)

    def test_what_cannot_be_looked_at_behind_a_move_is_not_called_missing(self):
        self.strike_all("restore-move", lambda point: point.call == "statx" and any(
            f'"{name}"' in point.text for name in (".profile", "paper-7", "img-3.jpg")), errno.ENOMEM)

    def test_a_store_whose_folders_cannot_be_looked_at_is_not_called_damaged(self):
        self.strike_all("capture", lambda point: point.call == "openat" and "ENOENT" in point.text and any(
            f'"{area}"' in point.text for area in ("tree", "aside", "dropped", "displaced", "failed")), errno.EDQUOT)


# The sweeps over everything are not repeated for them.
FoundOnce.test_on_ext4 = FoundOnce.test_on_xfs = FoundOnce.test_on_btrfs = None


def _names(result, error: int) -> bool:
    """The message has the system's words, or the words that the program has for them."""
    words = [os.strerror(error)]
    if error == errno.ENOMEM:
        words.append("memory")
    if any(problem.get("errno") == error for problem in result.problems):
        return True
    return any(word in result.stderr for word in words)


def _synced_again(log: str) -> list:
    """A sync that failed is final: another one would answer success, with nothing written."""
    lines = log.splitlines()
    first = next((index for index, line in enumerate(lines) if "(INJECTED)" in line), len(lines))
    again = [line for line in lines[first + 1:] if "syncfs(" in line and "(INJECTED)" not in line]
    return [f"synced again after a failed sync: {again}"] if again else []


if __name__ == "__main__":
    cases.main()
