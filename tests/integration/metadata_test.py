#!/usr/bin/env python3
"""Everything a filesystem keeps of a file survives capture, wipe, image and restore, in every mode."""

import fcntl
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402

TREE = "home/everything"
_EXT4_MOST_LINKS = 65_000
# What each filesystem of this kernel cannot hold, so that nothing else goes missing unnoticed.
NO_PROJECTS = {"project id: Operation not supported", "project id of a directory: Operation not supported"}
CANNOT_HOLD = {"ext4": NO_PROJECTS, "btrfs": NO_PROJECTS, "tmpfs": NO_PROJECTS, "xfs": set()}


@cases.on("ext4", "xfs", "btrfs", "tmpfs")
class MetadataMixin:
    """Mounted relatime, as systems are: what is read carelessly shows in the access times."""

    def setUp(self):
        super().setUp()
        self.root = self.system(users=False)
        os.mkdir(os.path.join(self.root, "home"))
        self.built = treegen.build_everything(os.path.join(self.root, TREE))
        self.before = self.record(self.root)

    def capture_wipe_image(self):
        result = self.holdfast("capture", self.root, "--include", TREE)
        self.wipe(self.root)
        treegen.build_image(self.root, collide=False)
        return result

    def assert_survived(self, ignore=()):
        self.assert_selected_same(self.before, self.root, ignore, (TREE,))

    def test_the_tree_holds_all_that_is_promised(self):
        self.assertLessEqual(set(self.built.left_out), CANNOT_HOLD[self.filesystem])
        features = {attribute for entry in self.before.values() for attribute in entry["xattrs"]}
        self.assertLessEqual({"user.comment", "trusted.secret", "security.capability",
                              "system.posix_acl_access", "system.posix_acl_default"}, features)

    def test_link_keeps_everything(self):
        self.capture_wipe_image()
        self.restore(self.root)
        # The same inode: birth time, blocks and access time too. Only the store adds names to it.
        self.assert_survived(("nlink",))
        self.holdfast("discard", self.root, "--yes")
        self.assert_survived()

    def test_move_keeps_everything(self):
        self.capture_wipe_image()
        self.restore(self.root, "--mode", "move")
        self.holdfast("discard", self.root, "--yes")
        self.assert_survived()

    def test_copy_keeps_everything_but_the_inode(self):
        self.capture_wipe_image()
        self.restore(self.root, "--mode", "copy")
        self.assert_survived(oracle.SAME_PLACE_DIFFERENT_INODE)

    def test_reflink_keeps_everything_but_the_inode(self):
        if self.filesystem not in ("btrfs", "xfs"):
            return  # lifecycle_test proves the refusal
        self.capture_wipe_image()
        self.restore(self.root, "--mode", "reflink")
        self.assert_survived(oracle.SAME_PLACE_DIFFERENT_INODE)

    def test_capture_itself_changes_nothing(self):
        self.holdfast("capture", self.root, "--include", TREE)
        self.holdfast("verify", self.root)
        after = self.record(self.root)
        for record in (self.before, after):
            record.pop(b"")
            for entry in record.values():
                if entry["type"] == "symlink":
                    entry.pop("atime")
        self.assert_same(self.before, after, ("nlink",))

    def test_sockets_are_reported_and_not_captured(self):
        result = self.capture_wipe_image()
        sockets = {TREE + "/" + path.decode() for path in self.built.sockets}
        self.assertLessEqual(sockets, result.paths_of("skipped"), result.describe())
        self.assertGreaterEqual(result.summary["skipped"], len(sockets))
        listed = self.holdfast("ls", self.root, "--skipped")
        self.assertLessEqual(sockets, {line["path"] for line in listed.objects if "path" in line})

    def test_flags_are_put_back_on_the_originals_after_linking(self):
        self.holdfast("capture", self.root, "--include", TREE)
        after = oracle.below(self.record(self.root), TREE + "/flags")
        wanted = oracle.below(self.before, TREE + "/flags")
        self.assertEqual({path: entry.get("flags") for path, entry in wanted.items()},
                         {path: entry.get("flags") for path, entry in after.items()})


