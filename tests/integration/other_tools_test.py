#!/usr/bin/env python3
"""Between wipe and restore the volume is in other hands: what rsync --delete, rm -rf and find -delete leave."""

import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import linux_calls  # noqa: E402
import oracle  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402


def _immutable(record: dict) -> set:
    return {path for path, fields in record.items() if fields.get("flags", 0) & linux_calls.FLAG_IMMUTABLE}


@cases.on("ext4", "xfs", "btrfs")
class OtherToolsMixin:
    def setUp(self):
        super().setUp()
        self.root = self.system()
        self.before = self.record(self.root)

    def image(self) -> str:
        source = os.path.join(self.scratch.path, "image-source")
        os.mkdir(source)
        treegen.build_image(source, collide=False)
        return source + "/"

    def assert_nothing_held_is_gone(self):
        """Every held file has its name in the mirror, the same inode under it."""
        held = oracle.record(self.store_path(self.root, "tree"))
        for path, entry in oracle.without_type(oracle.below(self.before, *treegen.SELECTED), "directory").items():
            self.assertEqual(held.get(path, {}).get("inode"), entry["inode"], path)
        self.holdfast("verify", self.root)

    def survives(self, *command, shell: bool = False):
        self.capture(self.root)
        self.wipe(self.root)
        subprocess.run(command[0] if shell else command, shell=shell, check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertFalse(os.path.exists(os.path.join(self.aside(self.root), "usr/lib/lib-1.so")), "nothing was deleted")
        self.assert_nothing_held_is_gone()
        refused = self.holdfast("rollback", self.root, "--yes", expect=5)
        self.assertIn("old-system-incomplete", refused.reason_codes, refused.describe())
        self.assertIn("of the old system is gone: ", refused.summary["error"])
        self.assertEqual(self.state(self.root), "wiped")
        self.restore(self.root, expect=(0, 3))
        self.assert_selected_same(self.before, self.root)
        self.holdfast("discard", self.root, "--yes")
        self.assert_selected_same(self.before, self.root, ignore=())
        fault_table.note("other tools", "wiped", self.filesystem, 1)

    def test_rsync_delete(self):
        self.need_program("rsync")
        self.survives("rsync", "-a", "--delete", self.image(), self.root + "/")

    def test_rsync_delete_that_goes_on_after_errors(self):
        self.need_program("rsync")
        self.survives("rsync", "-aHAX", "--delete", "--ignore-errors", "--force", self.image(), self.root + "/")

    def test_rm_rf(self):
        self.survives(f"rm -rf {self.root}/* {self.root}/.[!.]*", shell=True)

    def test_find_delete(self):
        self.survives("find", self.root, "-xdev", "-delete")

    def test_an_image_that_has_a_directory_of_the_stores_name(self):
        """tar and cp put their files into it at most; none of ours is replaced."""
        self.capture(self.root)
        self.wipe(self.root)
        source = self.image()
        with treegen.Dir(source) as top, top.dir(cases.STORE) as store:
            store.file("state.json", b"{}")
            with store.dir("tree") as tree, tree.dir("home") as home:
                home.file("intruder", b"not ours")
        subprocess.run(f"tar -C {source} -cf - . | tar -C {self.root} -xpf -", shell=True, check=False,
                       stderr=subprocess.DEVNULL)
        held = oracle.record(self.store_path(self.root, "tree"))
        self.assertNotIn(b"home/intruder", held)
        for path, entry in oracle.without_type(oracle.below(self.before, *treegen.SELECTED), "directory").items():
            self.assertEqual(held.get(path, {}).get("inode"), entry["inode"], path)


@cases.on("ext4", *(("xfs", "btrfs") if fault_table.everything() else ()))
class FlagsAfterCrashesMixin:
    """Immutable flags half set or half cleared: the next command repairs it."""

    def setUp(self):
        super().setUp()
        self.need_program("strace")
        self.dice = random.Random(fault_table.seed())

    def points(self, count: int) -> list:
        if fault_table.everything():
            return list(range(1, count + 1))
        return sorted(self.dice.sample(range(1, count + 1), min(3, count)))

    def ready(self, name: str, wiped: bool):
        if hasattr(self, "current"):
            self.current.close()
            os.unlink(self.current.image)
        self.current = self.volume(name, megabytes=300 if self.filesystem == "xfs" else 128)
        root = self.current.path
        treegen.build_old_system(root)
        treegen.build_users(root)
        before = self.record(root)
        self.capture(root)
        if wiped:
            self.wipe(root)
        return root, before

    def count_ioctls(self, *arguments) -> int:
        log = os.path.join(self.scratch.path, "ioctls")
        self.holdfast(*arguments, "--jobs", "1",
                      prefix=[run.strace(), "-f", "-qq", "-o", log, "-e", "trace=ioctl"])
        with open(log, encoding="utf-8", errors="replace") as lines:
            return sum("FS_IOC_SETFLAGS" in line or "FS_IOC_GETFLAGS" in line for line in lines)

    def assert_protected(self, root):
        flagged = _immutable(oracle.record(self.store_path(root)))
        wanted = {path for path, fields in oracle.record(self.store_path(root, "tree")).items()
                  if fields["type"] == "directory"}
        missing = {path for path in wanted if (b"tree/" + path if path else b"tree") not in flagged}
        self.assertEqual(missing, set(), "directories of the mirror that can be emptied")

    def assert_free(self, root):
        self.assertEqual(_immutable(oracle.record(root)), set(), "immutable flags were left behind")

    def finish(self, root, before):
        self.restore(root)
        self.assert_free(root)
        self.assert_selected_same(before, root)
        self.holdfast("discard", root, "--yes")
        self.assert_selected_same(before, root, ignore=())

    def after_wipe(self, root, before):
        self.assertEqual(self.wipe(root).summary["state"], "wiped")
        self.assert_protected(root)
        self.finish(root, before)

    def test_wipe_killed_at_a_flag(self):
        root, _ = self.ready("count", False)
        points = self.points(self.count_ioctls("wipe", root, "--yes"))
        self.assertTrue(points)
        for number in points:
            with self.subTest(killed_before_ioctl=number):
                root, before = self.ready(f"v{number}", False)
                killed = run.killed_at(self.holdfast, "ioctl", number, "wipe", root, "--yes")
                self.assertEqual(killed.code, 137, killed.describe())
                self.after_wipe(root, before)
        fault_table.note("kill at a flag", "wipe", self.filesystem, len(points))

    def test_restore_killed_at_a_flag(self):
        root, _ = self.ready("count", True)
        points = self.points(self.count_ioctls("restore", root))
        for number in points:
            with self.subTest(killed_before_ioctl=number):
                root, before = self.ready(f"v{number}", True)
                killed = run.killed_at(self.holdfast, "ioctl", number, "restore", root)
                self.assertEqual(killed.code, 137, killed.describe())
                self.finish(root, before)
        fault_table.note("kill at a flag", "restore-link", self.filesystem, len(points))

    def test_failpoints(self):
        for number, (point, wiped, command) in enumerate((
                ("protecting", False, ("wipe", "--yes")), ("wiped-before-protect", False, ("wipe", "--yes")),
                ("unprotected", True, ("restore",)), ("unprotected", True, ("rollback", "--yes")),
                ("unprotected", True, ("discard", "--yes", "--lose-files")))):
            with self.subTest(failpoint=point, command=command[0]):
                root, before = self.ready(f"f{number}", wiped)
                killed = self.holdfast(command[0], root, *command[1:], env={"HOLDFAST_FAILPOINT": point}, expect=None)
                self.assertEqual(killed.code, 137, killed.describe())
                if command[0] == "wipe":
                    self.after_wipe(root, before)
                elif command[0] == "restore":
                    self.finish(root, before)
                elif command[0] == "rollback":
                    self.holdfast("rollback", root, "--yes")
                    self.assert_free(root)
                    self.assert_nothing_moved(before, root)
                else:
                    self.holdfast("discard", root, "--yes", "--lose-files")
                    self.assertNotIn(cases.STORE, os.listdir(root))


class WithoutImmutableDirectories(cases.VolumeCase):
    """ntfs-3g has no such flag: the wipe says so, and the README names it."""

    filesystem = "ntfs"

    def test_the_wipe_warns(self):
        root = self.system(users=True)
        self.capture(root, expect=(0, 3))
        result = self.wipe(root, "--accept-missed", "**", expect=(0, 3))
        reasons = [problem["reason"] for problem in result.problems_of("warning")]
        self.assertTrue(any("cannot be made immutable" in reason for reason in reasons), result.describe())
        readme = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")
        with open(readme, encoding="utf-8") as file:
            self.assertIn("ntfs-3g has no immutable directories", " ".join(file.read().split()))


if __name__ == "__main__":
    cases.main()
