#!/usr/bin/env python3
"""Races that were found once, held open by strace: what the user does falls into one known window every time."""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import linux_calls  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402


class Windows(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.need_root()
        self.need_program("strace")
        self.root = self.volume(megabytes=64).path

    def path(self, *parts) -> str:
        return os.path.join(self.root, *parts)

    def in_window(self, injection: str, is_open, act, *arguments, expect=None):
        """Runs a command whose calls wait (`injection`); once is_open(), and a moment later, act()."""
        done = []

        def wait_and_act():
            run.wait_until(is_open, 20, "the window")
            time.sleep(0.15)
            act()
            done.append(True)

        actor = threading.Thread(target=wait_and_act)
        actor.start()
        try:
            prefix = [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + injection.split(":")[0],
                      "-e", "inject=" + injection]
            result = self.holdfast(*arguments, "--jobs", "1", prefix=prefix, expect=expect)
        finally:
            actor.join(60)
        self.assertTrue(done, "nothing was done in the window")
        return result

    def test_a_directory_that_became_a_symlink_after_it_was_listed_is_missed(self):
        """What stands there now was never looked at: that is not `vanished`."""
        with treegen.Dir(self.root) as top, top.dir("home") as home:
            home.dir("victim").__exit__()
            home.symlink("way-out", self.canary)
        result = self.in_window(
            "getdents64:delay_exit=500000", lambda: os.path.isdir(self.store_path(self.root, "tree/home")),
            lambda: linux_calls.exchange(self.path("home/victim"), self.path("home/way-out")),
            "capture", self.root, "--include", "home", expect=3)
        self.assertEqual(result.paths_of("missed"), {"home/victim", "home/way-out"}, result.describe())
        self.holdfast("capture", self.root)
        fault_table.note("race", "capture", "ext4", 1)

    def test_a_directory_that_is_swapped_with_a_symlink_all_the_time_leads_nowhere(self):
        """Each look at it may see the one, and the next call the other: nothing behind the symlink gets a second name."""
        self.root = self.volume("wide", megabytes=256).path  # a store a run
        inside, near = self.path("root"), self.path("near")
        with treegen.Dir(self.root) as top:
            with top.dir("near") as beside:
                beside.file("precious", b"on the same mount, outside of ROOT")
            with top.dir("root") as root, root.dir("home") as home:
                with home.dir("victim") as victim:
                    victim.file("precious", b"inside")
                home.symlink("way-out", near)
        stop = threading.Event()
        dice = random.Random(fault_table.seed())

        def swap():
            while not stop.wait(dice.uniform(0.001, 0.012)):  # out of step with the calls
                linux_calls.exchange(os.path.join(inside, "home/victim"), os.path.join(inside, "home/way-out"))

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            for number in range(25):
                store = self.path(f"store-{number}")
                prefix = [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=statx,getdents64",
                          "-e", "inject=statx,getdents64:delay_exit=7000"]
                self.holdfast("capture", inside, "--include", "home", "--store", store, "--jobs", "1", prefix=prefix,
                              expect=(0, 3))
                self.assertEqual(os.stat(os.path.join(near, "precious")).st_nlink, 1, f"linked in run {number}")
        finally:
            stop.set()
            swapper.join(60)
        fault_table.note("race", "capture", "ext4", 25)

    def test_what_appears_between_plan_and_move_is_listed(self):
        """The plan does not name it, so it stays in ROOT, where the image will be laid on: somebody must know."""
        with treegen.Dir(self.root) as top, top.dir("home") as home:
            home.file("kept", b"kept").file("planned", b"planned")
        self.holdfast("capture", self.root, "--include", "home")
        result = self.in_window(
            "renameat2:delay_enter=500000", lambda: os.path.isdir(os.path.join(self.aside(self.root), "home")),
            lambda: treegen.Dir(self.path("home")).file("late", b"written while the wipe ran"),
            "wipe", self.root, "--yes", "--keep", "home/kept", expect=3)
        self.assertEqual(result.paths_of("left"), {"home/late"}, result.describe())
        self.assertTrue(os.path.exists(self.path("home/late")))
        fault_table.note("race", "wipe", "ext4", 1)

    def test_entries_exchanged_under_the_rename_stay_and_are_listed(self):
        with treegen.Dir(self.root) as top, top.dir("home") as home:
            home.file("kept", b"kept")
            for name in ("one", "two"):
                with home.dir(name) as inner:
                    inner.file("file", f"content of {name}\n")
        before = self.record(self.root)
        self.holdfast("capture", self.root, "--include", "home")
        result = self.in_window(
            "renameat2:delay_enter=500000", lambda: os.path.isdir(os.path.join(self.aside(self.root), "home")),
            lambda: linux_calls.exchange(self.path("home/one"), self.path("home/two")),
            "wipe", self.root, "--yes", "--keep", "home/kept", expect=3)
        left = result.paths_of("left")
        self.assertEqual(left, {"home/one", "home/two"}, result.describe())
        # The user undoes it: the same wipe, run again, finishes, and rollback has everything back.
        linux_calls.exchange(self.path("home/one"), self.path("home/two"))
        self.wipe(self.root)
        self.assertEqual(os.listdir(self.path("home")), ["kept"])
        self.holdfast("rollback", self.root, "--yes")
        self.assert_nothing_moved(before, self.root)
        fault_table.note("race", "wipe", "ext4", 1)


if __name__ == "__main__":
    cases.main()
