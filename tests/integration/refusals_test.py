#!/usr/bin/env python3
"""Every refusal: exit 5, a stable reason code, and not one name in ROOT renamed or unlinked."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import linux_calls  # noqa: E402
import oracle  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402


class _Refusing(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.root = self.system()

    def sealed(self):
        self.capture(self.root)

    def wiped(self):
        self.capture(self.root)
        self.wipe(self.root)

    def restored(self, *arguments):
        self.wiped()
        treegen.build_image(self.root, collide=False)
        self.restore(self.root, *arguments)

    def refused(self, code: str, *arguments, **options):
        return self.assert_refused(code, *arguments, root=self.root, **options)


class WithoutYes(_Refusing):
    """No prompts, ever: a destructive command that was not confirmed is refused."""

    def test_wipe(self):
        self.sealed()
        self.refused("no-yes", "wipe", self.root)

    def test_rollback(self):
        self.wiped()
        self.refused("no-yes", "rollback", self.root)

    def test_discard(self):
        self.restored()
        self.refused("no-yes", "discard", self.root)
        self.assertIn(cases.STORE, os.listdir(self.root))


class WipeRefuses(_Refusing):
    """Both for real and as --dry-run, which gives the same code and all reasons."""

    def refused(self, code: str, *arguments, **options):
        before = self.record(self.root)
        dry = self.assert_refused(code, *arguments, "--dry-run", root=self.root, before=before, **options)
        self.assertIs(dry.summary.get("ready"), False, dry.describe())
        return self.assert_refused(code, *arguments, root=self.root, before=before, **options)

    def test_a_store_that_is_not_hashed_yet(self):
        self.capture(self.root, "--hash", "later")
        self.refused("not-sealed", "wipe", self.root, "--yes")

    def test_a_capture_that_was_killed(self):
        killed = run.killed_at(self.holdfast, "linkat", 9, "capture", self.root, *treegen.INCLUDES)
        self.assertEqual(killed.code, 137, killed.describe())
        self.refused("not-sealed", "wipe", self.root, "--yes")

    def test_a_store_that_holds_nothing(self):
        os.mkdir(os.path.join(self.root, "hollow"))
        self.holdfast("capture", self.root, "--include", "hollow", "--exclude", "hollow", expect=(0, 3))
        self.refused("nothing-held", "wipe", self.root, "--yes")

    def test_gaps_that_nobody_accepted(self):
        result = self.holdfast("capture", self.root, "--include", "home", "--include", "no/such/place", expect=3)
        self.assertGreater(result.summary["missed"], 0)
        self.refused("missed-entries", "wipe", self.root, "--yes")
        self.wipe(self.root, "--accept-missed", "no/such/place")
        self.assert_empty_around_store(self.root)

    def test_gaps_accepted_at_capture_are_accepted(self):
        self.holdfast("capture", self.root, "--include", "home", "--include", "no/such/place",
                      "--accept-missed", "no/such/place", expect=0)
        self.wipe(self.root)

    def test_a_keep_that_does_not_exist(self):
        self.sealed()
        before = self.record(self.root)
        self.holdfast("wipe", self.root, "--yes", "--keep", "opt/nowhere", expect=(2, 5))
        self.assert_nothing_moved(before, self.root)

    def test_more_space_than_the_volume_has(self):
        self.sealed()
        before = self.record(self.root)
        result = self.holdfast("wipe", self.root, "--yes", "--need", "900G", expect=13)
        self.assertEqual(result.summary["needed_bytes"], 900 << 30)
        self.assertGreater(result.summary["free_bytes"], 0)
        self.assert_nothing_moved(before, self.root)

    def test_a_damaged_catalog(self):
        self.sealed()
        before = self.record(self.root)
        damage_catalog(self.store_path(self.root, "catalog", "data.mdb"))
        self.holdfast("wipe", self.root, "--yes", expect=12)
        self.assert_nothing_moved(before, self.root)

    def test_a_store_that_was_copied_to_another_volume(self):
        self.sealed()
        other = self.volume("other").path
        treegen.build_old_system(other)
        treegen.build_users(other, seed=2)
        subprocess.run(["cp", "-a", self.store_path(self.root), other], check=True)
        self.assert_refused("other-identity", "wipe", other, "--yes", root=other)

    def test_an_image_that_is_on_already(self):
        self.wiped()
        treegen.build_image(self.root)
        before = self.record(self.root)
        self.assert_refused("image-present", "wipe", self.root, "--yes", root=self.root, before=before)

    def test_a_root_that_is_immutable(self):
        self.sealed()
        linux_calls.change_flags(self.root, add=linux_calls.FLAG_IMMUTABLE)
        self.refused("root-immutable", "wipe", self.root, "--yes")
        linux_calls.change_flags(self.root, remove=linux_calls.FLAG_IMMUTABLE)

    def test_one_of_several_roots(self):
        second = self.system("second")
        self.sealed()
        self.holdfast("capture", second, *treegen.INCLUDES, "--hash", "later")
        records = {root: self.record(root) for root in (self.root, second)}
        result = self.holdfast("wipe", self.root, second, "--yes", expect=5)
        self.assertIn("not-sealed", result.reason_codes)
        for root, before in records.items():
            self.assert_nothing_moved(before, root)
        self.assertEqual(self.state(self.root), "sealed")


class _Chrooted(_Refusing):
    """In a chroot, where ROOT really is `/` of the running program and nothing can be hurt."""

    def setUp(self):
        super().setUp()
        self.need_root()

    def prepare(self, top: str) -> None:
        listed = subprocess.run(["ldd", run.binary()], capture_output=True, text=True, check=True).stdout
        for source in [run.binary(), *(word for word in listed.split() if word.startswith("/"))]:
            place = top + ("/holdfast" if source == run.binary() else source)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy2(os.path.realpath(source), place)
        self.bind("/proc", os.path.join(top, "proc"))
        self.bind("/dev", os.path.join(top, "dev"))

    def inside(self, top: str, *arguments, expect: int) -> run.Result:
        command = ["chroot", top, "/holdfast", *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, check=False, env=run.environment(), timeout=120)
        result = run.Result(command, done.returncode, done.stdout, done.stderr, True)
        self.assertEqual(done.returncode, expect, result.describe())
        return result


class WipeOfTheRunningSystem(_Chrooted):
    BORDERS = ("proc", "dev", "mnt")

    def setUp(self):
        super().setUp()
        self.prepare(self.root)

    def refused_inside(self, place: str):
        self.inside(self.root, "capture", place, *treegen.INCLUDES, expect=0)
        before = self.record(self.root, *cases.OURS, *self.BORDERS)
        result = self.inside(self.root, "wipe", place, "--yes", expect=5)
        self.assertIn("running-system", result.reason_codes, result.describe())
        self.assert_same(before, self.record(self.root, *cases.OURS, *self.BORDERS), ("nlink", "atime"))

    def test_is_refused(self):
        self.refused_inside("/")

    def test_is_refused_through_a_bind_mount(self):
        self.bind(self.root, os.path.join(self.root, "mnt", "again"))
        self.refused_inside("/mnt/again")

    def test_is_refused_for_a_directory_above_it(self):
        """The running system is a directory of the volume, as a container's is, and sees the whole of it."""
        below = os.path.join(self.root, "systems", "one")
        running = os.path.join(self.scratch.path, "running")
        os.makedirs(below)
        self.bind(below, running)
        self.prepare(running)
        self.bind(self.root, os.path.join(running, "mnt", "outer"))
        self.inside(running, "capture", "/mnt/outer", *treegen.INCLUDES, expect=0)
        outer = (*self.BORDERS, "systems")
        before = self.record(self.root, *cases.OURS, *outer)
        result = self.inside(running, "wipe", "/mnt/outer", "--yes", expect=5)
        self.assertIn("running-system", result.reason_codes, result.describe())
        self.assert_same(before, self.record(self.root, *cases.OURS, *outer), ("nlink", "atime"))


