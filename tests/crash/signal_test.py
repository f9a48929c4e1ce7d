#!/usr/bin/env python3
"""Signals, limits and old kernels: a clean end that says what it is, nothing lost, and the next run goes on."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import run  # noqa: E402
import sweep  # noqa: E402

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CODES = (0, 1, 3, 5, 12, 13)


class _Struck(sweep.Struck):
    def some_phases(self, fast: int) -> list:
        wanted = sweep.phases_to_run()
        return wanted if fault_table.everything() else self.dice.sample(wanted, min(fast, len(wanted)))


class Interrupted(_Struck):
    """With several workers, at any moment; slowed down by strace so that there is a moment."""

    def runs(self) -> int:
        return 12 if fault_table.everything() else 2

    def struck(self, swept: sweep.Sweep, signals) -> sweep.Outcome:
        volume = swept.golden.copy()
        # Each sync takes a while, so that a random moment lies in the middle of something.
        prefix = [run.strace(), "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e",
                  "trace=fdatasync,fsync,syncfs,mkdirat,linkat,renameat2,unlinkat", "-e",
                  "inject=fdatasync,fsync,syncfs,mkdirat,linkat,renameat2,unlinkat:delay_enter=2000"]
        arguments = (*swept.phase.arguments(volume.path), "--jobs", "4")
        process = self.holdfast.start(*arguments, prefix=prefix)
        try:
            time.sleep(self.dice.uniform(0.03, 0.5) * run.patience())
            target = _child_of(process.pid)
            for number in signals:
                if target:
                    _send(target, number)
                time.sleep(0.002)
            stdout, stderr = process.communicate(timeout=60 * run.patience())
        except BaseException:
            run.end(process)
            swept.golden.drop(volume)
            raise
        code = 128 - process.returncode if process.returncode < 0 else process.returncode
        result = run.Result(arguments, code, stdout, stderr, bool(stdout.strip()) and code != 137)
        self.holdfast.check_sanitizers(result)
        return sweep.Outcome(volume, result, "")

    def sweep_signals(self, name: str, signals_of):
        for phase in self.some_phases(4):
            with self.subTest(phase=phase.name):
                swept = sweep.Sweep(self, "ext4", phase)
                tally = sweep.Tally(self, name, phase.name, "ext4", self.seed)
                for _ in range(self.runs()):
                    signals = signals_of()

                    def judge(outcome):
                        good = {128 + number for number in signals} | set(phase.good_codes)
                        lost = swept.losses(outcome)
                        wrong = [] if outcome.result.code in good else [outcome.result.describe()]
                        if outcome.result.code in phase.good_codes:
                            wrong += swept.incomplete(outcome)
                        return lost, wrong + swept.healed(outcome)

                    swept.one(tally, signals, lambda: self.struck(swept, signals), judge)
                tally.close()

    def test_by_one_signal(self):
        self.sweep_signals("signal", lambda: [self.dice.choice(_SIGNALS)])

    def test_by_a_second_one_too(self):
        self.sweep_signals("two signals", lambda: [signal.SIGINT, signal.SIGINT])


class ShortOfSomething(_Struck):
    """Limits of the process: memory, descriptors, file size."""

    def limits(self) -> list:
        found = [("RLIMIT_NOFILE", ["--nofile=64:64"]),
                 ("RLIMIT_FSIZE", ["--fsize=60000"]), ("RLIMIT_FSIZE", ["--fsize=1000"])]
        if not run.sanitizers():  # they need descriptors, and their shadow memory alone is more than any limit
            found.append(("RLIMIT_NOFILE", ["--nofile=24:24"]))
            found += [("RLIMIT_AS", [f"--as={megabytes << 20}"]) for megabytes in (48, 96, 200, 1500)]
        return found

    def test_each_phase(self):
        self.need_program("prlimit")
        for phase in self.some_phases(3):
            with self.subTest(phase=phase.name):
                swept = sweep.Sweep(self, "ext4", phase, marker_counts=False)
                for name, options in self.limits():
                    tally = sweep.Tally(self, name, phase.name, "ext4", self.seed)
                    for jobs in (1, 4):
                        swept.one(tally, (options, jobs), lambda: swept.run_with(["prlimit", *options], jobs=jobs),
                                  lambda outcome: self.judged(swept, outcome))
                    tally.close()

    @staticmethod
    def judged(swept, outcome):
        code = outcome.result.code
        lost = swept.losses(outcome)
        # Too little memory to load libraries: the program never ran.
        if code == 127 and "shared librar" in outcome.result.stderr:
            return lost, []
        wrong = [] if code in _CODES else [f"exit {code}\n{outcome.result.describe()}"]
        if code in (0, 3) and not wrong:
            wrong += swept.incomplete(outcome)
        elif code not in (0, 3) and not outcome.result.stderr.strip():
            wrong.append(f"exit {code} without a word")
        return lost, wrong + swept.healed(outcome)


class OnAnOldKernel(_Struck):
    """Calls that are not there, or know no flags: the same result by another way, or a clear refusal."""

    LACKING = (("openat2", "ENOSYS"), ("renameat2", "ENOSYS"), ("renameat2", "EINVAL"), ("copy_file_range", "ENOSYS"),
               ("copy_file_range", "EXDEV"), ("close_range", "ENOSYS"), ("fadvise64", "ENOSYS"), ("syncfs", "ENOSYS"),
               ("statx", "ENOSYS"), ("getrandom", "ENOSYS"))

    def test_each_phase(self):
        for phase in self.some_phases(3):
            with self.subTest(phase=phase.name):
                swept = sweep.Sweep(self, "ext4", phase, marker_counts=False)
                tally = sweep.Tally(self, "a call that is not there", phase.name, "ext4", self.seed)
                for call, error in self.LACKING:
                    jobs = self.dice.choice((1, 4))
                    swept.one(tally, f"{call} {error}",
                              lambda: swept.strike(call, "1+", f"error={error}", jobs=jobs),
                              lambda outcome: self.judged(swept, outcome, call))
                tally.close()

    @staticmethod
    def judged(swept, outcome, call):
        code = outcome.result.code
        lost = swept.losses(outcome)
        if "(INJECTED)" not in outcome.log:
            return None  # this phase does without
        wrong = []
        if code in (0, 3):
            wrong += swept.incomplete(outcome)
        elif code not in _CODES or not outcome.result.stderr.strip():
            wrong.append(f"exit {code}\n{outcome.result.describe()}")
        if call == "renameat2" and code != swept.code:
            wrong.append(f"exit {code}, with renameat2 {swept.code}")
        if call == "syncfs":
            swept.mount_anew_if_refused(outcome)
        return lost, wrong + swept.healed(outcome)


def _child_of(pid: int) -> int:
    """The traced program: strace's only child. 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            found = children.read().split()
    except OSError:
        return 0
    return int(found[0]) if found else 0


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    cases.main()
