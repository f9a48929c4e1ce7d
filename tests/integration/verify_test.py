#!/usr/bin/env python3
"""verify tells ok, modified, corrupt, missing and extra apart."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import linux_calls  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402

VICTIM = "home/bo/work/deep/er/bottom"  # 33,333 bytes: more than a filesystem keeps inside the inode


class _Captured(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.mounted = self.volume()
        self.root = self.mounted.path
        treegen.build_old_system(self.root)
        treegen.build_users(self.root)
        self.capture(self.root)

    def path(self, *parts) -> str:
        return os.path.join(self.root, *parts)

    def rot(self, name: str) -> None:
        """Flips bytes on the device, behind the filesystem's back: no time moves."""
        fd = os.open(self.path(name), os.O_RDONLY)
        try:
            logical, physical, length = linux_calls.physical_extents(fd)[0]
        finally:
            os.close(fd)
        self.assertEqual(logical, 0)
        self.assertGreater(length, 4096)
        self.mounted.unmount()
        with open(self.mounted.image, "r+b") as device:
            device.seek(physical + 100)
            old = device.read(8)
            device.seek(physical + 100)
            device.write(bytes(byte ^ 0xFF for byte in old))
        self.mounted.mount()


@cases.on("ext4", "xfs")
class RottenBytesMixin(_Captured):
    """btrfs would answer EIO by itself: it has checksums of its own."""

    def test_changed_bytes_with_unchanged_times_are_corrupt(self):
        before = oracle.record(self.root, cases.OURS)
        self.rot(VICTIM)
        after = oracle.record(self.root, cases.OURS)
        differences = oracle.compare(before, after, ("atime",))
        self.assertEqual(len(differences), 1, differences)
        self.assertIn("sha256", differences[0])
        result = self.holdfast("verify", self.root, expect=4)
        self.assertEqual(result.summary["corrupt"], 1)
        self.assertEqual(result.summary.get("modified", 0), 0)
        self.assertEqual(result.paths_of("corrupt"), {VICTIM})
        # Names and stat are as they should be.
        self.holdfast("verify", self.root, "--quick", expect=0)

    def test_corruption_is_told_by_restore_with_full_verification(self):
        self.wipe(self.root)
        self.rot(self.store_relative(VICTIM))
        result = self.restore(self.root, "--verify", "full", expect=4)
        self.assertEqual(result.paths_of("corrupt"), {VICTIM})

    def store_relative(self, name: str) -> str:
        return os.path.join(cases.STORE, "tree", name)


@cases.on("ext4", "xfs", "btrfs", "tmpfs")
class VerifyMixin(_Captured):
    def test_ok(self):
        result = self.holdfast("verify", self.root).summary
        self.assertEqual(result["ok"], result["entries"])
        for word in ("modified", "corrupt", "missing", "extra"):
            self.assertEqual(result[word], 0, word)
        self.assertEqual(result["hashed_files"], result["inodes"])
        quick = self.holdfast("verify", self.root, "--quick").summary
        self.assertEqual(quick["ok"], quick["entries"])
        self.assertEqual(quick.get("hashed_files", 0), 0)

    def test_edits_are_modified_and_not_corrupt(self):
        with open(self.path("home/al/letter.txt"), "r+b") as file:
            file.write(b"EDITED")
        # With the old mtime put back the ctime still tells.
        target = self.path("home/bo/letter.txt")
        times = os.stat(target)
        with open(target, "r+b") as file:
            file.write(b"EDITED")
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
        result = self.holdfast("verify", self.root, expect=3)
        self.assertEqual(result.paths_of("modified"), {"home/al/letter.txt", "home/bo/letter.txt"})
        self.assertEqual(result.summary["corrupt"], 0)

    def test_missing(self):
        os.unlink(self.store_path(self.root, "tree", "home/al/letter.txt"))
        for extra in ((), ("--quick",)):
            result = self.holdfast("verify", self.root, *extra, expect=4)
            self.assertEqual(result.paths_of("missing"), {"home/al/letter.txt"})

    def test_another_inode_under_the_name_is_not_ok(self):
        name = self.store_path(self.root, "tree", "home/al/letter.txt")
        os.rename(name, name + ".old")
        with open(name, "wb") as file:
            file.write(b"dear al\n" * 40)
        result = self.holdfast("verify", self.root, "--quick", expect=(3, 4))
        told = result.paths_of("missing") | result.paths_of("modified") | result.paths_of("corrupt")
        self.assertIn("home/al/letter.txt", told)

    def test_extra(self):
        with open(self.store_path(self.root, "tree", "home/al", "stray"), "wb") as file:
            file.write(b"nobody catalogued this")
        for extra in ((), ("--quick",)):
            result = self.holdfast("verify", self.root, *extra, expect=3)
            self.assertEqual(result.paths_of("extra"), {"home/al/stray"})
            self.assertEqual(result.summary["extra"], 1)

    def test_after_a_move_the_restored_places_are_looked_at(self):
        self.wipe(self.root)
        self.restore(self.root, "--mode", "move")
        self.holdfast("verify", self.root)
        with open(self.path("home/al/letter.txt"), "ab") as file:
            file.write(b"ps")
        os.unlink(self.path("home/bo/letter.txt"))
        result = self.holdfast("verify", self.root, expect=(3, 4))
        self.assertEqual(result.paths_of("modified"), {"home/al/letter.txt"})
        self.assertEqual(result.paths_of("missing"), {"home/bo/letter.txt"})

    def test_verify_changes_nothing(self):
        before = oracle.record(self.store_path(self.root), ("log", "lock"))
        self.holdfast("verify", self.root)
        after = oracle.record(self.store_path(self.root), ("log", "lock"))
        for record in (before, after):
            record.pop(b"")
            # LMDB's lock file, and the note that the catalog's checksum was found right.
            record.pop(b"catalog/lock.mdb", None)
            record.pop(b"catalog/checked", None)
            record.pop(b"catalog", None)
        self.assert_same(before, after, ("atime",))


if __name__ == "__main__":
    cases.main()
