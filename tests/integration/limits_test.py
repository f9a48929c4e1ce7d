#!/usr/bin/env python3
"""Where a filesystem says no: link counts, borders, flags, full directories, quotas, and volumes that are not there."""

import mmap
import os
import random
import shutil
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import linux_calls  # noqa: E402
import loopfs  # noqa: E402
import oracle  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

_MOST_NAMES = {"ext4": 65_000, "btrfs": 65_535}
_USER = (54_321, 54_321)


def _inject(call: str, error: str, when: str) -> list:
    return [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            f"inject={call}:error={error}:when={when}"]


@cases.on("ext4", "btrfs")
class AllNamesTakenMixin:
    """An inode with as many names as the filesystem allows: the store takes a copy, and says so."""

    def test_a_full_inode_is_copied_and_comes_back_whole(self):
        root = self.system()
        with treegen.Dir(root) as top, top.dir("home") as home, top.dir("opt") as opt:
            home.file("full", b"this inode is full\n" * 100).xattr("full", "user.kept", b"too")
            with opt.dir("names") as names:
                for index in range(_MOST_NAMES[self.filesystem] - 1):
                    names.link(f"n{index}", "full", home)
                with self.assertRaises(OSError):
                    names.link("one-more", "full", home)
        before = self.record(root, *cases.OURS, "opt")
        captured = self.capture(root).summary
        self.assertEqual(captured.get("copied", 0) + captured.get("reflinked", 0), 1, captured)
        self.holdfast("verify", root)
        self.wipe(root, "--delete")
        self.restore(root)
        after = self.record(root)
        for field in ("sha256", "mode", "uid", "mtime", "xattrs", "size"):
            self.assertEqual(after[b"home/full"][field], before[b"home/full"][field], field)
        self.assert_selected_same(oracle.without(before, "home/full"), root, ("nlink", "mtime"),
                                  ("home/al", "home/bo", "srv/data"))


@cases.on("ntfs", *(("xfs", "tmpfs") if fault_table.everything() else ("tmpfs",)))
class InjectedLinkLimitMixin:
    """Their limits are out of reach here (ntfs-3g takes minutes to get there): its answer comes from strace."""

    _ANSWER = {"ntfs": "ERANGE"}

    def test_each_file_in_turn(self):
        self.need_program("strace")
        root = self.volume(megabytes=0).path
        treegen.build_users(root)
        for user in ("al", "bo"):  # a symlink cannot be copied: it would be missed, and is another matter
            os.unlink(os.path.join(root, "home", user, "work/latest"))
            os.unlink(os.path.join(root, "home", user, "work/paper-0-again"))  # a real limit hits a whole group
        before = self.record(root)
        error = self._ANSWER.get(self.filesystem, "EMLINK")
        for number in (1, 5, 17):
            with self.subTest(file=number):
                result = self.holdfast("capture", root, *treegen.INCLUDES, "--jobs", "1",
                                       prefix=_inject("linkat", error, str(number)), expect=(0, 3)).summary
                self.assertGreaterEqual(result.get("copied", 0) + result.get("reflinked", 0), 1, result)
                self.assertEqual(result["missed"], 0)
                self.holdfast("verify", root)
                self.wipe(root, expect=(0, 3))
                self.restore(root, expect=(0, 3))
                self.assert_selected_same(before, root, ("nlink", "inode", "btime", "blocks", "links", "atime"))
                self.holdfast("discard", root, "--yes")
                self.assert_selected_same(before, root, ("inode", "btime", "blocks", "atime"))
        fault_table.note("link limit", "capture", self.filesystem, 3)

    def test_restore_says_that_another_mode_helps(self):
        self.need_program("strace")
        root = self.volume(megabytes=0).path
        treegen.build_users(root)
        before = self.record(root)
        self.capture(root)
        self.wipe(root, expect=(0, 3))
        error = self._ANSWER.get(self.filesystem, "EMLINK")
        result = self.restore(root, "--jobs", "1", prefix=_inject("linkat", error, "3"), expect=3)
        self.assertIn("--mode move, reflink or copy", result.problems_of("left")[0]["reason"])
        self.restore(root, expect=(0, 3))
        self.assert_selected_same(before, root, ("nlink", "atime"))


