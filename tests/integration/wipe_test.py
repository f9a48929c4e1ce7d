#!/usr/bin/env python3
"""wipe against what does not want to go, and what must not: flags, mounts, subvolumes, busy directories."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import linux_calls  # noqa: E402
import oracle  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402


def unpack_image(test: cases.VolumeCase, root: str) -> None:
    """The proof that the volume is ready: tar lays a system on it."""
    source = os.path.join(test.scratch.path, "image-source")
    os.mkdir(source)
    treegen.build_image(source, collide=False)
    packed = os.path.join(test.scratch.path, "image.tar")
    subprocess.run(["tar", "-C", source, "-cf", packed, "."], check=True)
    subprocess.run(["tar", "-C", root, "-xpf", packed], check=True)
    with open(os.path.join(root, "etc/hostname"), encoding="ascii") as file:
        test.assertEqual(file.read(), "new-machine\n")


@cases.on("ext4", "xfs", "btrfs", "tmpfs")
class WipeMixin:
    def setUp(self):
        super().setUp()
        self.root = self.system()

    def path(self, *parts) -> str:
        return os.path.join(self.root, *parts)

    def test_the_old_system_is_complete_in_aside(self):
        before = self.record(self.root)
        self.capture(self.root)
        result = self.wipe(self.root).summary
        self.assert_old_system_in_aside(before, self.root)
        self.assertEqual(result["moved_aside"], len([path for path in before if path and b"/" not in path]))
        self.assertIn(cases.MARKER, os.listdir(self.root))
        unpack_image(self, self.root)

    def test_dry_run_says_go_and_moves_nothing(self):
        self.capture(self.root)
        before = self.record(self.root)
        result = self.holdfast("wipe", self.root, "--dry-run").summary
        self.assertIs(result["ready"], True)
        self.assertEqual(result["reasons"], [])
        self.assertGreater(result["would_free_bytes"], 0)
        self.assertTrue(any(tree["path"] == "usr" and tree["bytes"] > 0 for tree in result["not_selected"]),
                        result["not_selected"])
        self.assertLessEqual(len(result["not_selected"]), 10)
        self.assert_nothing_moved(before, self.root)
        self.assertEqual(self.state(self.root), "sealed")

    def test_immutable_and_append_only_directories_at_the_top_go_too(self):
        for name, flag in (("locked", linux_calls.FLAG_IMMUTABLE), ("growing", linux_calls.FLAG_APPEND)):
            os.mkdir(self.path(name))
            with open(self.path(name, "file"), "wb") as file:
                file.write(name.encode())
            linux_calls.change_flags(self.path(name, "file"), add=flag)
            linux_calls.change_flags(self.path(name), add=flag)
        with open(self.path("locked-file"), "wb") as file:
            file.write(b"top-level file")
        linux_calls.change_flags(self.path("locked-file"), add=linux_calls.FLAG_IMMUTABLE)
        self.capture(self.root)
        self.wipe(self.root)
        self.assert_empty_around_store(self.root)
        unpack_image(self, self.root)
        # The image goes, the old system comes back with its flags.
        self.holdfast("rollback", self.root, "--yes")
        flags = {path: entry.get("flags", 0) for path, entry in self.record(self.root).items()}
        self.assertTrue(flags[b"locked"] & linux_calls.FLAG_IMMUTABLE)
        self.assertTrue(flags[b"locked-file"] & linux_calls.FLAG_IMMUTABLE)
        self.assertTrue(flags[b"growing"] & linux_calls.FLAG_APPEND)

    def test_a_busy_directory_goes_too(self):
        self.capture(self.root)
        sleeper = subprocess.Popen(["sleep", "600"], cwd=self.path("usr/lib"))
        self.addCleanup(run.end, sleeper)
        held = os.open(self.path("var/log/syslog"), os.O_RDWR | os.O_APPEND)
        self.addCleanup(os.close, held)
        self.wipe(self.root)
        self.assert_empty_around_store(self.root)
        unpack_image(self, self.root)

    def test_a_mount_point_stays_and_its_volume_is_untouched(self):
        for place in ("mounted", "var/cache/deep/mounted"):
            os.makedirs(self.path(place))
        other = self.volume("other", filesystem="ext4")
        treegen.build_users(other.path)
        for place in ("mounted", "var/cache/deep/mounted"):
            self.bind(other.path, self.path(place))
        untouched = oracle.record(other.path)
        self.capture(self.root)
        self.wipe(self.root, expect=(0, 3))
        self.assert_empty_around_store(self.root, "mounted", "var")
        # What leads to a border stays, what lies beside it goes.
        self.assertEqual(os.listdir(self.path("var")), ["cache"])
        self.assertEqual(os.listdir(self.path("var/cache")), ["deep"])
        self.assertEqual(os.listdir(self.path("var/cache/deep")), ["mounted"])
        self.assertTrue(os.path.exists(os.path.join(self.aside(self.root), "var/log/syslog")))
        self.assert_same(untouched, oracle.record(other.path), ("atime",), "another volume was touched")
        self.assertTrue(os.path.ismount(self.path("var/cache/deep/mounted")))
        unpack_image(self, self.root)

    def test_deleting_does_not_cross_a_mount_that_appears_in_aside(self):
        other = self.volume("other", filesystem="ext4")
        treegen.build_users(other.path)
        self.capture(self.root)
        self.wipe(self.root)
        hidden = os.path.join(self.aside(self.root), "usr/lib")
        self.bind(other.path, hidden)
        untouched = oracle.record(other.path)
        self.holdfast("wipe", self.root, "--yes", "--delete", expect=3)
        self.assert_same(untouched, oracle.record(other.path), ("atime",), "another volume was deleted from")
        self.holdfast("verify", self.root)

    def test_keep_leaves_paths_where_they_are(self):
        self.capture(self.root)
        before = self.record(self.root)
        result = self.wipe(self.root, "--keep", "/var/log", "--keep", "vmlinuz").summary
        self.assert_empty_around_store(self.root, "var", "vmlinuz")
        after = self.record(self.root)
        self.assert_same(oracle.below(before, "var/log", "vmlinuz"), oracle.below(after, "var/log", "vmlinuz"),
                         ("atime",))
        self.assertEqual({"var/log", "vmlinuz"} - set(result["kept"]), set(), result["kept"])
        # A run without the first one's --keep takes nothing more.
        self.wipe(self.root, expect=(0, 5))
        self.assertTrue(os.path.exists(self.path("vmlinuz")))

    def test_delete_frees_the_space_and_keeps_what_is_held(self):
        filler = self.path("usr/lib/filler")
        with open(filler, "wb") as file:
            file.write(os.urandom(40 << 20))
        before = self.record(self.root)
        self.capture(self.root)
        os.sync()
        free = os.statvfs(self.root).f_bfree * os.statvfs(self.root).f_frsize
        result = self.wipe(self.root, "--delete").summary
        self.assertGreater(result["deleted"], 0)
        os.sync()
        now = os.statvfs(self.root).f_bfree * os.statvfs(self.root).f_frsize
        self.assertGreater(now - free, 30 << 20)
        aside = self.aside(self.root)
        self.assertEqual(os.listdir(aside) if os.path.isdir(aside) else [], [])
        unpack_image(self, self.root)
        self.restore(self.root)
        self.assert_selected_same(before, self.root)

    def test_delete_later_frees_the_old_system(self):
        before = self.record(self.root)
        self.capture(self.root)
        self.wipe(self.root)
        unpack_image(self, self.root)
        image = self.record(self.root)
        self.wipe(self.root, "--delete")
        self.assert_nothing_moved(image, self.root, ("nlink", "atime"))
        self.restore(self.root)
        self.assert_selected_same(before, self.root)
        self.holdfast("rollback", self.root, "--yes", expect=5)

    def test_delete_keeps_files_that_the_mirror_does_not_hold(self):
        """A selected name in aside/ is unlinked only when the mirror has the same inode at that moment."""
        self.capture(self.root)
        self.wipe(self.root)
        swapped = os.path.join(self.aside(self.root), "home/al/letter.txt")
        with open(swapped + ".new", "wb") as file:
            file.write(b"somebody with an open directory put this here")
        os.rename(swapped + ".new", swapped)
        self.holdfast("wipe", self.root, "--yes", "--delete", expect=3)
        with open(swapped, "rb") as file:
            self.assertEqual(file.read(), b"somebody with an open directory put this here")

    def test_delete_takes_a_pattern_for_directories_at_its_word(self):
        """`cache/` leaves directories of that name out, not a file."""
        self.holdfast("capture", self.root, *treegen.INCLUDES, "--exclude", "cache/")
        self.wipe(self.root)
        late = os.path.join(self.aside(self.root), "home/al/cache")
        with open(late, "wb") as file:
            file.write(b"a file, and wanted")
        self.holdfast("wipe", self.root, "--yes", "--delete", expect=3)
        with open(late, "rb") as file:
            self.assertEqual(file.read(), b"a file, and wanted")

    def test_again_moves_a_failed_image_aside_and_adopts_nothing(self):
        before, image_path = self.record(self.root), self.path("home/al/letter.txt")
        self.capture(self.root)
        self.wipe(self.root)
        unpack_image(self, self.root)
        os.makedirs(os.path.dirname(image_path))
        with open(image_path, "wb") as file:
            file.write(b"the failed image's")
        self.wipe(self.root, "--again")
        self.assert_empty_around_store(self.root)
        self.assertEqual(self.state(self.root), "wiped")
        unpack_image_again(self.root)
        self.restore(self.root)
        self.assert_selected_same(before, self.root)

    def test_an_image_applied_with_delete_cannot_remove_the_store(self):
        before = self.record(self.root)
        self.capture(self.root)
        self.wipe(self.root)
        source = os.path.join(self.scratch.path, "image-source")
        os.mkdir(source)
        treegen.build_image(source, collide=False)
        subprocess.run(["rsync", "-a", "--delete", source + "/", self.root + "/"], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        held = oracle.record(self.store_path(self.root, "tree"))
        for path, entry in oracle.without_type(oracle.below(before, *treegen.SELECTED), "directory").items():
            self.assertEqual(held[path]["inode"], entry["inode"], path)
        self.restore(self.root, expect=(0, 3))
        self.assert_selected_same(before, self.root)

    def test_need_deletes_only_as_much_as_is_needed(self):
        self.capture(self.root)
        self.wipe(self.root, "--need", "1M")
        self.assertTrue(os.path.exists(os.path.join(self.aside(self.root), "usr")), "deleted without need")

    def test_a_tree_full_of_symlinks_leads_nowhere(self):
        for index, target in enumerate((self.canary, "/", "../../../..", self.canary + "/precious")):
            os.symlink(target, self.path("usr", f"way-out-{index}"))
            os.symlink(target, self.path(f"way-out-{index}"))
            os.symlink(target, self.path("home/al", f"way-out-{index}"))
        before = self.record(self.root)
        self.capture(self.root)
        self.wipe(self.root, "--delete")
        self.restore(self.root)
        self.assert_selected_same(before, self.root)


def unpack_image_again(root: str) -> None:
    treegen.build_image(root, collide=False)


class WipeWithSubvolumes(cases.VolumeCase):
    """btrfs: a subvolume rides along when its parent is renamed, so its parents stay."""

    filesystem = "btrfs"

    def test_nested_subvolumes_and_snapshots_stay(self):
        root = self.system()
        for place in ("sub", "var/lib/machines/inner"):
            os.makedirs(os.path.dirname(os.path.join(root, place)), exist_ok=True)
            cases.run_tool("btrfs", "subvolume", "create", os.path.join(root, place))
            treegen.build_users(os.path.join(root, place))
        cases.run_tool("btrfs", "subvolume", "snapshot", "-r", root, os.path.join(root, "snapshot"))
        kept = ("sub", "var/lib/machines/inner", "snapshot")
        records = {place: oracle.record(os.path.join(root, place)) for place in kept}
        self.capture(root)
        self.wipe(root, expect=(0, 3))
        self.assert_empty_around_store(root, "sub", "var", "snapshot")
        self.assertEqual(os.listdir(os.path.join(root, "var")), ["lib"])
        for place, before in records.items():
            after = oracle.record(os.path.join(root, place))
            if place == "snapshot":  # in a snapshot, other subvolumes are placeholders with times of the moment
                before, after = (oracle.without(record, *kept) for record in (before, after))
            self.assert_same(before, after, ("atime",), place)
        unpack_image(self, root)

    def test_deleting_does_not_enter_a_subvolume(self):
        root = self.system()
        self.capture(root)
        self.wipe(root)
        inner = os.path.join(self.aside(root), "usr", "made-later")
        cases.run_tool("btrfs", "subvolume", "create", inner)
        treegen.build_users(inner)
        before = oracle.record(inner)
        self.holdfast("wipe", root, "--yes", "--delete", expect=3)
        self.assert_same(before, oracle.record(inner), ("atime",))


class WipeWithImmovables(cases.VolumeCase):
    """A name that resists to the end, as an active swap file does, blocks nothing."""

    def test_what_cannot_be_renamed_is_left_and_listed(self):
        self.need_program("strace")
        root = self.system()
        self.capture(root)
        prefix = [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2,renameat",
                  "-P", os.path.join(root, "usr"), "-P", "usr", "-e", "inject=renameat2,renameat:error=EBUSY"]
        result = self.holdfast("wipe", root, "--yes", "--jobs", "1", prefix=prefix, expect=3)
        left = result.paths_of("left")
        self.assertEqual(left, {"usr"}, result.describe())
        self.assert_empty_around_store(root, "usr")
        # Run again without the obstacle: the rest goes.
        self.wipe(root)
        self.assert_empty_around_store(root)


if __name__ == "__main__":
    cases.main()