class LinkGroups(cases.VolumeCase):
    """Files with several names, some of them outside of what was selected."""

    def test_part_of_a_group_is_enough(self):
        root = self.system()
        os.mkdir(os.path.join(root, "opt"))
        os.link(os.path.join(root, "home/al/letter.txt"), os.path.join(root, "opt/not-selected"))
        before = self.record(root)
        self.capture(root)
        self.wipe(root)
        self.restore(root)
        after = self.record(root)
        self.assertNotIn(b"opt", after)
        self.assertEqual(after[b"home/al/letter.txt"]["inode"], before[b"home/al/letter.txt"]["inode"])
        self.holdfast("discard", root, "--yes")
        self.assertEqual(os.stat(os.path.join(root, "home/al/letter.txt")).st_nlink, 1)

    def test_a_file_with_no_link_left_to_give_is_copied(self):
        root = self.system()
        many = os.path.join(root, "opt", "many-names")
        os.makedirs(many)
        first = os.path.join(root, "home", "first")
        with open(first, "wb") as file:
            file.write(b"this inode is full")
        os.setxattr(first, "user.kept", b"too")
        os.link(first, os.path.join(root, "home", "second"))
        with treegen.Dir(os.path.join(root, "home")) as home, treegen.Dir(many) as directory:
            for index in range(_EXT4_MOST_LINKS - 2):
                directory.link(f"n{index}", "first", home)
        before = self.record(root, *cases.OURS, "opt")
        # Two of its names are selected: one copy for both, or the group splits.
        result = self.capture(root)
        self.assertGreater(result.summary.get("copied", 0) + result.summary.get("reflinked", 0), 0, result.describe())
        held = oracle.record(self.store_path(root, "tree", "home"))
        self.assertEqual(held[b"first"]["inode"], held[b"second"]["inode"])
        self.wipe(root)
        self.restore(root)
        after = self.record(root)
        for name in (b"home/first", b"home/second"):
            for field in ("sha256", "mode", "mtime", "xattrs", "size", "links"):
                self.assertEqual(after[name][field], before[name][field], (name, field))


@cases.on("ext4", "btrfs")
class BusyFilesMixin:
    """Files that are open, locked or being written are captured like others."""

    def test_open_locked_and_leased_files_are_captured(self):
        root = self.system()
        path = os.path.join(root, "home/al/letter.txt")
        held = os.open(path, os.O_RDWR)
        fcntl.lockf(held, fcntl.LOCK_EX)
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # what the holder of a lease gets when others open the file
        leased = os.open(os.path.join(root, "home/bo/letter.txt"), os.O_RDWR)
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        try:
            self.capture(root, timeout=60, expect=(0, 3))
        finally:
            os.close(held)
            os.close(leased)
        listed = {entry["path"] for entry in self.holdfast("ls", root).listed}
        self.assertLessEqual({"home/al/letter.txt", "home/bo/letter.txt"}, listed)

    def test_a_file_that_is_being_written_is_held_in_its_last_state(self):
        root = self.system()
        path = os.path.join(root, "home/al/growing")
        stop = threading.Event()

        def write():
            with open(path, "ab", buffering=0) as file:
                while not stop.wait(0.002):
                    file.write(b"line\n")
        writer = threading.Thread(target=write)
        with open(path, "wb") as file:
            file.write(b"begin\n" * 200_000)
        writer.start()
        try:
            self.capture(root, expect=(0, 3))
        finally:
            stop.set()
            writer.join()
        with open(path, "rb") as file:
            content = file.read()
        self.wipe(root)
        self.restore(root)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), content)
        self.holdfast("verify", root)


if __name__ == "__main__":
    cases.main()
