#!/usr/bin/env python3
"""rollback gives back the whole ROOT, old system and unselected files included, inode by inode."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import foreign  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402

ALL = ("home", "srv", "etc", "usr", "bin", "var", "root", "vmlinuz", ".hidden-at-top", "empty-old")


@cases.on("ext4", "xfs", "btrfs", "tmpfs")
class RollbackMixin:
    def setUp(self):
        super().setUp()
        self.root = self.system(options="noatime")
        treegen.build_everything(os.path.join(self.root, "home", "everything"))
        self.said = foreign.testimony(self.root, ALL)
        self.before = self.record(self.root)
        self.capture(self.root)

    def assert_rolled_back(self):
        result = self.holdfast("rollback", self.root, "--yes").summary
        self.assertEqual(result["state"], "sealed")
        self.assert_nothing_moved(self.before, self.root, ("nlink",))
        self.assertNotIn(cases.MARKER, os.listdir(self.root))
        self.holdfast("verify", self.root)
        self.holdfast("discard", self.root, "--yes", "--lose-displaced")
        # Without the store's names even the link counts are as before.
        self.assert_nothing_moved(self.before, self.root, ())
        self.assertEqual(foreign.differences(self.said, foreign.testimony(self.root, ALL)), [])

    def test_after_wipe(self):
        self.wipe(self.root)
        self.assert_rolled_back()

    def test_after_a_half_applied_image(self):
        self.wipe(self.root)
        treegen.build_image(self.root)
        self.assert_rolled_back()

    def test_after_a_restore_by_link(self):
        self.wipe(self.root)
        treegen.build_image(self.root)
        self.restore(self.root, expect=(0, 3))
        self.assert_rolled_back()

    def test_the_failed_image_is_kept_until_discard(self):
        self.wipe(self.root)
        treegen.build_image(self.root)
        image = oracle.below(self.record(self.root), *treegen.IMAGE_ONLY)
        self.holdfast("rollback", self.root, "--yes")
        failed = self.store_path(self.root, "failed")
        numbers = os.listdir(failed)
        self.assertEqual(len(numbers), 1)
        kept = oracle.below(oracle.record(os.path.join(failed, numbers[0])), *treegen.IMAGE_ONLY)
        self.assert_same(image, kept, ("nlink", "atime"))

    def test_wipe_and_rollback_again(self):
        for _ in range(2):
            self.wipe(self.root)
            treegen.build_image(self.root)
            self.holdfast("rollback", self.root, "--yes")
            self.assert_nothing_moved(self.before, self.root, ("nlink",))
        self.wipe(self.root)
        self.restore(self.root)
        self.assert_selected_same(self.before, self.root)

    def test_run_again_has_nothing_to_do(self):
        self.wipe(self.root)
        self.holdfast("rollback", self.root, "--yes")
        self.holdfast("rollback", self.root, "--yes", expect=(0, 5))
        self.assert_nothing_moved(self.before, self.root, ("nlink",))


class WipedInsteadOfRolledBack(cases.VolumeCase):
    """A rollback that was cut short gave users their files back: the wipe that follows looks at them anew."""

    def life(self, failpoint: str):
        root, _ = self.captured_and_wiped()
        home = os.path.join(root, "home/al")
        # Entries come back in the order of the plan, which the filesystem chose: as often as it takes for home.
        while not os.path.isdir(home):
            self.holdfast("rollback", root, "--yes", expect=(137, 0), env={"HOLDFAST_FAILPOINT": failpoint})
        with treegen.Dir(home) as mine:
            mine.file("new", b"made after the rollback\n")
            mine.file("letter.new", b"replaced after the rollback\n")
            os.rename("letter.new", "letter.txt", src_dir_fd=mine.fd, dst_dir_fd=mine.fd)
        self.wipe(root)
        self.restore(root)
        with treegen.Dir(home) as mine:
            for name, content in (("new", b"made after the rollback\n"), ("letter.txt", b"replaced after the rollback\n")):
                with open(os.path.join(home, name), "rb") as file:
                    self.assertEqual(file.read(), content)
        self.holdfast("discard", root, "--yes")

    def test_at_its_end(self):
        self.life("rolled-back")

    def test_in_its_middle(self):
        self.life("bring-back:2")


class WhatIsGoneBelow(cases.VolumeCase):
    """Entries at the top of aside/ are there, and something below them is not."""

    def test_much_of_it(self):
        root, _ = self.captured_and_wiped()
        library = os.path.join(self.aside(root), "usr/lib")
        for name in sorted(os.listdir(library))[:20]:
            os.unlink(os.path.join(library, name))
        result = self.assert_refused("old-system-incomplete", "rollback", root, "--yes", root=root)
        self.assertRegex(result.summary["error"], r"20 of \d+ names")
        self.restore(root)

    def test_nothing_of_it(self):
        root, before = self.captured_and_wiped()
        self.holdfast("rollback", root, "--yes")
        self.assert_nothing_moved(before, root)

    def test_a_name_among_thousands_is_listed(self):
        root = self.system()
        with treegen.Dir(root) as top, top.dir("var") as var, var.dir("spool") as spool:
            for index in range(3000):
                spool.file(f"job-{index}")
        self.capture(root)
        self.wipe(root)
        os.unlink(os.path.join(self.aside(root), "var/spool/job-7"))
        result = self.holdfast("rollback", root, "--yes", expect=3)
        self.assertEqual(self.state(root), "sealed")
        self.assertIn("1 of", str([problem["reason"] for problem in result.problems_of("left")]))
        self.assertEqual(len(os.listdir(os.path.join(root, "var/spool"))), 2999)


if __name__ == "__main__":
    cases.main()
