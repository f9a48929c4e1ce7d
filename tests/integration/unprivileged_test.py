#!/usr/bin/env python3
"""An ordinary user captures, wipes and restores a folder of their own."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import oracle  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

_USER = (54_321, 54_321)


class OrdinaryUser(cases.VolumeCase):
    """As root the test becomes somebody else; run by an ordinary user it is that user."""

    def setUp(self):
        super().setUp()
        if os.geteuid() == 0:
            volume = self.volume()
            self.user = _USER
            os.chmod(volume.path, 0o755)
            os.chmod(self.scratch.path, 0o755)
            self.root = os.path.join(volume.path, "mine")
            os.mkdir(self.root)
            os.chown(self.root, *_USER)
            # A build directory may be closed to others.
            self.program = os.path.join(volume.path, "holdfast")
            shutil.copy2(run.binary(), self.program)
            os.chmod(self.program, 0o755)
        else:
            self.user = None
            self.root = self.volume(filesystem="folder").path
            self.program = run.binary()
        self.build()

    def build(self):
        """In a child that is the user for good: what it makes is the user's."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if self.user:
                    os.setgroups([])
                    os.setgid(self.user[1])
                    os.setuid(self.user[0])
                treegen.build_old_system(self.root)
                treegen.build_users(self.root)
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def own(self, *arguments, **options) -> run.Result:
        return self.holdfast(*arguments, user=self.user, cwd="/", program=self.program, **options)

    def life(self, *restore_arguments):
        before = self.record(self.root)
        self.own("capture", self.root, *treegen.INCLUDES)
        self.own("verify", self.root)
        self.own("wipe", self.root, "--yes")
        self.assert_empty_around_store(self.root)
        treegen.build_image(self.root, collide=False)
        if self.user:
            for directory, names, files in os.walk(self.root):
                if cases.STORE in names:
                    names.remove(cases.STORE)
                for name in names + files:
                    if os.lstat(os.path.join(directory, name)).st_uid == 0:
                        os.chown(os.path.join(directory, name), *self.user, follow_symlinks=False)
        self.own("restore", self.root, *restore_arguments)
        return before

    def test_link(self):
        before = self.life()
        self.assert_selected_same(before, self.root)
        self.own("discard", self.root, "--yes")
        self.assert_selected_same(before, self.root, ignore=())

    def test_move(self):
        before = self.life("--mode", "move")
        self.own("discard", self.root, "--yes")
        self.assert_selected_same(before, self.root, ignore=())

    def test_copy(self):
        before = self.life("--mode", "copy")
        self.assert_selected_same(before, self.root, ignore=oracle.SAME_PLACE_DIFFERENT_INODE)

    def test_rollback(self):
        before = self.record(self.root)
        self.own("capture", self.root, *treegen.INCLUDES)
        self.own("wipe", self.root, "--yes")
        self.own("rollback", self.root, "--yes")
        self.assert_nothing_moved(before, self.root)

    def test_delete(self):
        before = self.record(self.root)
        self.own("capture", self.root, *treegen.INCLUDES)
        self.own("wipe", self.root, "--yes", "--delete")
        self.own("restore", self.root)
        self.assert_selected_same(before, self.root)

    def test_read_only_directories_and_files(self):
        for place in ("home/al/work", "home/bo", "usr/lib"):
            os.chmod(os.path.join(self.root, place), 0o555)
        for place in ("home/al/letter.txt", "vmlinuz"):
            os.chmod(os.path.join(self.root, place), 0o400)
        before = self.life()
        self.assert_selected_same(before, self.root)

    def test_read_only_directories_at_the_top(self):
        """To rename a directory into another one, the owner needs to be able to write to it."""
        for place in ("home", "usr"):
            os.chmod(os.path.join(self.root, place), 0o555)
        before = self.life()
        self.assert_selected_same(before, self.root)

    def test_a_directory_that_cannot_be_opened_any_more_keeps_its_record(self):
        """It is missed, and what the catalog knew of it is still known."""
        before = self.record(self.root)
        self.own("capture", self.root, *treegen.INCLUDES)
        work = os.path.join(self.root, "home/al/work")
        os.chmod(work, 0)
        if self.user is None and os.access(work, os.R_OK):
            self.skip_loudly("nothing is unreadable here")
        missed = self.own("capture", self.root, expect=3)
        self.assertIn("home/al/work", missed.paths_of("missed"))
        os.chmod(work, 0o755)
        target = os.path.join(self.root, "restored")
        os.mkdir(target)
        if self.user:
            os.chown(target, *self.user)
        self.own("restore", self.root, "home/al/work", "--to", target)
        found = oracle.record(os.path.join(target, "home/al/work"))[b""]
        wanted = before[b"home/al/work"]
        for field in ("mode", "uid", "gid", "mtime"):
            self.assertEqual(found[field], wanted[field], field)

    def test_a_directory_that_cannot_be_read_does_not_keep_a_wipe_from_its_end(self):
        """It is not selected, cannot be moved either, and is listed."""
        self.own("capture", self.root, *treegen.INCLUDES)
        locked = os.path.join(self.root, "locked")
        os.mkdir(locked)
        if self.user:
            os.chown(locked, *self.user)
        os.chmod(locked, 0)
        self.addCleanup(os.chmod, locked, 0o700)
        self.own("wipe", self.root, "--yes", expect=(0, 3))
        self.assertEqual(self.own("status", self.root).summary["state"], "wiped")
        if not os.path.lexists(locked):
            os.mkdir(locked)

    def test_files_of_others_are_gaps_and_are_listed(self):
        if self.user is None:
            self.skip_loudly("needs root to make a file of somebody else")
        secret = os.path.join(self.root, "home/al/roots-own")
        with open(secret, "wb") as file:
            file.write(b"not readable")
        os.chmod(secret, 0o600)
        result = self.own("capture", self.root, *treegen.INCLUDES, expect=3)
        self.assertIn("home/al/roots-own", result.paths_of("missed"))
        self.own("wipe", self.root, "--yes", expect=5)


if __name__ == "__main__":
    cases.main()
