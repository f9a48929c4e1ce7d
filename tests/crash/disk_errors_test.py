#!/usr/bin/env python3
"""Disks that answer with errors: the first failed barrier ends the run, and what cannot be read is listed.

Linux reports a failed write once: a second syncfs succeeds with nothing written. So holdfast must not try again, not in
the same run and not in the next one, until the volume was mounted anew.
"""

import errno
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import linux_calls  # noqa: E402
import oracle  # noqa: E402
import phases  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402
from stand import IO_ERRORS, Stand, StandCase  # noqa: E402

_SYNCFS = re.compile(r"syncfs\(.*?= (-1|0)|syncfs resumed>\) *= (-1|0)")
_VICTIM = "home/bo/work/paper-9"


class TracedCase(StandCase):
    def setUp(self):
        super().setUp()
        self.need_program("strace")
        self.trace = os.path.join(self.scratch.path, "trace")

    def traced(self, *inject) -> list:
        """A prefix that writes every syncfs down."""
        return [run.strace(), "-f", "-qq", "--seccomp-bpf", "-o", self.trace, "-e", "trace=syncfs", *inject]

    def barriers(self) -> list:
        """What each syncfs of the last run gave: True or False."""
        with open(self.trace, encoding="utf-8", errors="replace") as trace:
            answers = (_SYNCFS.search(line) for line in trace)
            return [(answer.group(1) or answer.group(2)) == "0" for answer in answers if answer]

    def assert_the_first_failure_is_the_last_call(self, result: run.Result):
        answers = self.barriers()
        if False in answers:
            self.assertEqual(answers.index(False), len(answers) - 1, f"a second syncfs\n{result.describe()}")
            self.assertEqual(result.code, 1, result.describe())

    def assert_refused_on_this_mount(self, stand: Stand):
        """The same command, and wipe."""
        for command in (stand.phase.arguments(stand.volume.path), ["wipe", stand.volume.path, "--yes"]):
            again = self.holdfast(*command, expect=None)
            self.assertIn(again.code, (5, 10), again.describe())
            # A rollback whose last barrier failed has nothing left to roll back; wipe then gives the reason.
            rolled_back = command[0] == "rollback" and stand.state() in stand.phase.done
            expected = "wrong-state" if rolled_back else "barrier-failed"
            if (command[0] == stand.phase.command[0] or stand.state() == "sealed") and again.code == 5:
                self.assertIn(expected, again.reason_codes, again.describe())


@cases.on("ext4", "btrfs")
class FailedBarrierMixin(TracedCase):
    """Each syncfs of each command answers EIO in its turn; all else works, as after one lost data page."""

    def test_ends_the_run_and_the_next_ones_until_the_volume_is_mounted_anew(self):
        dice = self.dice()
        for name in phases.NAMES if fault_table.everything() else dice.sample(phases.NAMES, 5):
            stand = Stand(self, self.filesystem, phases.BY_NAME[name])
            stand.volume.start()
            stand.command(prefix=self.traced())
            count = len(self.barriers())
            self.assertGreater(count, 0, f"{name} has no barrier")
            points = range(1, count + 1) if fault_table.everything() else [dice.randint(1, count)]
            for number in points:
                with self.subTest(phase=name, barrier=number, of=count):
                    self.fail_barrier(stand, number)
            fault_table.note("failed barrier", name, self.filesystem, len(points), stand.lost, self.seed)
            stand.close()

    def fail_barrier(self, stand: Stand, number: int):
        stand.volume.start()
        # One thread: strace counts calls by thread.
        result = self.holdfast(*stand.phase.arguments(stand.volume.path), "--jobs", "1", expect=1,
                               prefix=self.traced("-e", f"inject=syncfs:error=EIO:when={number}"))
        self.assertEqual(self.barriers(), [True] * (number - 1) + [False], result.describe())
        if stand.state():  # of discard's last barrier on, there is no store that could refuse
            self.assert_refused_on_this_mount(stand)
        stand.volume.unmount()
        stand.volume.mount()
        self.check_after(stand, result)
        self.run_again(stand)
        self.check_filesystem(stand)


