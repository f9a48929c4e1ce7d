#!/usr/bin/env python3
"""Hashes of a real tree are those that xxh128sum computes, and the search by them finds what it should."""

import os
import shutil
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import foreign  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402

_MOST_FILES = 4000
_MOST_BYTES = 120 << 20


def copy_real_tree(target: str) -> int:
    """A part of /usr/share and /etc, as found on any Debian; gives the number of regular files."""
    sources = ["/etc", "/usr/share/perl5", "/usr/share/zoneinfo", "/usr/share/doc", "/usr/share/misc",
               "/usr/share/python3", "/usr/share/terminfo"]
    files = size = 0
    for source in sources:
        for directory, _, names in os.walk(source):
            if files > _MOST_FILES or size > _MOST_BYTES:
                return files
            place = os.path.join(target, directory.lstrip("/"))
            os.makedirs(place, exist_ok=True)
            for name in names:
                path = os.path.join(directory, name)
                try:
                    found = os.lstat(path)
                    if stat.S_ISREG(found.st_mode) and found.st_size < 4 << 20:
                        shutil.copy2(path, os.path.join(place, name), follow_symlinks=False)
                        files, size = files + 1, size + found.st_size
                    elif stat.S_ISLNK(found.st_mode):
                        os.symlink(os.readlink(path), os.path.join(place, name))
                except OSError:
                    continue
    return files


class _RealTree(cases.VolumeCase):
    @property
    def where(self) -> str:
        return self.filesystem if os.geteuid() == 0 else "folder"


class RealTree(_RealTree):
    def setUp(self):
        super().setUp()
        self.root = self.volume(filesystem=self.where).path
        self.files = copy_real_tree(os.path.join(self.root, "data"))
        self.assertGreater(self.files, 100)

    def test_hashes_equal_xxh128sum(self):
        self.need_program("xxh128sum")
        self.holdfast("capture", self.root, "--everything")
        listed = [entry for entry in self.holdfast("ls", self.root).listed if entry["type"] == "file"]
        self.assertEqual(len(listed), self.files)
        paths = [entry["path"] for entry in listed if "path_b64" not in entry]
        expected = foreign.xxh128_of(self.root, paths)
        wrong = {entry["path"]: (entry["hash"], expected.get(entry["path"]))
                 for entry in listed if entry["hash"] != expected.get(entry["path"])}
        self.assertEqual(wrong, {})

    def test_xxh128sum_accepts_the_manifest_inside_the_mirror(self):
        self.need_program("xxh128sum")
        self.holdfast("capture", self.root, "--everything")
        store = self.store_path(self.root)
        manifest = os.path.join(store, "manifest.xxh128")
        with open(manifest, "rb") as file:
            self.assertEqual(sum(1 for _ in file), self.files)
        foreign.xxh128sum_check(os.path.join(store, "tree"), manifest)

    def test_the_real_tree_survives(self):
        before = oracle.record(self.root, cases.OURS)
        self.holdfast("capture", self.root, "--include", "data")
        self.wipe(self.root)
        treegen.build_image(self.root, collide=False)
        self.restore(self.root)
        self.assert_selected_same(before, self.root, prefixes=("data",))
        self.holdfast("verify", self.root)


class AwkwardNames(_RealTree):
    """A line break in a name could forge a line of the manifest: xxh128sum never sees such names."""

    def test_manifest_holds_only_names_that_xxh128sum_can_read(self):
        self.need_program("xxh128sum")
        root = self.volume(filesystem=self.where).path
        treegen.build_everything(os.path.join(root, "home"), root=os.geteuid() == 0)
        self.holdfast("capture", root, "--everything")
        store = self.store_path(root)
        foreign.xxh128sum_check(os.path.join(store, "tree"), os.path.join(store, "manifest.xxh128"))
        # All names are in the other manifest.
        with open(os.path.join(store, "manifest.jsonl"), "rb") as file:
            lines = file.read().count(b"\n")
        entries = len(self.holdfast("ls", root).listed)
        self.assertGreaterEqual(lines, entries)


class Find(_RealTree):
    def setUp(self):
        super().setUp()
        self.root = self.volume(filesystem=self.where).path
        with treegen.Dir(self.root) as top, top.dir("data") as data:
            data.file("one.txt", b"the same words").file("two.TXT", b"the same words")
            data.link("one-again.txt", "one.txt")
            data.file("other.txt", b"other words!!!").file("empty-1").file("empty-2")
            data.file("new\nline.txt", b"x")
        self.holdfast("capture", self.root, "--everything")

    def found(self, *arguments) -> set:
        return {entry["path"] for entry in self.holdfast("find", self.root, *arguments).listed}

    def test_by_name(self):
        self.assertEqual(self.found("--name", "*.txt"),
                         {"data/one.txt", "data/one-again.txt", "data/other.txt", "data/new\nline.txt"})
        self.assertEqual(self.found("--name", "two.???"), {"data/two.TXT"})
        self.assertEqual(self.found("--name", "nothing"), set())

    def test_by_hash(self):
        self.need_program("xxh128sum")
        digest = foreign.xxh128_of(self.root, ["data/one.txt"])["data/one.txt"]
        same = {"data/one.txt", "data/two.TXT", "data/one-again.txt"}
        self.assertEqual(self.found("--hash", digest), same)
        self.assertEqual(self.found("--hash", digest.upper()), same)
        self.assertEqual(self.found("--hash", "0" * 32), set())

    def test_by_another_file(self):
        outside = os.path.join(self.scratch.path, "outside")
        with open(outside, "wb") as file:
            file.write(b"the same words")
        self.assertEqual(self.found("--same-as", outside), {"data/one.txt", "data/two.TXT", "data/one-again.txt"})

    def test_duplicates_are_grouped_and_hard_links_are_none(self):
        listed = self.holdfast("find", self.root, "--duplicates").listed
        groups = {}
        for entry in listed:
            groups.setdefault(entry["group"], set()).add(entry["path"])
        together = [group for group in groups.values() if "data/one.txt" in group or "data/two.TXT" in group]
        self.assertEqual(len(together), 1)
        self.assertLessEqual({"data/two.TXT"}, together[0])
        self.assertFalse([group for group in groups.values() if "data/other.txt" in group])

    def test_ls_of_a_path_lists_what_is_there_and_below(self):
        listed = {entry["path"] for entry in self.holdfast("ls", self.root, "data").listed}
        self.assertIn("data/one.txt", listed)
        listed = {entry["path"] for entry in self.holdfast("ls", self.root, "data/one.txt").listed}
        self.assertEqual(listed, {"data/one.txt"})

    def test_fields_of_an_entry(self):
        entries = {entry["path"]: entry for entry in self.holdfast("ls", self.root).listed}
        one = entries["data/one.txt"]
        found = os.stat(os.path.join(self.root, "data/one.txt"))
        self.assertEqual(one["type"], "file")
        self.assertEqual(int(one["mode"], 8), stat.S_IMODE(found.st_mode))
        self.assertEqual((one["uid"], one["gid"], one["size"]), (found.st_uid, found.st_gid, found.st_size))
        self.assertEqual(one["inode"], found.st_ino)
        self.assertEqual(one["links"], 2)
        self.assertEqual(one["held"], "link")
        self.assertEqual(one["mtime"], f"{found.st_mtime_ns // 10**9}.{found.st_mtime_ns % 10**9:09d}")
        self.assertEqual(entries["data"]["type"], "directory")


if __name__ == "__main__":
    cases.main()
