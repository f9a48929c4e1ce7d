#!/usr/bin/env python3
"""The main job, end to end: capture, wipe, another image, restore, discard; on every filesystem."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import foreign  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402

DISPLACED = {path.decode() for path in treegen.IMAGE_COLLISIONS}


@cases.on("ext4", "xfs", "btrfs", "tmpfs")
class LifecycleMixin:
    """Mounted noatime: what reads the trees to compare them must not change them."""

    def setUp(self):
        super().setUp()
        self.root = self.system(options="noatime")
        treegen.build_everything(os.path.join(self.root, "home", "everything"))

    def lay_image(self, collide: bool = True) -> dict:
        treegen.build_image(self.root, collide)
        return oracle.below(self.record(self.root), *treegen.IMAGE_ONLY)

    def capture_and_wipe(self) -> dict:
        before = self.record(self.root)
        self.capture(self.root)
        self.wipe(self.root)
        self.assert_empty_around_store(self.root)
        return before

    def test_link_gives_every_selected_file_back(self):
        copy = self.volume("copy", options="noatime").path
        foreign.copy_with_rsync(self.root, copy, treegen.SELECTED)
        said = foreign.testimony(self.root, treegen.SELECTED)
        before = self.record(self.root)

        captured = self.capture(self.root).summary
        self.assertEqual(captured["state"], "sealed")
        self.assertTrue(captured["durable"])
        self.assertEqual(captured["missed"], 0)
        self.assertEqual(captured["copied"], 0)
        self.assert_nothing_moved(before, self.root)

        wiped = self.wipe(self.root).summary
        self.assertEqual(wiped["state"], "wiped")
        self.assert_empty_around_store(self.root)

        image = self.lay_image()
        restored = self.restore(self.root, expect=(0, 3)).summary
        self.assertEqual(restored["state"], "restored")
        self.assert_selected_same(before, self.root)
        self.assert_same(image, oracle.below(self.record(self.root), *treegen.IMAGE_ONLY), ("nlink", "atime"),
                         "the image's own files changed")
        self.holdfast("verify", self.root)

        self.holdfast("discard", self.root, "--yes", "--lose-displaced")
        self.assertNotIn(cases.STORE, os.listdir(self.root))
        self.assertNotIn(cases.MARKER, os.listdir(self.root))
        self.assert_selected_same(before, self.root, ignore=())
        self.assertEqual(foreign.rsync_differences(copy, self.root, treegen.SELECTED), "")
        self.assertEqual(foreign.differences(said, foreign.testimony(self.root, treegen.SELECTED)), [])

    def test_move_leaves_no_second_names(self):
        before = self.capture_and_wipe()
        self.lay_image(collide=False)
        result = self.restore(self.root, "--mode", "move").summary
        self.assertEqual(result["state"], "restored")
        left = oracle.without_type(oracle.record(self.store_path(self.root, "tree")), "directory")
        self.assertEqual(sorted(left), [], "names left in the mirror")
        self.holdfast("verify", self.root)
        self.holdfast("discard", self.root, "--yes")
        # nlink included: the kernel counts exactly the names that there were before.
        self.assert_selected_same(before, self.root, ignore=())

    def test_copy_makes_independent_files(self):
        before = self.capture_and_wipe()
        self.lay_image()
        self.restore(self.root, "--mode", "copy", expect=(0, 3))
        self.assert_selected_same(before, self.root, ignore=oracle.SAME_PLACE_DIFFERENT_INODE)
        held = {entry["inode"] for entry in oracle.record(self.store_path(self.root)).values()}
        mine = {entry["inode"] for path, entry in oracle.below(self.record(self.root), "home").items()}
        self.assertEqual(held & mine, set(), "inodes shared with the store")
        sparse = os.stat(os.path.join(self.root, "home/everything/contents/sparse"))
        self.assertLess(sparse.st_blocks * 512, sparse.st_size // 2, "the hole was filled")

    def test_reflink_shares_space_or_is_refused_before_anything_is_done(self):
        before = self.capture_and_wipe()
        self.lay_image(collide=False)
        if self.filesystem in ("btrfs", "xfs"):
            result = self.restore(self.root, "--mode", "reflink", expect=0).summary
            self.assertGreater(result["reflinked"], 0)
            self.assert_selected_same(before, self.root, ignore=oracle.SAME_PLACE_DIFFERENT_INODE)
            return
        image = self.record(self.root)
        result = self.restore(self.root, "--mode", "reflink", expect=5)
        self.assertTrue(result.summary["hint"], result.describe())
        self.assert_nothing_moved(image, self.root, ("nlink",))
        self.assertEqual(self.state(self.root), "wiped")

    def test_everything_brings_back_the_whole_root(self):
        os.chmod(self.root, 0o711)
        os.chown(self.root, 17, 18)
        before = self.record(self.root)
        self.holdfast("capture", self.root, "--everything")
        self.wipe(self.root)
        os.chmod(self.root, 0o755)
        os.chown(self.root, 0, 0)
        self.lay_image()
        self.restore(self.root, expect=(0, 3))
        after = {path: entry for path, entry in self.record(self.root).items() if path in before}
        for record in (before, after):
            record[b""].pop("mtime")  # the marker and the store come and go in ROOT itself
            for field in ("inode", "btime", "mtime"):  # the image's symlink says the same: nothing to do
                record[b"bin"].pop(field, None)
        before = oracle.without_type(before, "socket")
        self.assert_same(oracle.as_restored(before), oracle.as_restored(after), ("nlink", "links"))

    def test_restore_to_a_directory_leaves_root_and_state_alone(self):
        before = self.record(self.root)
        self.capture(self.root)
        target = os.path.join(self.root, "elsewhere")
        os.mkdir(target)
        self.restore(self.root, "--to", target)
        self.assertEqual(self.state(self.root), "sealed")
        wanted = oracle.without_type(oracle.below(before, *treegen.SELECTED), "socket")
        found = oracle.below(oracle.record(target), *treegen.SELECTED)
        self.assert_same(oracle.as_restored(wanted), oracle.as_restored(found), ("nlink", "links"))
        for path, entry in oracle.without_type(wanted, "directory").items():
            self.assertEqual(found[path]["inode"], entry["inode"], path)

    def test_copy_to_another_volume(self):
        before = self.capture_and_wipe()
        target = self.volume("other").path
        self.restore(self.root, "--to", target, "--mode", "copy")
        found = oracle.below(oracle.record(target), *treegen.SELECTED)
        wanted = oracle.without_type(oracle.below(before, *treegen.SELECTED), "socket")
        self.assert_same(oracle.as_restored(wanted), oracle.as_restored(found), oracle.SAME_PLACE_DIFFERENT_INODE)
        self.assertEqual(self.state(self.root), "wiped")

    def test_link_to_another_volume_is_refused_before_anything_is_done(self):
        self.capture_and_wipe()
        target = self.volume("other").path
        empty = oracle.record(target)
        for mode in ("link", "move"):
            result = self.restore(self.root, "--to", target, "--mode", mode, expect=5)
            self.assertTrue(result.summary["hint"], result.describe())
            self.assert_same(empty, oracle.record(target))

    def test_paths_add_up_to_everything(self):
        before = self.capture_and_wipe()
        self.restore(self.root, "/home/al/work", "home/bo/letter.txt")
        found = oracle.below(self.record(self.root), "home", "srv")
        wanted = oracle.below(before, "home/al/work", "home/bo/letter.txt")
        found_there = oracle.below(found, "home/al/work", "home/bo/letter.txt")
        self.assert_same(oracle.as_restored(wanted), oracle.as_restored(found_there), ("nlink",))
        self.assertNotIn(b"home/al/letter.txt", found)
        self.assertNotIn(b"srv", found)
        # Directories on the way are made from their records.
        for way in (b"home", b"home/al", b"home/bo"):
            for field in ("mode", "uid", "gid"):
                self.assertEqual(found[way][field], before[way][field], (way, field))
        self.restore(self.root, "home")
        self.restore(self.root, "srv/data")
        self.assert_selected_same(before, self.root)
        self.restore(self.root)
        self.assertEqual(self.state(self.root), "restored")

    def test_map_puts_trees_elsewhere(self):
        before = self.capture_and_wipe()
        self.lay_image(collide=False)
        self.restore(self.root, "--map", "home/al=home/alice", "--map", "home/al/work/deep=srv/archive",
                     "--map", "home/bo/letter.txt=home/bo/post.txt")
        wanted = oracle.without_type(oracle.below(before, *treegen.SELECTED), "socket")
        # The longest prefix wins: what is below work/deep does not follow home/al.
        wanted = oracle.moved(wanted, b"home/al/work/deep", b"srv/archive")
        wanted = oracle.moved(wanted, b"home/al", b"home/alice")
        wanted = oracle.moved(wanted, b"home/bo/letter.txt", b"home/bo/post.txt")
        found = oracle.below(self.record(self.root), "home", "srv/data", "srv/archive")
        self.assert_same(oracle.as_restored(wanted), oracle.as_restored(found), ("nlink",))
        self.assertNotIn(b"home/al", found)

    def test_repeated_commands_have_nothing_to_do(self):
        self.capture(self.root)
        again = self.holdfast("capture", self.root).summary
        self.assertEqual((again.get("linked", 0), again.get("hashed_files", 0)), (0, 0))
        self.holdfast("seal", self.root)
        self.wipe(self.root)
        self.wipe(self.root)
        self.lay_image(collide=False)
        self.restore(self.root)
        with open(os.path.join(self.root, "home/al/letter.txt"), "wb") as letter:
            letter.write(b"edited after the restore")
        os.unlink(os.path.join(self.root, "home/bo/letter.txt"))
        now = self.record(self.root)
        again = self.restore(self.root).summary
        self.assertEqual(again["state"], "restored")
        self.assert_nothing_moved(now, self.root)
        self.restore(self.root, "--again", expect=(0, 3))
        self.assertTrue(os.path.exists(os.path.join(self.root, "home/bo/letter.txt")))
        self.holdfast("discard", self.root, "--yes", expect=0)
        self.holdfast("discard", self.root, "--yes", expect=(0, 10))

    def test_seal_finishes_a_capture_that_hashes_later(self):
        linked = self.capture(self.root, "--hash", "later").summary
        self.assertEqual(linked["state"], "linked")
        self.assertEqual(linked.get("hashed_files", 0), 0)
        sealed = self.holdfast("seal", self.root).summary
        self.assertEqual(sealed["state"], "sealed")
        # Empty files have a hash that needs no reading.
        files = [entry for entry in self.holdfast("ls", self.root).listed if entry["type"] == "file"]
        inodes = len({entry["inode"] for entry in files})
        self.assertLessEqual(abs(sealed["hashed_files"] - inodes), self.empty_files())
        self.assertEqual([entry["path"] for entry in files if "hash" not in entry], [])

    def empty_files(self) -> int:
        record = oracle.below(self.record(self.root), *treegen.SELECTED)
        return sum(1 for entry in record.values() if entry["type"] == "file" and entry["size"] == 0)

    def test_catalog_counts_what_the_tree_holds(self):
        before = oracle.without_type(oracle.below(self.record(self.root), *treegen.SELECTED), "socket")
        summary = self.capture(self.root).summary
        kinds = [entry["type"] for entry in before.values()]
        files = {path: entry for path, entry in before.items() if entry["type"] == "file"}
        inodes = {entry["inode"]: entry for entry in files.values()}
        self.assertEqual(summary["files"], len(files))
        self.assertEqual(summary["inodes"], len(inodes))
        self.assertEqual(summary["symlinks"], kinds.count("symlink"))
        self.assertEqual(summary["specials"], sum(kinds.count(kind) for kind in ("fifo", "char", "block")))
        self.assertEqual(summary["bytes"], sum(entry["size"] for entry in inodes.values()))
        self.assertLessEqual(abs(summary["hashed_files"] - len(inodes)), self.empty_files())
        self.assertEqual(summary["hashed_bytes"], summary["bytes"])
        listed = self.holdfast("ls", self.root).listed
        names = {entry["path"].encode("utf-8", "surrogateescape") for entry in listed if "path_b64" not in entry}
        awkward = {path for path in before if not _is_utf8(path)}
        self.assertEqual({path for path in before if path not in awkward} - names, set(), "not listed")
        self.assertGreaterEqual(foreign.mdb_entries(self.store_path(self.root, "catalog")), len(before))


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


@cases.on("ext4", "btrfs")
class ConflictsMixin:
    """What the image brought is in the place of a captured file."""

    def setUp(self):
        super().setUp()
        self.root, self.before = self.captured_and_wiped()
        treegen.build_image(self.root)
        self.image = self.record(self.root)

    def content(self, path: str) -> bytes:
        with open(os.path.join(self.root, path), "rb") as file:
            return file.read()

    def displaced(self) -> dict:
        place = self.store_path(self.root, "displaced")
        return oracle.without_type(oracle.record(place), "directory") if os.path.isdir(place) else {}

    def test_captured_wins_and_keeps_the_displaced_one(self):
        result = self.restore(self.root, expect=(0, 3))
        self.assert_selected_same(self.before, self.root)
        self.assertEqual(result.paths_of("conflict"), DISPLACED)
        self.assertEqual(result.summary["conflicts"], len(DISPLACED))
        self.assertEqual(result.summary["displaced"], len(DISPLACED))
        kept = {entry["sha256"] for entry in self.displaced().values()}
        self.assertEqual(kept, {self.image[path]["sha256"] for path in treegen.IMAGE_COLLISIONS})

    def test_existing_wins_and_is_listed(self):
        result = self.restore(self.root, "--on-conflict", "existing", expect=0)
        self.assertEqual(result.paths_of("conflict"), DISPLACED)
        after = self.record(self.root)
        for path in treegen.IMAGE_COLLISIONS:
            self.assertEqual(after[path]["inode"], self.image[path]["inode"], path)
        wanted = {path: entry for path, entry in oracle.below(self.before, *treegen.SELECTED).items()
                  if path not in treegen.IMAGE_COLLISIONS and entry["type"] != "directory"}
        found = {path: after[path] for path in wanted if path in after}
        self.assert_same(oracle.as_restored(wanted), oracle.as_restored(found), ("nlink",))
        self.assertEqual(self.displaced(), {})

    def test_newer_wins(self):
        old, new = "srv/data/readme", "home/al/work/paper-3"
        os.utime(os.path.join(self.root, old), ns=(0, -2_000_000_000 * 10**9))
        os.utime(os.path.join(self.root, new), ns=(0, 4_000_000_000 * 10**9))
        self.restore(self.root, "--on-conflict", "newer", expect=(0, 3))
        self.assertEqual(self.content(old), b"shared\n")
        self.assertEqual(self.content(new), b"somebody else's paper")

    def test_both_keeps_the_two_beside_each_other(self):
        self.restore(self.root, "--on-conflict", "both", expect=(0, 3))
        where = os.path.join(self.root, "srv", "data")
        contents = {self.content("srv/data/" + name) for name in os.listdir(where)}
        self.assertLessEqual({b"shared\n", b"of the image\n"}, contents)
        self.assertEqual(self.displaced(), {})
        names = os.listdir(where)
        # Run again: no third name appears.
        self.restore(self.root, "--again", "--on-conflict", "both", expect=(0, 3))
        self.assertEqual(sorted(os.listdir(where)), sorted(names))

    def test_fail_is_planned_first_and_touches_nothing(self):
        result = self.restore(self.root, "--on-conflict", "fail", expect=5)
        self.assertEqual(result.paths_of("conflict"), DISPLACED)
        self.assert_nothing_moved(self.image, self.root)
        self.assertEqual(self.state(self.root), "wiped")

    def test_fail_restores_when_there_is_no_conflict(self):
        for path in treegen.IMAGE_COLLISIONS:
            os.unlink(os.path.join(self.root, os.fsdecode(path)))
        self.restore(self.root, "--on-conflict", "fail")
        self.assert_selected_same(self.before, self.root)

    def test_dry_run_tells_and_touches_nothing(self):
        result = self.restore(self.root, "--dry-run", expect=(0, 3))
        self.assertEqual(result.paths_of("conflict"), DISPLACED)
        self.assert_nothing_moved(self.image, self.root)
        self.assertEqual(self.state(self.root), "wiped")

    def test_same_bytes_and_metadata_are_no_conflict(self):
        path = os.path.join(self.root, "srv/data/readme")
        with open(path, "wb") as file:
            file.write(b"shared\n")
        wanted = self.before[b"srv/data/readme"]
        os.chmod(path, int(wanted["mode"], 8))
        os.utime(path, ns=(wanted["atime"], wanted["mtime"]))
        result = self.restore(self.root, expect=(0, 3))
        self.assertNotIn("srv/data/readme", result.paths_of("conflict"))

    def test_symlink_of_the_image_on_the_way_is_never_displaced(self):
        where = os.path.join(self.root, "home")
        run_away = os.path.join(self.root, "usr", "home")
        os.rename(where, run_away)
        os.symlink("usr/home", where)
        result = self.restore(self.root, expect=(3, 5))
        self.assertTrue(os.path.islink(where))
        self.assertEqual(self.record(self.root)[b"usr/home/al/.profile"]["sha256"],
                         self.image[b"home/al/.profile"]["sha256"], "restored through a symlink")
        self.assertIn("home", result.paths_of("conflict") | result.paths_of("left"), result.describe())
        # The cure that the hint names.
        self.restore(self.root, "--map", "home=usr/home", expect=(0, 3))
        self.assertEqual(self.content("usr/home/al/.profile"), b"# al's own\n")


@cases.on("ntfs")
class NtfsLifecycleMixin:
    """ntfs-3g: another link limit, no flags for renameat2, its own barrier; plain files must survive."""

    def test_link_gives_every_selected_file_back(self):
        root, before = self.captured_and_wiped()
        treegen.build_image(root, collide=False)
        self.restore(root)
        self.assert_selected_same(before, root, ignore=("nlink", "blocks", "btime", "atime"))
        self.holdfast("verify", root)
        self.holdfast("discard", root, "--yes")
        self.assertNotIn(cases.STORE, os.listdir(root))


if __name__ == "__main__":
    cases.main()
