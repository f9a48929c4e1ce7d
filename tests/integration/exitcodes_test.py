#!/usr/bin/env python3
"""One cause, one code: each exit code of the command line is produced, and two runs do not collide."""

import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import linux_calls  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402


def inject(call: str, what: str, trace: str = "/dev/null") -> list:
    return [run.strace(), "-f", "-qq", "-o", trace, "-e", f"trace={call}", "-e", f"inject={call}:{what}"]


def stopped_in(trace: str) -> bool:
    if not os.path.exists(trace):
        return False
    with open(trace, encoding="utf-8", errors="replace") as file:
        return "stopped by SIGSTOP" in file.read()


class ExitCodes(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.root = self.system()

    def test_0_done(self):
        self.capture(self.root, expect=0)
        self.holdfast("find", self.root, "--name", "no-such-name", expect=0)

    def test_1_failed(self):
        self.need_program("strace")
        result = self.capture(self.root, prefix=inject("syncfs", "error=EIO"), expect=1)
        self.assertFalse(result.summary["durable"])
        self.assertTrue(result.summary["error"])

    def test_1_read_only_volume(self):
        volume = self.volume("read-only")
        treegen.build_users(volume.path)
        volume.remount("ro")
        self.holdfast("capture", volume.path, "--everything", expect=1)

    def test_2_usage(self):
        for arguments in (("capture", self.root, "--users", "nobody-has-this-name"), ("capture",), ("frobnicate", self.root), ("capture", "--no-such"),
                          ("capture", self.root, "--include", "!home"), ("find", self.root),
                          ("restore", self.root, "--mode", "teleport"), ("wipe", self.root, "--need", "many"),
                          ("capture", self.root, "--everything", "--jobs", "0"), (),
                          ("capture", self.root, self.canary, "--everything", "--store", "/nowhere")):
            before = self.record(self.root)
            self.holdfast(*arguments, expect=2, json_output=False)
            self.assertNotIn(cases.STORE, os.listdir(self.root), arguments)
            self.assert_nothing_moved(before, self.root)

    def test_2_rules_for_what_is_no_system(self):
        home = os.path.join(self.root, "home")
        result = self.holdfast("capture", home, expect=2)
        self.assertIn("etc/passwd", result.stderr)
        self.assertNotIn(cases.STORE, os.listdir(home))

    def test_2_root_that_does_not_exist(self):
        self.holdfast("capture", os.path.join(self.root, "nowhere"), "--everything", expect=(1, 2), json_output=False)

    def test_3_gaps(self):
        result = self.holdfast("capture", self.root, "--include", "home", "--include", "no/such", expect=3)
        self.assertIn("no/such", result.paths_of("missed"))
        self.assertEqual(result.summary["missed"], 1)

    def test_3_unreadable_directory_is_a_gap(self):
        self.need_program("strace")
        prefix = inject("getdents64", "error=EIO:when=4")
        result = self.capture(self.root, "--jobs", "1", prefix=prefix, expect=3)
        self.assertEqual(len(result.problems_of("missed")), 1, result.describe())
        self.assertEqual(result.problems_of("missed")[0]["errno"], 5)

    def test_3_modified_since_capture(self):
        self.capture(self.root)
        with open(os.path.join(self.root, "home/al/letter.txt"), "ab") as file:
            file.write(b"ps")
        result = self.holdfast("verify", self.root, expect=3)
        self.assertEqual(result.summary["modified"], 1)

    def test_3_conflicts(self):
        self.capture(self.root)
        self.wipe(self.root)
        treegen.build_image(self.root)
        self.restore(self.root, expect=3)

    def test_4_damage(self):
        self.capture(self.root)
        os.unlink(self.store_path(self.root, "tree", "home/al/letter.txt"))
        result = self.holdfast("verify", self.root, expect=4)
        self.assertEqual(result.summary["missing"], 1)

    def test_5_refused(self):
        self.capture(self.root)
        result = self.holdfast("wipe", self.root, expect=5)
        self.assertTrue(result.reason_codes)

    def test_10_no_store(self):
        for command in (("verify",), ("ls",), ("find", "--name", "x"), ("restore",), ("wipe", "--yes"),
                        ("rollback", "--yes"), ("seal",), ("status",)):
            self.holdfast(command[0], self.root, *command[1:], expect=10)

    def test_12_damaged_catalog(self):
        self.capture(self.root)
        path = self.store_path(self.root, "catalog", "data.mdb")
        try:
            linux_calls.change_flags(path, remove=linux_calls.FLAG_IMMUTABLE)
        except OSError:
            pass
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            file.write(b"\x5a" * 512)
        for command in (("verify",), ("verify", "--quick"), ("wipe", "--yes"), ("restore",)):
            self.holdfast(command[0], self.root, *command[1:], expect=12)
        self.holdfast("status", self.root, expect=None)

    def test_12_damaged_state(self):
        self.capture(self.root)
        path = self.store_path(self.root, "state.json")
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            file.write(b"\0" * size)
        for command in (("capture",), ("verify",), ("wipe", "--yes"), ("status",)):
            self.holdfast(command[0], self.root, *command[1:], expect=12)
        self.assertTrue(os.path.exists(self.store_path(self.root, "tree", "home/al/letter.txt")))

    def test_12_mirror_without_a_state(self):
        self.capture(self.root)
        os.unlink(self.store_path(self.root, "state.json"))
        for command in (("capture", *treegen.INCLUDES), ("verify",), ("wipe", "--yes")):
            self.holdfast(command[0], self.root, *command[1:], expect=12)

    def test_12_newer_format(self):
        self.capture(self.root)
        path = self.store_path(self.root, "state.json")
        with open(path, "rb") as file:
            content = file.read()
        newer = re.sub(rb'"format"\s*:\s*1\b', b'"format":9', content)
        self.assertNotEqual(newer, content, "state.json names no format")
        with open(path, "r+b") as file:
            file.write(newer)
        self.holdfast("verify", self.root, expect=12)

    def test_13_not_enough_space(self):
        self.capture(self.root)
        result = self.holdfast("wipe", self.root, "--yes", "--need", "5T", expect=13)
        self.assertEqual(result.summary["needed_bytes"], 5 << 40)
        self.assertIn("free_bytes", result.summary)

    def test_13_full_volume(self):
        volume = self.volume("full", megabytes=24)
        treegen.build_users(volume.path)
        with open(os.path.join(volume.path, "filler"), "wb") as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
                    file.flush()
            except OSError:
                pass
        before = self.record(volume.path)
        self.holdfast("capture", volume.path, *treegen.INCLUDES, expect=13)
        self.assert_nothing_moved(before, volume.path)
        os.unlink(os.path.join(volume.path, "filler"))
        self.holdfast("capture", volume.path, *treegen.INCLUDES)


class Signals(cases.VolumeCase):
    """128+n, and the same command finishes the job."""

    def setUp(self):
        super().setUp()
        self.need_program("strace")
        self.root = self.system()

    def ended_by(self, name: str, call: str, number: int, *arguments):
        prefix = inject(call, f"signal={name}:when={number}")
        code = 128 + getattr(signal, "SIG" + name)
        return self.holdfast(*arguments, "--jobs", "1", prefix=prefix, expect=code)

    def test_130_capture_goes_on_after_an_interrupt(self):
        before = self.record(self.root)
        self.ended_by("INT", "linkat", 12, "capture", self.root, *treegen.INCLUDES)
        self.assertIn(self.state(self.root), ("capturing", "linked"))
        self.assert_nothing_moved(before, self.root)
        self.capture(self.root)
        self.holdfast("verify", self.root)

    def test_143_capture_goes_on_after_a_termination(self):
        self.ended_by("TERM", "linkat", 12, "capture", self.root, *treegen.INCLUDES)
        self.capture(self.root)
        self.holdfast("verify", self.root)

    def test_130_wipe_goes_on(self):
        before = self.record(self.root)
        self.capture(self.root)
        self.ended_by("INT", "renameat2", 4, "wipe", self.root, "--yes")
        self.assertEqual(self.state(self.root), "wiping")
        self.wipe(self.root)
        self.assert_old_system_in_aside(before, self.root)

    def test_130_restore_goes_on(self):
        before = self.record(self.root)
        self.capture(self.root)
        self.wipe(self.root)
        self.ended_by("INT", "linkat", 9, "restore", self.root)
        self.restore(self.root)
        self.assert_selected_same(before, self.root)

    def test_130_seal_goes_on_where_it_was(self):
        """Hashing is interrupted, too: what has its hash is not read again."""
        self.capture(self.root, "--hash", "later")
        inodes = {entry["inode"] for entry in self.holdfast("ls", self.root).listed if entry["type"] == "file"}
        self.ended_by("INT", "pread64", 25, "seal", self.root)
        second = self.holdfast("seal", self.root).summary
        self.assertEqual(second["state"], "sealed")
        self.assertLess(second["hashed_files"], len(inodes))
        self.holdfast("verify", self.root)


class TwoAtOnce(cases.VolumeCase):
    """The second holdfast on one store learns who holds it; status works meanwhile."""

    def setUp(self):
        super().setUp()
        self.need_program("strace")
        self.root = self.system()
        # Stops itself at the fifth link, with the lock in its hands.
        trace = os.path.join(self.scratch.path, "trace")
        prefix = inject("linkat", "signal=STOP:when=5", trace)
        self.first = self.holdfast.start("capture", self.root, *treegen.INCLUDES, "--jobs", "1", prefix=prefix)
        run.wait_until(lambda: stopped_in(trace), what="the first holdfast to stop")
        with open(f"/proc/{self.first.pid}/task/{self.first.pid}/children", encoding="ascii") as file:
            self.pid = int(file.read().split()[0])
        self.addCleanup(self.end_both)

    def end_both(self):
        """The traced program does not end with its tracer."""
        if self.first.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.first.communicate(timeout=20)

    def go_on(self):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_11_the_second_says_who_holds_the_store(self):
        for command in (("capture", *treegen.INCLUDES), ("wipe", "--yes"), ("verify",), ("restore",),
                        ("discard", "--yes"), ("seal",)):
            result = self.holdfast(command[0], self.root, *command[1:], expect=11)
            self.assertIn(str(self.pid), result.text + result.stderr, "the owner's process id")

    def test_status_works_meanwhile(self):
        result = self.holdfast("status", self.root, expect=None)
        self.assertEqual(result.summary["state"], "capturing")

    def test_wait_lock_waits(self):
        second = self.holdfast.start("capture", self.root, *treegen.INCLUDES, "--wait-lock", "60")
        self.addCleanup(run.end, second)
        try:
            second.wait(0.7)
            self.fail("did not wait for the lock")
        except subprocess.TimeoutExpired:
            pass
        self.go_on()
        out, err = self.first.communicate(timeout=60 * run.patience())
        self.assertEqual(self.first.returncode, 0, (out[-500:], err[-500:]))
        out, err = second.communicate(timeout=60 * run.patience())
        self.assertEqual(second.returncode, 0, (out[-500:], err[-500:]))

    def test_the_first_is_not_disturbed(self):
        self.holdfast("wipe", self.root, "--yes", expect=11)
        self.go_on()
        self.first.communicate(timeout=60 * run.patience())
        self.assertEqual(self.first.returncode, 0)
        self.holdfast("verify", self.root)

    def test_readers_share(self):
        self.go_on()
        self.first.communicate(timeout=60 * run.patience())
        readers = [self.holdfast.start("verify", self.root) for _ in range(3)]
        for reader in readers:
            self.addCleanup(run.end, reader)
        for reader in readers:
            reader.communicate(timeout=60 * run.patience())
            self.assertEqual(reader.returncode, 0)


class StateFileHasRoom(cases.VolumeCase):
    """Labels that would leave a store without room for its next states are refused while it is harmless."""

    def test_2_labels_that_leave_no_room(self):
        root = self.system()
        result = self.capture(root, "--label", "k=" + "x" * 30000, expect=2)
        self.assertIn("do not fit", f"{result.stderr}{result.text}")
        self.capture(root, "--label", "k=" + "x" * 20000)
        self.wipe(root, "--delete")
        self.restore(root)


if __name__ == "__main__":
    cases.main()