class WipeAboveTheRunningSystem(_Chrooted):
    """btrfs: the running system is a subvolume, and somebody names the top level above it."""

    filesystem = "btrfs"

    def test_is_refused(self):
        volume = self.volume("disk")
        cases.run_tool("btrfs", "subvolume", "create", os.path.join(volume.path, "@"))
        treegen.build_users(volume.path)
        running = os.path.join(self.scratch.path, "running")
        top = os.path.join(running, "mnt", "top")
        os.mkdir(running)
        cases.run_tool("mount", "-o", "subvol=@", volume.device, running)
        self.addCleanup(subprocess.run, ["umount", "-l", running], check=False)
        self.prepare(running)
        os.makedirs(top)
        cases.run_tool("mount", "-o", "subvolid=5", volume.device, top)
        self.addCleanup(subprocess.run, ["umount", "-l", top], check=False)
        treegen.build_old_system(running)

        self.inside(running, "capture", "/mnt/top", "--include", "home", expect=0)
        before = self.record(volume.path)
        result = self.inside(running, "wipe", "/mnt/top", "--yes", expect=5)
        self.assertIn("running-system", result.reason_codes, result.describe())
        self.assert_nothing_moved(before, volume.path)


class CaptureRefuses(_Refusing):
    def test_another_selection_than_the_stored_one(self):
        self.sealed()
        result = self.refused("other-selection", "capture", self.root, "--include", "home/bo")
        self.assertRegex(json_text(result), r"[0-9]+", "the count that would leave the store is named")
        listed = {entry["path"] for entry in self.holdfast("ls", self.root).listed}
        self.assertIn("home/al/letter.txt", listed)

    def test_an_emptied_root(self):
        self.sealed()
        self.empty_by_hand(self.root)
        self.refused("vanished", "capture", self.root)

    def test_when_the_originals_are_gone(self):
        self.wiped()
        self.refused("wrong-state", "capture", self.root)
        treegen.build_image(self.root)
        self.refused("wrong-state", "capture", self.root)
        self.restore(self.root, expect=(0, 3))
        self.refused("wrong-state", "capture", self.root)

    def test_seal_when_the_originals_are_gone(self):
        self.wiped()
        self.refused("wrong-state", "seal", self.root)

    def test_roots_inside_each_other(self):
        self.refused("overlapping-roots", "capture", self.root, os.path.join(self.root, "home"), "--everything")
        self.assertNotIn(cases.STORE, os.listdir(self.root))
        self.assertNotIn(cases.STORE, os.listdir(os.path.join(self.root, "home")))

    def test_the_same_root_twice(self):
        self.refused("overlapping-roots", "capture", self.root, self.root + "/.", "--everything")

    def test_a_store_of_somebody_else_below_root(self):
        self.holdfast("capture", os.path.join(self.root, "home"), "--everything")
        before = oracle.record(self.root)
        result = self.holdfast("capture", self.root, *treegen.INCLUDES, expect=5)
        self.assertIn("other-store", result.reason_codes, result.describe())
        self.assert_same(before, oracle.record(self.root, (cases.STORE,)), ("nlink", "atime"))

    def test_a_store_inside_what_wipe_would_move(self):
        self.refused("store-in-the-way", "capture", self.root, *treegen.INCLUDES,
                     "--store", os.path.join(self.root, "var", "store"))

    def test_a_store_on_another_volume(self):
        other = self.volume("other").path
        self.refused("other-volume", "capture", self.root, *treegen.INCLUDES,
                     "--store", os.path.join(other, "store"))
        self.assertEqual(set(os.listdir(other)) - {"lost+found"}, set())

    def test_a_store_that_others_can_enter(self):
        self.sealed()
        os.chmod(self.store_path(self.root), 0o755)
        before = self.record(self.root)
        for command in (("capture", self.root), ("wipe", self.root, "--yes"), ("restore", self.root)):
            self.assert_refused("open-store", *command, root=self.root, before=before)

    def test_a_store_of_another_owner(self):
        self.need_root()
        self.sealed()
        os.chown(self.store_path(self.root), 1234, 1234)
        self.refused("foreign-store", "wipe", self.root, "--yes")

    def test_overlayfs_by_name(self):
        self.need_root()
        layers = self.volume("layers").path
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(os.path.join(layers, name))
        treegen.build_users(os.path.join(layers, "lower"))
        merged = os.path.join(layers, "merged")
        options = ",".join(f"{key}={layers}/{place}" for key, place in
                           (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")))
        mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, merged],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skip_loudly(f"no overlayfs here: {mounted.stderr.strip()}")
        try:
            result = self.assert_refused("overlay-filesystem", "capture", merged, *treegen.INCLUDES, root=merged)
            self.assertIn("overlay", json_text(result))
        finally:
            cases.run_tool("umount", merged)

    def test_after_a_failed_barrier_until_the_volume_was_mounted_anew(self):
        """A second sync succeeds with nothing written: it proves nothing."""
        self.need_program("strace")
        volume = self.volume("faulty")
        treegen.build_old_system(volume.path)
        treegen.build_users(volume.path)
        prefix = [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=syncfs",
                  "-e", "inject=syncfs:error=EIO:when=2+"]
        self.capture(volume.path, prefix=prefix, expect=1)
        before = self.record(volume.path)
        for command in (("seal", volume.path), ("wipe", volume.path, "--yes")):
            self.holdfast(*command, expect=5)
            self.assert_nothing_moved(before, volume.path)
        volume.unmount()
        volume.mount()
        self.capture(volume.path)
        self.wipe(volume.path)


class RollbackRefuses(_Refusing):
    def test_what_was_never_wiped(self):
        self.sealed()
        self.refused("wrong-state", "rollback", self.root, "--yes")

    def test_when_the_old_system_was_deleted(self):
        self.capture(self.root)
        self.wipe(self.root, "--delete")
        treegen.build_image(self.root, collide=False)
        self.refused("old-system-gone", "rollback", self.root, "--yes")

    def test_when_somebody_deleted_from_aside(self):
        self.wiped()
        shutil.rmtree(os.path.join(self.aside(self.root), "usr"))
        self.refused("old-system-incomplete", "rollback", self.root, "--yes")

    def test_when_restore_moved_the_files_out(self):
        self.restored("--mode", "move")
        self.refused("moved-out", "rollback", self.root, "--yes")


class RestoreRefuses(_Refusing):
    def test_what_is_not_sealed(self):
        self.capture(self.root, "--hash", "later")
        self.refused("wrong-state", "restore", self.root)

    def test_move_before_the_wipe(self):
        self.sealed()
        self.refused("wrong-state", "restore", self.root, "--mode", "move")

    def test_paths_that_match_nothing(self):
        self.wiped()
        before = self.record(self.root)
        for arguments in (("home/nobody",), ("--map", "home/nobody=home/x"), ("--include", "home/nobody")):
            self.holdfast("restore", self.root, *arguments, expect=(2, 5))
            self.assert_nothing_moved(before, self.root)

    def test_paths_that_climb_out(self):
        self.wiped()
        before = self.record(self.root)
        for path in ("../canary", "home/../../canary"):
            self.holdfast("restore", self.root, path, expect=2)
            self.holdfast("restore", self.root, "--map", f"home={path}", expect=2)
            self.assert_nothing_moved(before, self.root)


class DiscardRefuses(_Refusing):
    def store_inodes(self) -> set:
        return {entry["inode"] for entry in oracle.record(self.store_path(self.root)).values()
                if entry["type"] == "file"}

    def refused(self, code: str, *arguments, **options):
        held = self.store_inodes()
        result = super().refused(code, *arguments, **options)
        self.assertEqual(self.store_inodes() & held, held, "a refused discard deleted files of the store")
        return result

    def test_the_only_names(self):
        self.wiped()
        self.refused("only-names", "discard", self.root, "--yes")

    def test_the_only_names_after_a_partial_restore(self):
        self.wiped()
        self.restore(self.root, "home/al")
        self.refused("only-names", "discard", self.root, "--yes")
        self.restore(self.root)
        self.holdfast("discard", self.root, "--yes")

    def test_names_in_aside_do_not_count(self):
        """After the wipe every captured file has two names, both inside the store."""
        self.wiped()
        inode = os.stat(self.store_path(self.root, "tree", "home/al/letter.txt"))
        self.assertGreaterEqual(inode.st_nlink, 2)
        self.refused("only-names", "discard", self.root, "--yes")

    def test_a_file_that_only_looks_like_a_restored_one(self):
        """The same path, size and mtime, other bytes: nobody restored it."""
        self.wiped()
        self.restore(self.root, "--exclude", "home/al/letter.txt")
        path = os.path.join(self.root, "home/al/letter.txt")
        held = os.stat(self.store_path(self.root, "tree", "home/al/letter.txt"))
        with open(path, "wb") as file:
            file.write(b"x" * held.st_size)
        os.utime(path, ns=(held.st_atime_ns, held.st_mtime_ns))
        self.refused("only-names", "discard", self.root, "--yes")

    def test_what_the_last_refresh_missed(self):
        """It was wanted, it is not held, and aside/ has its only name."""
        self.sealed()
        with treegen.Dir(os.path.join(self.root, "home/al")) as home:
            home.file("new-after-capture", b"cannot be linked")
        strace = [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=linkat",
                  "-e", "inject=linkat:error=EPERM"]
        wiped = self.holdfast("wipe", self.root, "--yes", prefix=strace, expect=3)
        self.assertIn("home/al/new-after-capture", wiped.paths_of("missed"))
        self.restore(self.root, expect=(0, 3))
        self.refused("missed-entries", "discard", self.root, "--yes")
        self.assertTrue(os.path.exists(os.path.join(self.aside(self.root), "home/al/new-after-capture")))
        self.holdfast("discard", self.root, "--yes", "--lose-files")

    def test_a_wipe_that_was_cut_short(self):
        self.sealed()
        self.holdfast("wipe", self.root, "--yes", expect=137, env={"HOLDFAST_FAILPOINT": "moved-aside"})
        self.assertEqual(self.state(self.root), "wiping")
        self.refused("wipe-unfinished", "discard", self.root, "--yes")

    def test_displaced_files_nobody_looked_at(self):
        self.wiped()
        treegen.build_image(self.root)
        self.restore(self.root, expect=(0, 3))
        self.refused("displaced-files", "discard", self.root, "--yes")
        self.holdfast("discard", self.root, "--yes", "--lose-displaced")

    def test_after_somebody_emptied_root(self):
        self.restored()
        self.empty_by_hand(self.root)
        self.refused("root-emptied", "discard", self.root, "--yes")

    def test_unless_told_to_lose_files(self):
        self.wiped()
        self.holdfast("discard", self.root, "--yes", "--lose-files")
        self.assertNotIn(cases.STORE, os.listdir(self.root))

    def test_before_the_wipe_nothing_is_lost(self):
        before = self.record(self.root)
        self.sealed()
        self.holdfast("discard", self.root, "--yes")
        self.assertNotIn(cases.STORE, os.listdir(self.root))
        self.assert_nothing_moved(before, self.root, ("atime",))


def damage_catalog(path: str) -> None:
    """Flips bytes in the middle; the file is immutable while sealed."""
    try:
        linux_calls.change_flags(path, remove=linux_calls.FLAG_IMMUTABLE)
    except OSError:
        pass
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(size // 2)
        old = file.read(64)
        file.seek(size // 2)
        file.write(bytes(byte ^ 0x5A for byte in old))


def json_text(result: run.Result) -> str:
    return result.text + result.stderr


if __name__ == "__main__":
    cases.main()
