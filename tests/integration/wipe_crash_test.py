#!/usr/bin/env python3
"""wipe killed between any two renames, an image laid on, wipe again: the image is untouched, aside/ complete."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import oracle  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

# More kill points than a wipe of the small old system has renames; reaching it is a failure of the test.
_LIMIT = 200


def lay_partial_image(root: str, tag: str) -> list:
    """An image where the wipe has made room: also under names that were planned and are gone already."""
    laid = []
    for name in ("etc", "usr", "home", "bin", "vmlinuz", "image-only"):
        path = os.path.join(root, name)
        if os.path.lexists(path):
            continue
        os.mkdir(path)
        with treegen.Dir(path) as directory:
            directory.file("of-the-image", f"{tag} {name}\n")
            with directory.dir("al") as inner:
                inner.file("letter.txt", b"the image's letter")
        laid.append(name)
    return laid


class _Crashing(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.need_program("strace")

    def every_kill(self, call: str, *arguments, start: int = 1):
        """Yields (ROOT, record before, number) after each kill, until a run is too short for the number."""
        for number in range(start, _LIMIT):
            root, before = self.ready_volume(number)
            result = run.killed_at(self.holdfast, call, number, *arguments[:1], root, *arguments[1:])
            if result.code != 137:
                self.assertEqual(result.code, 0, result.describe())
                self.assertGreater(number, start, f"no {call} was ever made")
                return
            yield root, before, number
            self.done_with_volume()
        self.fail(f"more than {_LIMIT} calls of {call}")

    def ready_volume(self, number: int):
        self.current = self.volume(f"v{number}")
        root = self.current.path
        treegen.build_old_system(root)
        treegen.build_users(root)
        before = self.record(root)
        self.capture(root)
        return root, before

    def done_with_volume(self):
        self.current.close()
        if os.path.exists(self.current.image):
            os.unlink(self.current.image)


@cases.on("ext4", "btrfs")
class KilledWipeMixin(_Crashing):
    def test_after_an_image_was_put_on(self):
        for root, before, number in self.every_kill("renameat2", "wipe", "--yes"):
            state = self.state(root)
            with self.subTest(killed_before_rename=number, state=state):
                if state == "sealed":  # the plan was not durable yet: nothing may have moved
                    self.assert_nothing_moved(before, root)
                    continue
                laid = lay_partial_image(root, f"run {number}")
                image = oracle.below(self.record(root), *laid)
                again = self.wipe(root, expect=(0, 3))
                self.assertEqual(again.summary["state"], "wiped")
                self.assert_same(image, oracle.below(self.record(root), *laid), ("atime",), "the image was touched")
                self.assert_empty_around_store(root, *laid)
                self.assert_old_system_in_aside(before, root)
                self.holdfast("verify", root)
                self.restore(root, expect=(0, 3))
                if "home" in laid:
                    os.unlink(os.path.join(root, "home/of-the-image"))
                self.assert_selected_same(before, root, ("nlink", "mtime") if "home" in laid else ("nlink",))

    def test_run_again_at_once(self):
        for root, before, number in self.every_kill("renameat2", "wipe", "--yes"):
            with self.subTest(killed_before_rename=number):
                self.wipe(root)
                self.assert_empty_around_store(root)
                self.assert_old_system_in_aside(before, root)
                self.restore(root)
                self.assert_selected_same(before, root)

    def test_rollback_instead(self):
        for root, before, number in self.every_kill("renameat2", "wipe", "--yes"):
            with self.subTest(killed_before_rename=number):
                if self.state(root) == "sealed":
                    continue
                self.holdfast("rollback", root, "--yes")
                self.assert_nothing_moved(before, root)
                self.assertEqual(self.state(root), "sealed")


class KilledAtASync(_Crashing):
    """Between the barriers of wipe and restore, where the journal and the state change."""

    def sweep(self, call: str):
        for root, before, number in self.every_kill(call, "wipe", "--yes"):
            with self.subTest(killed_before=call, number=number):
                self.wipe(root)
                self.assert_empty_around_store(root)
                self.assert_old_system_in_aside(before, root)
                self.restore(root)
                self.assert_selected_same(before, root)

    def test_wipe_killed_before_any_fdatasync(self):
        self.sweep("fdatasync")

    def test_wipe_killed_before_any_syncfs(self):
        self.sweep("syncfs")


class KilledElsewhere(_Crashing):
    """The other commands: killed at a sample of their calls, then run again to the end."""

    def test_capture(self):
        for number in (1, 2, 7, 20, 45):
            with self.subTest(killed_before_link=number):
                root = self.system(f"capture-{number}")
                before = self.record(root)
                killed = run.killed_at(self.holdfast, "linkat", number, "capture", root, *treegen.INCLUDES)
                self.assertEqual(killed.code, 137, killed.describe())
                self.assert_nothing_moved(before, root)
                self.capture(root)
                self.holdfast("verify", root)
                self.wipe(root)
                self.restore(root)
                self.assert_selected_same(before, root)

    def test_capture_of_immutable_files(self):
        """The flag is journalled before it is cleared: after the next run it is set again."""
        for number in range(1, 4):
            with self.subTest(killed_before_link=number):
                root = self.volume(f"flags-{number}").path
                with treegen.Dir(root) as top, top.dir("home") as home:
                    for name in ("a", "b", "c"):
                        home.file(name, name).flags(name, 0x10)
                before = self.record(root)
                killed = run.killed_at(self.holdfast, "linkat", number, "capture", root, "--include", "home")
                self.assertEqual(killed.code, 137, killed.describe())
                self.capture(root, "--include", "home")
                self.assert_nothing_moved(before, root)

    def test_restore_link(self):
        for number in (1, 2, 15, 40):
            with self.subTest(killed_before_link=number):
                root, before = self.captured_and_wiped(f"restore-{number}")
                treegen.build_image(root)
                killed = run.killed_at(self.holdfast, "linkat", number, "restore", root)
                self.assertEqual(killed.code, 137, killed.describe())
                self.restore(root, expect=(0, 3))
                self.assert_selected_same(before, root)
                self.assertEqual(self.state(root), "restored")

    def test_restore_move(self):
        number = 0
        while True:
            number += 1
            root, before = self.captured_and_wiped(f"move-{number}")
            treegen.build_image(root)
            killed = run.killed_at(self.holdfast, "renameat2", number, "restore", root, "--mode", "move")
            if killed.code != 137:
                self.assertIn(killed.code, (0, 3), killed.describe())
                break
            with self.subTest(killed_before_rename=number):
                self.restore(root, "--mode", "move", expect=(0, 3))
                self.assert_selected_same(before, root)
                self.assertEqual(self.state(root), "restored")
        self.assertGreater(number, 1)

    def test_rollback(self):
        number = 0
        while True:
            number += 1
            root, before = self.captured_and_wiped(f"rollback-{number}")
            treegen.build_image(root)
            killed = run.killed_at(self.holdfast, "renameat2", number, "rollback", root, "--yes")
            if killed.code != 137:
                self.assertEqual(killed.code, 0, killed.describe())
                break
            with self.subTest(killed_before_rename=number):
                self.holdfast("rollback", root, "--yes")
                self.assert_nothing_moved(before, root)
                self.assertEqual(self.state(root), "sealed")
        self.assertGreater(number, 1)

    def test_discard(self):
        for number in (1, 5, 30):
            with self.subTest(killed_before_unlink=number):
                root, before = self.captured_and_wiped(f"discard-{number}")
                self.restore(root)
                killed = run.killed_at(self.holdfast, "unlinkat", number, "discard", root, "--yes")
                self.assertEqual(killed.code, 137, killed.describe())
                self.assert_selected_same(before, root)
                self.holdfast("discard", root, "--yes")
                self.assertNotIn(cases.STORE, os.listdir(root))
                self.assert_selected_same(before, root, ignore=())


if __name__ == "__main__":
    cases.main()