@cases.on("ext4", "xfs", "btrfs")
class DiskErrorsMixin(TracedCase):
    """A disk that takes no more writes, has no room, or has bad blocks."""

    def test_write_errors_from_any_write_on_lose_nothing(self):
        self.failing_writes("write errors", errno.EIO)

    def test_a_full_disk_below_the_filesystem_loses_nothing(self):
        self.failing_writes("disk full below", errno.ENOSPC)

    def failing_writes(self, fault: str, error: int):
        dice = self.dice()
        names = phases.NAMES if fault_table.everything() else dice.sample(phases.NAMES, 2)
        for name in names:
            stand = Stand(self, self.filesystem, phases.BY_NAME[name])
            stand.volume.start()
            begin = stand.volume.disk.events
            stand.command()
            events = max(1, stand.volume.disk.events - begin)
            count = 6 if fault_table.everything() else 1
            points = sorted({dice.randint(1, events) for _ in range(count)})
            for number in points:
                with self.subTest(phase=name, fails_from_write=number, of=events):
                    stand.volume.start(f"fail-writes {number} {error}")
                    result = stand.command(prefix=self.traced())
                    self.assert_the_first_failure_is_the_last_call(result)
                    stand.volume.disk.do("heal")
                    stand.volume.unmount()
                    stand.volume.mount()
                    self.check_after(stand, result, codes=(*IO_ERRORS, 13))
                    self.run_again(stand)
                    self.check_filesystem(stand)
            fault_table.note(fault, name, self.filesystem, len(points), stand.lost, self.seed)
            stand.close()

    def victim_on_bad_blocks(self, stand: Stand, verb: str, path: str = _VICTIM) -> str:
        victim = os.path.join(stand.volume.path, path)
        self.assertGreater(stand.volume.bad_extents(victim, verb), 0)
        return victim

    def test_a_neighbours_lost_page_fails_the_barrier(self):
        """What somebody else wrote into a captured file cannot be written: syncfs says so, once."""
        names = ("capture-again", "wipe", "restore-link", "discard")
        for name in names if fault_table.everything() else names[-2:]:
            phase = phases.BY_NAME[name]
            stand = Stand(self, self.filesystem, self.with_victim(phase))
            with self.subTest(phase=name):
                stand.volume.start()
                victim = os.path.join(stand.volume.path, "home/al/victim")
                if not os.path.exists(victim):  # after wipe: only the store has it
                    victim = os.path.join(stand.volume.path, cases.STORE, "tree/home/al/victim")
                self.assertGreater(stand.volume.bad_extents(victim, "bad-write"), 0)
                before = os.stat(victim)
                with open(victim, "r+b") as file:  # in place: the same blocks, also on btrfs (chattr +C)
                    file.write(b"never reaches the disk")
                os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
                result = stand.command(prefix=self.traced())
                self.assertEqual(result.code, 1, result.describe())
                self.assertIn(False, self.barriers(), result.describe())
                self.assert_the_first_failure_is_the_last_call(result)
                self.assert_refused_on_this_mount(stand)
                stand.volume.disk.do("heal")
                stand.volume.unmount()
                stand.volume.mount()
                lost = phases.losses(stand.phase, stand.before, phases.whole(stand.volume.path))
                self.assertEqual(lost, [])
                self.run_again(stand)
                self.check_filesystem(stand)
            fault_table.note("lost page", name, self.filesystem, 1, stand.lost)
            stand.close()

    @staticmethod
    def with_victim(phase: phases.Phase) -> phases.Phase:
        """A file whose blocks are written in place on every filesystem."""
        def lead_up(case, root):
            path = os.path.join(root, "home/al/victim")
            with open(path, "wb") as file:
                linux_calls.change_flags(file.fileno(), add=0x00800000 if case.filesystem == "btrfs" else 0)
                file.write(b"v" * 65536)
            phase.lead_up(case, root)
        return phases.Phase(phase.name, phase.command, phase.done, lead_up, phase.good_codes, phase.deletes_old)

    # Read errors

    def problems_with(self, result: run.Result, path: str) -> list:
        return [problem for problem in result.problems if problem.get("path") == path and
                problem.get("errno") == errno.EIO]

    def test_capture_lists_a_file_that_cannot_be_read_and_holds_it(self):
        stand = Stand(self, self.filesystem, phases.BY_NAME["capture"])
        stand.volume.start()
        self.victim_on_bad_blocks(stand, "bad-read")
        result = stand.command()
        self.assertEqual(result.code, 3, result.describe())
        self.assertTrue(self.problems_with(result, _VICTIM), result.describe())
        refused = self.holdfast("wipe", stand.volume.path, "--yes", expect=5)
        self.assertTrue(refused.reason_codes, refused.describe())
        stand.volume.disk.do("heal")
        self.run_again(stand)
        fault_table.note("read errors", "capture", self.filesystem, 1, 0)

    def test_verify_lists_a_file_that_cannot_be_read(self):
        stand = Stand(self, self.filesystem, phases.BY_NAME["wipe"])
        stand.volume.start()
        self.victim_on_bad_blocks(stand, "bad-read")
        result = self.holdfast("verify", stand.volume.path, expect=4)
        self.assertEqual(result.paths_of("corrupt"), {_VICTIM}, result.describe())
        self.assertTrue(self.problems_with(result, _VICTIM), result.describe())
        stand.volume.disk.do("heal")
        self.run_again(stand)
        fault_table.note("read errors", "verify", self.filesystem, 1, 0)

    def test_restore_by_copy_lists_a_file_that_cannot_be_read_and_keeps_it(self):
        stand = Stand(self, self.filesystem, phases.BY_NAME["restore-copy"])
        stand.volume.start()
        self.victim_on_bad_blocks(stand, "bad-read", os.path.join(cases.STORE, "tree", _VICTIM))
        result = stand.command()
        self.assertIn(result.code, (1, 3, 4), result.describe())
        self.assertTrue(self.problems_with(result, _VICTIM), result.describe())
        self.assertNotEqual(stand.state(), "restored", result.describe())
        stand.volume.disk.do("heal")
        after = phases.whole(stand.volume.path)
        self.assertEqual(phases.losses(stand.phase, stand.before, after), [])
        self.assertNotIn(_VICTIM.encode(), after, "half a copy stands in its place")
        self.run_again(stand)
        fault_table.note("read errors", "restore-copy", self.filesystem, 1, 0)

    def test_a_disk_that_cannot_be_read_any_more_loses_nothing(self):
        dice = self.dice()
        names = phases.NAMES if fault_table.everything() else dice.sample(phases.NAMES, 2)
        for name in names:
            stand = Stand(self, self.filesystem, phases.BY_NAME[name])
            stand.volume.start()
            begin = stand.volume.disk.counters["reads"]
            stand.command()
            reads = stand.volume.disk.counters["reads"] - begin
            points = {dice.randint(1, max(1, reads)) for _ in range(5 if fault_table.everything() else 1)}
            for number in sorted(points):
                with self.subTest(phase=name, fails_from_read=number, of=reads):
                    stand.volume.start(f"fail-reads {number} {errno.EIO}")
                    result = stand.command()
                    if reads:
                        self.assertNotIn(result.code, (0, 2), result.describe())
                    stand.volume.disk.do("heal")
                    stand.volume.unmount()
                    stand.volume.mount()
                    lost = phases.losses(stand.phase, stand.before, phases.whole(stand.volume.path))
                    stand.lost += len(lost)
                    self.assertEqual(lost, [], result.describe())
                    self.run_again(stand)  # no fsck: what ext4 gives up at a read error it may leak
            fault_table.note("read errors from then on", name, self.filesystem, len(points), stand.lost, self.seed)
            stand.close()