@cases.on("ext4", "tmpfs")
class MappedWritesMixin:
    """A write through a mapping to a page that is dirty already moves no time at all: only a look at the bytes tells."""

    def written_after_capture(self, prefix=()):
        root = self.volume(megabytes=64).path
        with treegen.Dir(root) as top, top.dir("home") as home:
            home.file("mapped", b"a" * 8192)
        path = os.path.join(root, "home/mapped")
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 8192) as mapping:
            mapping[0:5] = b"first"
            self.holdfast("capture", root, "--include", "home", "--jobs", "1", prefix=prefix)
            mapping[0:5] = b"later"
            mapping[5000:5005] = b"later"
        self.wipe(root, expect=(0, 3))
        self.holdfast("wipe", root, "--yes", "--delete", expect=(0, 3))
        self.restore(root, expect=(0, 3))
        with open(path, "rb") as file:
            content = file.read()
        self.assertEqual((content[:5], content[5000:5005]), (b"later", b"later"))

    def test_to_a_file_that_is_held_by_a_link(self):
        self.written_after_capture()

    def test_to_a_file_that_is_held_as_a_copy(self):
        self.need_program("strace")
        self.written_after_capture(_inject("linkat", "EMLINK", "1"))


class Borders(cases.VolumeCase):
    """EXDEV on the way: what cannot be linked is missed with its reason, and stays where it is."""

    def test_a_link_that_crosses_a_border_is_missed_and_blocks_the_wipe(self):
        self.need_program("strace")
        root = self.system()
        before = self.record(root)
        result = self.holdfast("capture", root, *treegen.INCLUDES, "--jobs", "1", expect=3,
                               prefix=_inject("linkat", "EXDEV", "4"))
        missed = result.problems_of("missed")
        self.assertEqual(len(missed), 1, result.describe())
        self.assertIn("other mount, subvolume or project", missed[0]["reason"])
        self.assert_refused("missed-entries", "wipe", root, "--yes", root=root, before=before)
        self.assertEqual(self.capture(root).summary["missed"], 0)

    def test_xfs_projects_that_are_inherited(self):
        root = self.system(filesystem="xfs")
        for place, project in ((root, 7), (os.path.join(root, "home/al/work"), 9), (os.path.join(root, "srv/data"), 11)):
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            linux_calls.set_project(fd, project, inherit=True)
            for name in os.listdir(place):
                if stat.S_ISREG(os.lstat(os.path.join(place, name)).st_mode) and project != 7:
                    inner = os.open(os.path.join(place, name), os.O_RDONLY)
                    linux_calls.set_project(inner, project)
                    os.close(inner)
            os.close(fd)
        before = self.record(root)
        with self.assertRaises(OSError):  # so a border it is
            os.link(os.path.join(root, "home/bo/letter.txt"), os.path.join(root, "home/al/work/linked"))
        for mode in ("link", "move"):
            with self.subTest(mode=mode):
                self.capture(root)
                self.wipe(root)
                self.restore(root, "--mode", mode)
                self.assert_selected_same(before, root)
                if mode == "link":
                    self.holdfast("rollback", root, "--yes")
                    self.assert_nothing_moved(before, root)


