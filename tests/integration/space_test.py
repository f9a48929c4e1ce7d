#!/usr/bin/env python3
"""Space: known before a store is begun, right words when it ends in mid-run, and a full volume is not stuck."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import treegen  # noqa: E402

_LITTLE = {"ext4": (48, ()), "xfs": (300, ()), "btrfs": (160, ("-M",))}


def fill(root, name: str, leave: int = 0) -> str:
    """A file that takes all the space there is but for about `leave` bytes."""
    block = os.urandom(1 << 20)  # nothing that a filesystem could pack
    reserve = os.path.join(root, name + ".reserve")
    if leave:
        with open(reserve, "wb") as file:
            file.write((block * (leave // len(block) + 1))[:leave])
            os.fsync(file.fileno())
    path = os.path.join(root, name)
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 1 << 12, 1 << 9):
            for _ in range(2):  # what waits to be written may free room when it is
                try:
                    while True:
                        file.write(block[:size])
                except OSError:
                    os.sync()
    if leave:
        os.unlink(reserve)
        os.sync()
    return path


def many(root, count: int, folder: str = "home/many") -> None:
    path = os.path.join(root, folder)
    os.makedirs(path)
    with treegen.Dir(path) as directory:
        for index in range(count):
            directory.file(f"a-file-with-a-name-of-some-length-{index:06}")


class _Space(cases.VolumeCase):
    def little(self, name: str = "volume", **options) -> str:
        megabytes, mkfs = _LITTLE[self.filesystem]
        options.setdefault("mkfs_options", mkfs)
        return self.system(name, megabytes=megabytes, **options)

    def assert_says_both_numbers(self, result, what: str):
        text = f"{result.summary['error']}"
        found = re.search(rf"up to (\d+) {what}, (\d+) are free", text)
        self.assertIsNotNone(found, result.describe())
        self.assertGreater(int(found[1]), int(found[2]))


@cases.on("ext4", "xfs", "btrfs")
class BeforeItStartsMixin(_Space):
    def test_a_store_that_does_not_fit_is_not_begun(self):
        root = self.little()
        many(root, 2000)
        fill(root, "filler", leave=1 << 20)
        before = self.record(root)
        for extra in ((), ("--dry-run",)):
            result = self.capture(root, *extra, expect=13)
            self.assert_says_both_numbers(result, "bytes")
            self.assertGreater(result.summary["needed_bytes"], result.summary["free_bytes"])
            self.assertNotIn(cases.STORE, os.listdir(root))
        self.assert_nothing_moved(before, root)

    def test_an_estimate_is_never_below_what_a_store_takes(self):
        root = self.little()
        many(root, 3000)
        needed = self.capture(root, "--dry-run").summary["needed_bytes"]
        os.sync()
        free = os.statvfs(root)
        self.capture(root)
        os.sync()
        after = os.statvfs(root)
        taken = (free.f_bavail - after.f_bavail) * after.f_frsize
        self.assertGreaterEqual(needed, taken)

    def test_with_room_there_is_no_survey(self):
        result = self.capture(self.system())
        self.assertNotIn("survey", [phase["name"] for phase in result.summary["phases"]])


class Inodes(_Space):
    def test_too_few_are_known_before(self):
        root = self.little(mkfs_options=("-N", "256"))
        with treegen.Dir(root) as top, top.dir("home") as home:
            for index in range(60):
                home.dir(f"directory-{index}").__exit__()
        while os.statvfs(root).f_ffree > 70:
            open(os.path.join(root, f"filler-{os.statvfs(root).f_ffree}"), "wb").close()
        result = self.capture(root, expect=13)
        self.assert_says_both_numbers(result, "inodes")
        self.assertNotIn(cases.STORE, os.listdir(root))


@cases.on("ext4", "xfs", "btrfs")
class FullInMidRunMixin(_Space):
    def test_a_second_capture_that_runs_out_goes_on_when_there_is_room(self):
        root = self.little()
        before_new = self.capture(root)
        self.assertEqual(before_new.summary["state"], "sealed")
        many(root, 6000)
        filler = fill(root, "filler", leave=1 << 16)
        before = self.record(root)
        # Where even a page that is there needs room to change (btrfs), the end comes by a signal, without a summary.
        result = self.capture(root, expect=None)
        self.assertEqual(result.code, 13, result.describe())
        self.assertIn("No space left on device", result.stderr, result.describe())
        self.assert_nothing_moved(before, root)
        os.unlink(filler)
        os.sync()
        self.capture(root)
        self.assertEqual(self.state(root), "sealed")
        self.holdfast("verify", root)


@cases.on("ext4", "xfs", "btrfs")
class FullVolumeMixin(_Space):
    """Full to the last block between capture and wipe: by what stays behind, and by what is kept."""

    def life_of_a_full_volume(self, filler: str, *wipe):
        root = self.little()
        self.capture(root)
        path = fill(root, filler)
        before = self.record(root)
        self.wipe(root, *wipe)
        self.assertEqual(self.state(root), "wiped")
        self.assert_empty_around_store(root)
        if not wipe:
            self.assert_old_system_in_aside(before, root)
        self.restore(root)
        self.assertEqual(self.state(root), "restored")
        self.assert_selected_same(before, root, ("nlink", "mtime") if os.path.dirname(filler) else ("nlink",))
        return root, path

    def test_wiped_and_restored(self):
        root, _ = self.life_of_a_full_volume("filler")
        self.holdfast("discard", root, "--yes")

    def test_wiped_with_delete_there_is_room_for_an_image(self):
        root, _ = self.life_of_a_full_volume("filler", "--delete")
        treegen.build_image(root, collide=False)

    def test_full_of_users_files(self):
        root, path = self.life_of_a_full_volume("home/al/filler")
        self.assertTrue(os.path.getsize(path))

    def test_rolled_back(self):
        root = self.little()
        self.capture(root)
        fill(root, "filler")
        before = self.record(root)
        self.wipe(root)
        self.holdfast("rollback", root, "--yes")
        self.assert_nothing_moved(before, root)


if __name__ == "__main__":
    cases.main()