class Armed(threading.Thread):
    """ext4 fails the next read of a directory, once: it is told to, again and again."""

    def __init__(self, path: str, code: str):
        super().__init__()
        self.path, self.code = path, code
        self._stop_now = threading.Event()
        self._arm(code)

    def _arm(self, code: str):
        with open(self.path, "w", encoding="ascii") as file:
            file.write(code)

    def run(self):
        while not self._stop_now.wait(0.0005):
            self._arm(self.code)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stop_now.set()
        self.join()
        self._arm("0")


class Ext4Faults(StandCase):
    """Faults that ext4 itself can be told to have."""

    def sysfs(self, volume, name: str) -> str:
        path = f"/sys/fs/ext4/{os.path.basename(volume.device)}/{name}"
        if not os.access(path, os.W_OK):
            self.skip_loudly(f"no {path}")
        return path

    def write(self, path: str, text: str):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    def test_directories_that_cannot_be_listed_are_gaps_and_nothing_in_them_has_vanished(self):
        for code, name in ((7, "EIO"), (8, "EBADMSG")):
            with self.subTest(answer=name):
                volume = self.volume(f"simulate-{name}")
                treegen.build_users(volume.path)
                self.capture(volume.path)
                listed = {entry["path"] for entry in self.holdfast("ls", volume.path).listed}
                for _ in range(5):  # a fast run may read between two armings
                    volume.unmount()
                    volume.mount()
                    with Armed(self.sysfs(volume, "simulate_fail"), str(code)):
                        result = self.holdfast("capture", volume.path, expect=None)
                    if result.code != 0:
                        break
                self.assertIn(result.code, (1, 3), result.describe())
                volume.unmount()
                volume.mount()
                self.capture(volume.path)
                self.assertEqual({entry["path"] for entry in self.holdfast("ls", volume.path).listed}, listed)
                self.assertEqual(oracle.record(self.store_path(volume.path, "dropped")).keys(), {b""})
                self.holdfast("verify", volume.path)
                fault_table.note(f"unlistable directories {name}", "capture-again", "ext4", 1, 0)
                volume.close()

    def test_a_filesystem_that_turns_read_only_loses_nothing(self):
        dice = self.dice()
        names = phases.NAMES if fault_table.everything() else dice.sample(phases.NAMES, 2)
        for name in names:
            stand = Stand(self, "ext4", phases.BY_NAME[name])
            for how in ("remount,abort", "trigger_fs_error"):
                with self.subTest(phase=name, how=how):
                    stand.volume.start()
                    begin = time.monotonic()
                    stand.command()
                    seconds = time.monotonic() - begin
                    stand.volume.start()
                    abort = threading.Timer(dice.random() * seconds, self.turn_read_only, (stand.volume, how))
                    abort.start()
                    result = stand.command()
                    abort.join()
                    stand.volume.unmount()
                    stand.volume.mount()
                    self.check_after(stand, result)
                    self.run_again(stand)
                fault_table.note(f"read-only by {how}", name, "ext4", 1, stand.lost, self.seed)
            stand.close()

    def turn_read_only(self, volume, how: str):
        if how == "trigger_fs_error":
            volume.remount("errors=remount-ro")
            self.write(self.sysfs(volume, how), "x")
        else:
            cases.run_tool("mount", "-o", how, volume.path)


if __name__ == "__main__":
    cases.main()