class OrdinaryUser(cases.VolumeCase):
    """fs.protected_hardlinks: one's own files are captured, those of others are missed, and neither is lost."""

    def test_a_readable_file_of_somebody_else(self):
        with open("/proc/sys/fs/protected_hardlinks", encoding="ascii") as setting:
            protected = setting.read().strip() != "0"
        volume = self.volume()
        os.chmod(self.scratch.path, 0o755)
        os.chmod(volume.path, 0o755)
        root = os.path.join(volume.path, "mine")
        os.mkdir(root)
        program = os.path.join(volume.path, "holdfast")
        shutil.copy2(run.binary(), program)
        with treegen.Dir(root) as top, top.dir("home") as home:
            home.file("own", b"mine", 0o644, _USER).file("of-root", b"readable", 0o644)
            home.file("shared", b"writable", 0o666)
        for name in ("", "home"):
            os.chown(os.path.join(root, name), *_USER)
        before = self.record(root)
        result = self.holdfast("capture", root, "--include", "home", user=_USER, program=program, expect=(0, 3))
        # A file of another owner may be linked only by who can read and write it.
        self.assertEqual(result.paths_of("missed"), {"home/of-root"} if protected else set(), result.describe())
        if protected:
            self.assertEqual(result.problems_of("missed")[0]["errno"], 1)
            self.holdfast("wipe", root, "--yes", user=_USER, program=program, expect=5)
        self.assert_nothing_moved(before, root)
        listed = {entry["path"] for entry in self.holdfast("ls", root, user=_USER, program=program).listed}
        self.assertLessEqual({"home/own", "home/shared"}, listed)


class FullDirectory(cases.VolumeCase):
    """ext4 with 1 KiB blocks: a directory's index is full long before the disk is."""

    def test_the_right_words_and_the_way_on(self):
        volume = self.volume(megabytes=256, mkfs_options=("-b", "1024"))
        root = volume.path
        with treegen.Dir(root) as top, top.dir("home") as home, home.dir("many") as many:
            made = 0
            many.file("source", b"one inode for many names")
            try:
                while True:
                    many.link(f"{made:05d}" + "n" * 243, "source")
                    made += 1
            except OSError:
                pass
            self.assertGreater(os.statvfs(root).f_bavail, 50_000)
            # The same names in the mirror fit as here, or not, by the order in which they come.
            first = self.holdfast("capture", root, "--include", "home", expect=(0, 3, 13, 1))
            if first.code != 0:
                self.assertIn("director", (first.summary["error"] or "") + (first.summary["hint"] or ""),
                              first.describe())
                # What is not held yet goes elsewhere, and the same command goes on.
                held = set(os.listdir(self.store_path(root, "tree/home/many")))
                with home.dir("more") as more:
                    for name in set(os.listdir(many.fd)) - held:
                        os.rename(name, name, src_dir_fd=many.fd, dst_dir_fd=more.fd)
                self.holdfast("capture", root, "--include", "home")
        self.holdfast("verify", root)

    def test_enospc_of_one_directory_is_not_called_a_full_disk(self):
        self.need_program("strace")
        root = self.system()
        result = self.holdfast("capture", root, *treegen.INCLUDES, "--jobs", "1", expect=13,
                               prefix=_inject("linkat", "ENOSPC", "9"))
        self.assertIn("director", (result.summary["error"] or "") + (result.summary["hint"] or ""), result.describe())
        self.capture(root)
        self.holdfast("verify", root)

    def test_btrfs_quota(self):
        root = self.volume(filesystem="btrfs").path
        inside = os.path.join(root, "limited")
        cases.run_tool("btrfs", "subvolume", "create", inside)
        treegen.build_users(inside)
        before = self.record(inside)
        cases.run_tool("btrfs", "quota", "enable", root)
        cases.run_tool("btrfs", "quota", "rescan", "-w", root)
        cases.run_tool("btrfs", "qgroup", "limit", "1500K", inside)
        result = self.holdfast("capture", inside, *treegen.INCLUDES, expect=13)
        self.assertIn("quota", ((result.summary["error"] or "") + (result.summary["hint"] or "")).lower(),
                      result.describe())
        self.assert_nothing_moved(before, inside)
        cases.run_tool("btrfs", "qgroup", "limit", "none", inside)
        self.capture(inside)
        self.holdfast("verify", inside)


