#!/usr/bin/env python3
"""Users go on working between capture and wipe: what they did last is what is restored."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402


class _Edited(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.root = self.system()

    def path(self, *parts) -> str:
        return os.path.join(self.root, *parts)

    def write(self, name: str, content: bytes) -> None:
        with open(self.path(name), "wb") as file:
            file.write(content)

    def read(self, name: str) -> bytes:
        with open(self.path(name), "rb") as file:
            return file.read()

    def wipe_and_restore(self):
        """The last state before the wipe is what must come back."""
        before = self.record(self.root)
        wiped = self.wipe(self.root)
        self.restore(self.root)
        self.holdfast("verify", self.root)
        return before, wiped


@cases.on("ext4", "xfs", "btrfs", "tmpfs")
class EditsBeforeWipeMixin(_Edited):
    """Each edit alone, then all of them together."""

    def edit_in_place(self):
        with open(self.path("home/al/letter.txt"), "r+b") as file:
            file.write(b"DEAR")

    def edit_by_truncating(self):
        self.write("home/bo/letter.txt", b"shorter")

    def copy_over_with_old_times(self):
        """cp -p: same size and mtime as before, other bytes, the same inode."""
        target = self.path("home/al/work/paper-5")
        size, times = os.stat(target).st_size, os.stat(target).st_mtime_ns
        source = self.path("var/replacement")
        with open(source, "wb") as file:
            file.write(b"R" * size)
        os.utime(source, ns=(times, times))
        subprocess.run(["cp", "-p", source, target], check=True)

    def replace_by_rename(self):
        self.write("home/al/work/paper-6.new", b"replaced as editors do")
        os.rename(self.path("home/al/work/paper-6.new"), self.path("home/al/work/paper-6"))

    def make_new(self):
        self.write("home/al/work/new-paper", b"written after the capture")
        os.makedirs(self.path("home/bo/new/tree/deep"))
        self.write("home/bo/new/tree/deep/file", b"in a new directory")
        os.symlink("deep/file", self.path("home/bo/new/tree/link"))
        os.mkfifo(self.path("home/bo/new/fifo"))

    def link_again(self):
        os.link(self.path("home/al/work/paper-1"), self.path("home/bo/new-name-of-paper-1"))

    def rename_directory(self):
        os.rename(self.path("home/al/photos"), self.path("home/al/pictures"))

    def rename_file(self):
        os.rename(self.path("home/al/work/paper-2"), self.path("home/al/work/paper-two"))

    def change_types(self):
        os.unlink(self.path("home/al/work/paper-8"))
        os.mkdir(self.path("home/al/work/paper-8"))
        self.write("home/al/work/paper-8/inside", b"a directory where a file was")
        os.unlink(self.path("home/al/work/paper-9"))
        os.symlink("paper-10", self.path("home/al/work/paper-9"))
        os.unlink(self.path("home/al/work/latest"))
        self.write("home/al/work/latest", b"a file where a symlink was")
        shutil.rmtree(self.path("home/bo/work/deep"))
        self.write("home/bo/work/deep", b"a file where a directory was")

    def change_metadata(self):
        os.chmod(self.path("home/al/work"), 0o2710)
        os.chmod(self.path("home/al/work/paper-4"), 0o4711)
        os.chown(self.path("home/bo/photos"), 4242, 4343)
        os.setxattr(self.path("home/bo/work"), "user.new", b"on a directory")
        os.setxattr(self.path("home/bo/letter.txt"), "user.new", b"on a file")
        os.utime(self.path("home/bo"), ns=(10**18, 10**18))

    def swap_two_files(self):
        one, two = self.path("home/bo/work/paper-3"), self.path("home/bo/work/paper-4")
        os.rename(one, one + ".swap")
        os.rename(two, one)
        os.rename(one + ".swap", two)

    EDITS = (edit_in_place, edit_by_truncating, copy_over_with_old_times, replace_by_rename, make_new, link_again,
             rename_directory, rename_file, change_types, change_metadata, swap_two_files)

    def test_each_edit_is_in_the_restored_tree(self):
        """All at once: they are in different places, and one hiding another would show as well."""
        self.capture(self.root)
        for edit in self.EDITS:
            edit(self)
        before, _ = self.wipe_and_restore()
        gone = ("home/al/photos", "home/al/work/paper-2")
        after = oracle.below(self.record(self.root), *treegen.SELECTED)
        for name in gone:
            self.assertNotIn(name.encode(), after, "a renamed entry came back under its old name")
        # What is replaced by another type takes its place whole; nothing else may be added.
        self.assert_selected_same(before, self.root)

    def test_second_capture_sees_each_edit(self):
        self.capture(self.root)
        for edit in self.EDITS:
            edit(self)
        self.holdfast("capture", self.root)
        before = self.record(self.root)
        self.holdfast("verify", self.root)
        wiped = self.wipe(self.root).summary
        self.assertEqual(wiped.get("hashed_files", 0), 0, "wipe's refresh found something to do")
        self.restore(self.root)
        self.assert_selected_same(before, self.root)


@cases.on("ext4", "btrfs")
class VanishedMixin(_Edited):
    """wipe never lets go of anything; an explicit capture lets go of what users deleted."""

    def test_a_deleted_file_is_still_held_by_wipe_and_comes_back(self):
        content = self.read("home/al/letter.txt")
        self.capture(self.root)
        os.unlink(self.path("home/al/letter.txt"))
        shutil.rmtree(self.path("home/bo/photos"))
        _, wiped = self.wipe_and_restore()
        self.assertIn("home/al/letter.txt", wiped.paths_of("vanished"), wiped.describe())
        self.assertEqual(self.read("home/al/letter.txt"), content)
        self.assertTrue(os.path.exists(self.path("home/bo/photos/img-3.jpg")))

    def test_a_second_capture_drops_what_vanished_and_keeps_it_until_discard(self):
        content = self.read("home/al/letter.txt")
        self.capture(self.root)
        os.unlink(self.path("home/al/letter.txt"))
        self.capture(self.root)
        listed = {entry["path"] for entry in self.holdfast("ls", self.root).listed}
        self.assertNotIn("home/al/letter.txt", listed)
        dropped = oracle.record(self.store_path(self.root, "dropped"))
        kept = [path for path in dropped if path.endswith(b"letter.txt")]
        self.assertEqual(len(kept), 1)
        with open(os.path.join(self.store_path(self.root, "dropped"), os.fsdecode(kept[0])), "rb") as file:
            self.assertEqual(file.read(), content)
        self.wipe_and_restore()
        self.assertFalse(os.path.exists(self.path("home/al/letter.txt")))

    def test_a_second_capture_drops_what_vanished_where_every_directory_has_changed(self):
        self.holdfast("capture", self.root, "--everything")
        for directory in ("", "home", "home/al", "home/al/photos"):
            with open(os.path.join(self.root, directory, "new"), "w", encoding="utf-8") as file:
                file.write(directory)
        os.unlink(os.path.join(self.root, "home/al/photos/img-0.jpg"))
        self.holdfast("capture", self.root)
        self.assertFalse(os.path.exists(self.store_path(self.root, "tree/home/al/photos/img-0.jpg")))
        self.holdfast("verify", self.root)

    def test_capture_of_an_emptied_root_drops_nothing(self):
        self.capture(self.root)
        store_before = oracle.record(self.store_path(self.root, "tree"))
        self.empty_by_hand(self.root)
        result = self.holdfast("capture", self.root, expect=5)
        self.assertTrue(result.reason_codes, result.describe())
        store_after = oracle.record(self.store_path(self.root, "tree"))
        for record in (store_before, store_after):
            record[b""].pop("mtime")
        self.assert_same(store_before, store_after, ("nlink", "atime"))
        self.assertEqual(self.state(self.root), "sealed")

    def test_more_than_half_vanished_needs_a_word(self):
        self.capture(self.root)
        shutil.rmtree(self.path("home/al"))
        shutil.rmtree(self.path("home/bo/work"))
        self.holdfast("capture", self.root, expect=5)
        listed = {entry["path"] for entry in self.holdfast("ls", self.root).listed}
        self.assertIn("home/al/letter.txt", listed)
        self.holdfast("capture", self.root, "--allow-vanished")
        listed = {entry["path"] for entry in self.holdfast("ls", self.root).listed}
        self.assertNotIn("home/al/letter.txt", listed)

    def test_renamed_trees_are_not_hashed_again(self):
        self.capture(self.root)
        os.rename(self.path("home/al"), self.path("home/alice"))
        result = self.capture(self.root).summary
        self.assertEqual(result.get("hashed_files", 0), 0)
        listed = {entry["path"] for entry in self.holdfast("ls", self.root).listed}
        self.assertIn("home/alice/letter.txt", listed)
        self.assertNotIn("home/al/letter.txt", listed)


class SecondCapture(_Edited):
    """capture again is a refresh: it reads what changed and nothing else."""

    def test_only_what_changed_is_hashed(self):
        first = self.capture(self.root).summary
        self.assertEqual(first["hashed_files"], first["inodes"])
        self.write("home/al/letter.txt", b"changed")
        self.write("home/al/brand-new", b"new")
        os.utime(self.path("home/bo/letter.txt"))
        second = self.capture(self.root).summary
        self.assertEqual(second["hashed_files"], 3)
        third = self.capture(self.root).summary
        self.assertEqual(third["hashed_files"], 0)
        self.assertEqual(third["entries"], first["entries"] + 1)

    def test_nothing_is_written_when_nothing_changed(self):
        self.capture(self.root)
        catalog = self.store_path(self.root, "catalog", "data.mdb")
        before = os.stat(catalog)
        self.capture(self.root)
        after = os.stat(catalog)
        self.assertEqual((before.st_ino, before.st_size, before.st_mtime_ns),
                         (after.st_ino, after.st_size, after.st_mtime_ns))

    def test_replaced_selection_lets_go_of_the_rest(self):
        self.capture(self.root)
        self.holdfast("capture", self.root, "--include", "home/bo", "--replace-selection")
        listed = {entry["path"] for entry in self.holdfast("ls", self.root).listed}
        self.assertNotIn("home/al/letter.txt", listed)
        self.assertIn("home/bo/letter.txt", listed)

    def test_excluded_files_are_not_held(self):
        self.holdfast("capture", self.root, "--include", "home", "--exclude", "photos", "--exclude", "*.txt")
        listed = {entry["path"] for entry in self.holdfast("ls", self.root).listed}
        self.assertIn("home/al/work/paper-1", listed)
        self.assertFalse({path for path in listed if "photos" in path or path.endswith(".txt")})
        held = oracle.record(self.store_path(self.root, "tree"))
        self.assertNotIn(b"home/al/letter.txt", held)

    def test_an_edit_through_a_kept_descriptor_after_the_wipe_is_found(self):
        """Bytes are shared with whoever has the file open: restore gives what is there, verify tells."""
        self.capture(self.root)
        kept = os.open(self.path("home/al/letter.txt"), os.O_RDWR)
        self.wipe(self.root)
        os.pwrite(kept, b"written after the wipe", 0)
        os.close(kept)
        result = self.holdfast("verify", self.root, expect=3)
        self.assertIn("home/al/letter.txt", result.paths_of("modified"))


class ChangesOnTheWayDown(_Edited):
    def test_a_name_goes_below_directories_that_all_changed(self):
        """Each mirror directory on the way is finished with before the vanished name is dealt with."""
        self.capture(self.root)
        os.mkdir(self.path("new-at-the-top"))
        self.write("home/new-in-home", b"one")
        self.write("home/al/new-in-al", b"two")
        os.unlink(self.path("home/al/letter.txt"))
        self.capture(self.root)
        self.assertFalse(os.path.lexists(self.store_path(self.root, "tree/home/al/letter.txt")))
        self.holdfast("verify", self.root)


if __name__ == "__main__":
    cases.main()