class NotTheUsersDoing(cases.VolumeCase):
    """What cannot be read, or is not there, was not deleted by anybody: the store lets go of nothing."""

    def setUp(self):
        super().setUp()
        self.root = self.system()
        self.capture(self.root)
        self.held = oracle.without_type(oracle.record(self.store_path(self.root, "tree")), "directory")

    def assert_everything_held(self):
        held = oracle.record(self.store_path(self.root, "tree"))
        gone = [path for path in self.held if path not in held]
        self.assertEqual(gone, [], "the store let go of files")
        self.assertFalse(os.path.isdir(self.store_path(self.root, "dropped")) and
                         os.listdir(self.store_path(self.root, "dropped")), "dropped")

    def refresh_with(self, call: str, error: str, *arguments):
        """Fails each of the first calls of a kind in turn."""
        self.need_program("strace")
        numbers = range(1, 40)
        if not fault_table.everything():
            numbers = sorted(random.Random(fault_table.seed()).sample(numbers[:16], 3))
        for number in numbers:
            with self.subTest(call=call, error=error, number=number):
                result = self.holdfast(*arguments, "--jobs", "1", prefix=_inject(call, error, str(number)), expect=None)
                self.assertNotEqual(result.code, 2, result.describe())
                self.assert_everything_held()
                self.assertEqual(result.summary.get("dropped") or 0, 0, result.describe())
        self.capture(self.root)
        self.assert_everything_held()
        self.holdfast("verify", self.root)

    def test_a_directory_whose_listing_fails(self):
        self.refresh_with("getdents64", "EIO", "capture", self.root)

    def test_a_directory_that_cannot_be_opened(self):
        for error in ("EACCES", "EMFILE", "ENOMEM"):
            self.refresh_with("openat", error, "capture", self.root)

    def test_a_file_that_cannot_be_looked_at(self):
        self.refresh_with("statx", "EIO", "capture", self.root)

    def commands(self, root) -> tuple:
        return (("capture", root), ("seal", root), ("verify", root), ("wipe", root, "--yes"),
                ("rollback", root, "--yes"), ("restore", root), ("discard", root, "--yes"), ("ls", root))

    def test_a_volume_that_is_not_mounted(self):
        volume = self.volume("gone")
        treegen.build_users(volume.path)
        self.capture(volume.path)
        volume.unmount()
        for command in self.commands(volume.path):
            with self.subTest(command=command[0]):
                self.holdfast(*command, expect=(2,) if command[0] == "capture" else (10,))
        self.assertEqual(os.listdir(volume.path), [], "something was made in the empty mount point")
        volume.mount()
        self.holdfast("verify", volume.path)
        self.assertEqual(self.capture(volume.path).summary.get("dropped") or 0, 0)

    def test_another_filesystem_in_its_place(self):
        volume = self.volume("first")
        treegen.build_users(volume.path)
        self.capture(volume.path)
        volume.unmount()
        other = loopfs.Volume("ext4", self.scratch.path, "second", megabytes=64)
        self.addCleanup(other.close)
        other.unmount()
        other.mount(at=volume.path)
        # The store was copied along, as by rsync of everything: it is another volume all the same.
        for command in self.commands(volume.path):
            with self.subTest(command=command[0]):
                self.holdfast(*command, expect=(2,) if command[0] == "capture" else (10,))
        self.assertEqual(set(os.listdir(volume.path)), {"lost+found"})
        other.unmount()
        volume.mount()
        self.holdfast("verify", volume.path)

    def test_an_emptied_root(self):
        self.empty_by_hand(self.root)
        self.assert_refused("vanished", "capture", self.root)
        self.assert_everything_held()
        self.holdfast("verify", self.root)
        result = self.holdfast("wipe", self.root, "--yes", expect=(0, 3, 5))
        self.assert_everything_held()
        if result.code != 5:
            self.restore(self.root, expect=(0, 3))
            found = oracle.record(self.root, exclude=cases.OURS)
            self.assertEqual([path for path in self.held if path not in found], [])


if __name__ == "__main__":
    cases.main()
