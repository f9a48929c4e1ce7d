#!/usr/bin/env python3
"""repair rebuilds what describes the captured files, from the files themselves and the manifests."""

import json
import os
import random
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import foreign  # noqa: E402
import linux_calls  # noqa: E402
import oracle  # noqa: E402
import phases  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

VICTIM = "home/bo/work/deep/er/bottom"  # 33,333 bytes: more than a filesystem keeps inside the inode
LETTER = "home/al/letter.txt"
_SLOT = 32768
_PAGE = 4096

# What a catalog or a manifest can look like after something went wrong below it.


def flip(path, dice: random.Random) -> None:
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        for _ in range(8):
            at = dice.randrange(size)
            file.seek(at)
            old = file.read(1)[0]
            file.seek(at)
            file.write(bytes((old ^ (1 << dice.randrange(8)),)))


def truncate(path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(os.stat(path).st_size))


def zero_pages(path, dice: random.Random) -> None:
    with open(path, "r+b") as file:
        pages = max(1, os.fstat(file.fileno()).st_size // _PAGE)
        for page in {dice.randrange(pages) for _ in range(1 + pages // 4)}:
            file.seek(page * _PAGE)
            file.write(bytes(_PAGE))


def overwrite(path, dice: random.Random) -> None:
    with open(path, "r+b") as file:
        file.write(dice.randbytes(os.fstat(file.fileno()).st_size))


def remove(path, dice: random.Random) -> None:
    del dice
    os.unlink(path)


DAMAGES = (flip, truncate, zero_pages, overwrite, remove)


class _Repairing(cases.VolumeCase):
    """A small system, brought to where a test wants it; what is immutable is opened before it is damaged."""

    def setUp(self):
        super().setUp()
        self.seed = fault_table.seed()
        self.dice = random.Random(self.seed)
        print(f"HOLDFAST_SEED={self.seed}", flush=True)

    def prepare(self, state: str = "sealed", name: str = "volume"):
        self.mounted = self.volume(name)
        root = self.mounted.path
        treegen.build_old_system(root)
        treegen.build_users(root)
        before = self.record(root)
        if state == "capturing":
            self.holdfast("capture", root, *treegen.INCLUDES, env={"HOLDFAST_FAILPOINT": "linked"}, expect=None)
        elif state == "linked":
            self.capture(root, "--hash", "later")
        else:
            self.capture(root)
        if state == "wiping":
            self.holdfast("wipe", root, "--yes", env={"HOLDFAST_FAILPOINT": "moved-aside"}, expect=None)
        elif state not in ("capturing", "linked", "sealed"):
            self.wipe(root)
        if state == "restoring":
            treegen.build_image(root)
            self.holdfast("restore", root, env={"HOLDFAST_FAILPOINT": "restore-before-state"}, expect=None)
        elif state == "restored":
            treegen.build_image(root)
            self.restore(root, expect=(0, 3))
        elif state == "moved":
            treegen.build_image(root)
            self.restore(root, "--mode", "move", expect=(0, 3))
        expected = "restored" if state == "moved" else state
        self.assertEqual(self.state(root), expected)
        return root, before

    def open_store(self, root) -> None:
        """As the hint in the README says."""
        top = self.store_path(root)
        for path in [top, *(os.path.join(top, name) for name in ("catalog", "journal", "tree", "selection"))]:
            linux_calls.change_flags(path, remove=0x10)

    def catalog(self, root) -> str:
        return self.store_path(root, "catalog", "data.mdb")

    def break_catalog(self, root, how=overwrite) -> None:
        self.open_store(root)
        how(self.catalog(root), self.dice)

    def listed(self, root) -> dict:
        """{path: what ls says of it}, without what a repair cannot know."""
        entries = self.holdfast("ls", root, "--long").listed
        return {entry.get("path_b64") or entry["path"]: entry for entry in entries}

    def manifest_lines(self, root) -> list:
        """What it says of each entry: directories have their turn in the order in which they were found."""
        with open(self.store_path(root, "manifest.jsonl"), "rb") as file:
            return sorted(line for line in file if not line.startswith(b'{"end"'))

    def repair(self, root, expect=0, **options) -> run.Result:
        return self.holdfast("repair", root, expect=expect, **options)

    def assert_nothing_to_do(self, root) -> None:
        before = oracle.record(self.store_path(root), ("log", "lock"))
        result = self.repair(root)
        self.assertTrue(result.summary.get("nothing_to_do", True), result.describe())
        self.assertIn("nothing to do", self.holdfast("repair", root, json_output=False).text)
        after = oracle.record(self.store_path(root), ("log", "lock"))
        for record in (before, after):
            for name in (b"", b"catalog", b"catalog/lock.mdb", b"catalog/checked", b"state.json"):
                record.pop(name, None)
        self.assert_same(before, after, ("atime", "ctime"))

    def assert_evidence(self, root) -> None:
        names = os.listdir(self.store_path(root, "catalog"))
        self.assertTrue([name for name in names if name.startswith("damaged-")], names)
        self.assertEqual([name for name in names if name.startswith("rebuild-")], [])

    def assert_whole_life(self, before, root) -> None:
        """From a repaired sealed store on: wipe, an image, restore, everything byte for byte."""
        self.wipe(root)
        treegen.build_image(root, collide=False)
        self.restore(root)
        self.assert_selected_same(before, root)

    def say(self, fault: str, runs: int, losses: int = 0) -> None:
        fault_table.note(fault, "repair", self.filesystem, runs, losses, self.seed)


@cases.on("ext4", "xfs", "btrfs")
class DamagedCatalogMixin(_Repairing):
    def test_every_kind_of_damage_and_the_same_catalog_afterwards(self):
        root, before = self.prepare()
        known = self.listed(root)
        copy = os.path.join(self.scratch.path, "independent")
        os.mkdir(copy)
        foreign.copy_with_rsync(root, copy, treegen.SELECTED)
        manifest = self.manifest_lines(root)
        runs = 0
        for damage in DAMAGES:
            with self.subTest(damage=damage.__name__, seed=self.seed):
                self.break_catalog(root, damage)
                for command in ("verify", "ls"):
                    told = self.holdfast(command, root, expect=12)
                    self.assertIn("holdfast repair", told.summary["next"] + str(told.summary["hint"]))
                result = self.repair(root)
                self.assertEqual(result.summary["entries"], len(known))
                for count in ("adopted", "missing", "rehashed"):
                    self.assertEqual(result.summary[count], 0, result.describe())
                self.assertEqual(self.listed(root), known)
                self.assertEqual(self.manifest_lines(root), manifest)
                verified = self.holdfast("verify", root).summary
                self.assertEqual(verified["ok"], len(known))
                if damage is not remove:
                    self.assert_evidence(root)
                self.assert_nothing_to_do(root)
                runs += 1
        self.assert_nothing_moved(before, root)
        self.say("damaged catalog", runs)
        self.assert_whole_life(before, root)
        self.assertEqual(foreign.rsync_differences(copy, root, treegen.SELECTED, atimes=False), "")

    def test_every_state(self):
        for state in ("capturing", "linked", "sealed", "wiping", "wiped", "restoring", "restored", "moved"):
            with self.subTest(state=state, seed=self.seed):
                root, before = self.prepare(state, state)
                wanted = {"linked": "capturing", "moved": "restored"}.get(state, state)
                self.break_catalog(root)
                result = self.repair(root)
                self.assertEqual(result.summary["state"], wanted, result.describe())
                self.assertEqual(result.summary.get("missing", 0), 0, result.describe())
                self.assert_nothing_to_do(root)
                self.go_on(state, root, before)
                self.mounted.close()
        self.say("damaged catalog, each state", 8)

    def go_on(self, state, root, before) -> None:
        """The store is as good as it was: its life goes on to the end."""
        if state in ("capturing", "linked", "sealed"):
            self.capture(root)
            self.holdfast("verify", root)
            self.assert_whole_life(before, root)
        elif state == "wiping":
            self.wipe(root)
            self.holdfast("verify", root)
            self.restore(root)
            self.assert_selected_same(before, root)
        elif state in ("wiped", "restoring"):
            self.holdfast("verify", root, expect=0 if state == "wiped" else (0, 3))
            self.restore(root, expect=(0, 3))
            self.assert_selected_same(before, root)
        else:
            self.holdfast("verify", root, expect=0)
            self.assert_selected_same(before, root)
            self.holdfast("discard", root, "--yes", "--lose-displaced")
            self.assert_selected_same(before, root, ignore=())

    def test_rolled_back_after_a_repair(self):
        root, before = self.prepare("wiped")
        treegen.build_image(root)
        self.break_catalog(root)
        self.repair(root)
        self.holdfast("rollback", root, "--yes")
        self.assert_nothing_moved(before, root)

    def test_the_store_is_immutable_again(self):
        root, _ = self.prepare("wiped")
        if not self.is_immutable(root):
            self.fail("a wiped store is immutable on this filesystem")
        self.break_catalog(root)
        self.repair(root)
        self.assertTrue(self.is_immutable(root))
        self.assertTrue(self.is_immutable(root, "tree", "home", "al"))
        self.assertTrue(self.is_immutable(root, "catalog"))

    def test_an_interrupted_change_of_flags_is_finished(self):
        """wipe was killed while it made directories immutable, and somebody opened some of a wiped store."""
        root, before = self.prepare("wiped")
        self.open_store(root)
        self.repair(root)
        self.assertTrue(self.is_immutable(root))
        self.assertTrue(self.is_immutable(root, "tree"))
        other, _ = self.prepare("sealed", "other")
        self.holdfast("wipe", other, "--yes", env={"HOLDFAST_FAILPOINT": "protecting"}, expect=None)
        linux_calls.change_flags(self.store_path(other, "tree", "home"), add=0x10)
        self.repair(other)
        self.assertFalse(self.is_immutable(other, "tree", "home"))
        self.wipe(other)
        self.restore(root)
        self.assert_selected_same(before, root)

    def is_immutable(self, root, *parts) -> bool:
        fd = os.open(self.store_path(root, *parts), os.O_RDONLY)
        try:
            return bool(linux_calls.get_flags(fd) & 0x10)
        finally:
            os.close(fd)


@cases.on("ext4", "xfs")
class CorruptionStaysFoundMixin(_Repairing):
    """The hash of the capture outlives the catalog: bytes that went bad do not pass for the captured ones."""

    def rot(self, root, name: str) -> None:
        """Flips bytes on the device, behind the filesystem's back: no time moves."""
        fd = os.open(os.path.join(root, name), os.O_RDONLY)
        try:
            _, physical, _ = linux_calls.physical_extents(fd)[0]
        finally:
            os.close(fd)
        self.mounted.unmount()
        with open(self.mounted.image, "r+b") as device:
            device.seek(physical + 100)
            old = device.read(8)
            device.seek(physical + 100)
            device.write(bytes(byte ^ 0xFF for byte in old))
        self.mounted.mount()

    def assert_still_corrupt(self, root) -> None:
        result = self.holdfast("verify", root, expect=4)
        self.assertEqual(result.paths_of("corrupt"), {VICTIM})

    def test_with_the_catalog_destroyed(self):
        root, _ = self.prepare()
        self.rot(root, VICTIM)
        for damage in DAMAGES:
            self.break_catalog(root, damage)
            self.repair(root)
            self.assert_still_corrupt(root)

    def test_with_the_files_own_line_destroyed_too(self):
        """The other manifest has the hash as well."""
        root, _ = self.prepare()
        self.rot(root, VICTIM)
        self.break_catalog(root)
        damage_lines(self.store_path(root, "manifest.jsonl"), VICTIM)
        result = self.repair(root, expect=(0, 3))
        self.assertEqual(result.summary["rehashed"], 0, result.describe())
        self.assert_still_corrupt(root)

    def test_with_another_hash_in_its_line(self):
        """A line that was forged, or flipped into another good one: the second manifest decides for sound bytes."""
        root, _ = self.prepare()
        self.break_catalog(root)
        path = self.store_path(root, "manifest.jsonl")
        text = open(path, encoding="utf-8").read()
        line = next(line for line in text.split("\n") if f'"{LETTER}"' in line)
        forged = re.sub(r'"hash":"(.)', lambda match: '"hash":"' + ("1" if match[1] != "1" else "2"), line)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(line, forged))
        self.repair(root)
        self.holdfast("verify", root)

    def test_modified_files_are_still_told(self):
        root, _ = self.prepare()
        with open(os.path.join(root, LETTER), "ab") as file:
            file.write(b"ps")
        self.break_catalog(root)
        self.repair(root)
        result = self.holdfast("verify", root, expect=3)
        self.assertEqual(result.paths_of("modified"), {LETTER})


def damage_lines(path, *names) -> None:
    """Makes the lines of these paths unreadable, leaving the others."""
    lines = open(path, "rb").read().split(b"\n")
    for i, line in enumerate(lines):
        if line.startswith(b"{") and json.loads(line).get("path") in names:
            lines[i] = b"#" + line[1:-7]
    with open(path, "wb") as file:
        file.write(b"\n".join(lines))


@cases.on("ext4", "btrfs")
class DamagedManifestMixin(_Repairing):
    def test_of_a_sound_catalog_is_written_again(self):
        root, _ = self.prepare()
        for name in ("manifest.jsonl", "manifest.xxh128"):
            path = self.store_path(root, name)
            whole = open(path, "rb").read()
            for damage in DAMAGES:
                with self.subTest(name=name, damage=damage.__name__, seed=self.seed):
                    damage(path, self.dice)
                    self.repair(root)
                    self.assertEqual(open(path, "rb").read(), whole)
                    self.assert_nothing_to_do(root)
        self.say("damaged manifest", 2 * len(DAMAGES))

    def test_gone_with_the_catalog(self):
        """Everything in the mirror is taken; what nobody knows a hash of is counted, and exit 3 says so."""
        for state in ("sealed", "wiped"):
            with self.subTest(state=state):
                root, before = self.prepare(state, state)
                known = self.listed(root)
                self.break_catalog(root)
                os.unlink(self.store_path(root, "manifest.jsonl"))
                os.unlink(self.store_path(root, "manifest.xxh128"))
                result = self.repair(root, expect=3)
                self.assertEqual(result.summary["entries"], len(known))
                self.assertEqual(result.summary["adopted"], len(known))
                self.assertEqual(result.summary["rehashed"], result.summary["files"], result.describe())
                self.assertEqual(result.summary["state"], state)
                found = self.listed(root)
                self.assertEqual({path: entry.get("hash") for path, entry in found.items()},
                                 {path: entry.get("hash") for path, entry in known.items()})
                self.assert_nothing_to_do(root)
                self.holdfast("verify", root)
                if state == "sealed":
                    self.assert_whole_life(before, root)
                else:
                    self.restore(root)
                    self.assert_selected_same(before, root)

    def test_single_lines(self):
        """A file's, a link group's, a directory's: the rest keeps what the manifest knows."""
        root, before = self.prepare()
        known = self.listed(root)
        self.break_catalog(root)
        damage_lines(self.store_path(root, "manifest.jsonl"), LETTER, "home/bo", "home")
        os.unlink(self.store_path(root, "manifest.xxh128"))
        result = self.repair(root, expect=3)
        self.assertEqual(result.summary["rehashed"], 1)
        self.assertIn(LETTER, result.paths_of("warning"))
        found = self.listed(root)
        self.assertEqual(set(found), set(known))
        self.assertEqual(found[LETTER]["hash"], known[LETTER]["hash"])
        self.assert_evidence(root)
        self.assert_nothing_to_do(root)
        self.assert_whole_life(before, root)

    def test_random_damage_to_everything_that_describes(self):
        """Catalog, manifests and journals damaged at once, as often as time allows: nothing is lost."""
        rounds = 40 if fault_table.everything() else 4
        root, before = self.prepare("wiped")
        losses = 0
        for number in range(rounds):
            self.break_catalog(root, self.dice.choice(DAMAGES))
            for name in ("manifest.jsonl", "manifest.xxh128"):
                path = self.store_path(root, name)
                if os.path.exists(path):
                    self.dice.choice(DAMAGES)(path, self.dice)
            with self.subTest(round=number, seed=self.seed):
                # A flipped hash that no second copy contradicts may stand: verify is for that.
                self.repair(root, expect=(0, 3, 4))
                self.assert_nothing_to_do(root)
                listed = {os.fsencode(entry["path"]) for entry in self.holdfast("ls", root).listed}
                tree = set(oracle.record(self.store_path(root, "tree"))) - {b""}
                losses += len([path for path in tree if path not in listed and b"\\" not in path
                               and path.isascii() and path.decode().isprintable()])
                self.assertEqual(losses, 0)
        self.say("damaged catalog and manifests", rounds, losses)
        self.restore(root, expect=(0, 3, 4))
        wanted = oracle.without_type(oracle.below(before, *treegen.SELECTED), "socket")
        found = oracle.below(self.record(root), *treegen.SELECTED)
        # A flipped bit in a path can name a directory that never was: it comes back empty, and is listed as missing.
        made_up = {path for path in found.keys() - wanted.keys() if found[path]["type"] == "directory"}
        self.assertEqual({path: fields.get("sha256") for path, fields in wanted.items()},
                         {path: fields.get("sha256") for path, fields in found.items() if path not in made_up})


class DamagedState(_Repairing):
    def damage_slot(self, root, *slots) -> None:
        self.open_store(root)
        with open(self.store_path(root, "state.json"), "r+b") as file:
            for slot in slots:
                file.seek(slot * _SLOT + 40)
                file.write(b"\0" * 200)

    def test_one_slot(self):
        root, before = self.prepare()
        for slot in (0, 1):
            self.damage_slot(root, slot)
            # The older slot may say that the capture goes on: then the catalog is taken as unsealed.
            self.repair(root)
            self.assert_nothing_to_do(root)
            self.capture(root)
        self.assert_whole_life(before, root)

    def lose_state(self, root, how) -> None:
        self.open_store(root)
        if how == "removed":
            os.unlink(self.store_path(root, "state.json"))
        elif how == "truncated":
            os.truncate(self.store_path(root, "state.json"), 1000)
        else:
            self.damage_slot(root, 0, 1)

    def test_lost_while_wiped(self):
        for how in ("removed", "truncated", "both slots"):
            with self.subTest(how=how):
                root, before = self.prepare("wiped", how.replace(" ", "-"))
                capture_id = self.holdfast("status", root).summary["capture_id"]
                self.lose_state(root, how)
                for command in ("status", "verify", "restore"):
                    told = self.holdfast(command, root, expect=12)
                    self.assertIn("holdfast repair", told.summary["next"])
                result = self.repair(root, expect=3)
                self.assertEqual(result.summary["state"], "wiped")
                self.assertEqual(result.summary["capture_id"], capture_id)
                self.assertEqual(result.summary["missing"], 0)
                self.assert_nothing_to_do(root)
                self.holdfast("verify", root)
                # What destroys goes by names, not by what the state says.
                self.assert_refused("only-names", "discard", root, "--yes", root=root)
                self.restore(root)
                self.assert_selected_same(before, root)
                # Whether the wipe missed anything was in the state: aside/ is kept until somebody has looked.
                self.assert_refused("missed-entries", "discard", root, "--yes", root=root)
                self.holdfast("discard", root, "--yes", "--lose-files")
                self.assert_selected_same(before, root, ignore=())

    def test_lost_with_what_the_wipe_had_missed(self):
        root, _ = self.prepare()
        with open(os.path.join(root, "home/al/new-after-capture"), "wb") as file:
            file.write(b"only in aside")
        strace = [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=linkat", "-e", "inject=linkat:error=EPERM"]
        self.holdfast("wipe", root, "--yes", prefix=strace, expect=3)
        self.lose_state(root, "both slots")
        self.repair(root, expect=3)
        self.wipe(root)
        self.restore(root)
        with open(os.path.join(root, "home/al/new-after-capture"), "rb") as file:
            self.assertEqual(file.read(), b"only in aside")

    def test_lost_while_wiped_and_rolled_back(self):
        root, before = self.prepare("wiped")
        treegen.build_image(root)
        self.lose_state(root, "removed")
        self.repair(root, expect=3)
        self.holdfast("rollback", root, "--yes")
        self.assert_nothing_moved(before, root)

    def test_lost_while_wiping_edits_that_only_the_old_system_has_are_not_lost(self):
        root, _ = self.prepare()
        with open(os.path.join(root, "home/al/new-after-capture"), "wb") as file:
            file.write(b"only here")
        before = self.record(root)
        self.holdfast("wipe", root, "--yes", env={"HOLDFAST_FAILPOINT": "moved-aside"}, expect=None)
        self.lose_state(root, "removed")
        result = self.repair(root, expect=3)
        self.assertEqual(result.summary["state"], "wiping")
        self.assertIn("wipe", result.summary["next"])
        self.wipe(root)
        self.restore(root)
        self.assert_selected_same(before, root)

    def test_lost_before_any_wipe_leaves_the_system_in_place(self):
        """Taken for wiped, but nothing may take what stands in ROOT for an image."""
        root, before = self.prepare()
        self.lose_state(root, "removed")
        result = self.repair(root, expect=3)
        self.assertEqual(result.summary["state"], "wiped")
        for options in ((), ("--again",), ("--delete",)):
            self.assert_refused("no-plan", "wipe", root, "--yes", *options, root=root)
        self.holdfast("rollback", root, "--yes", expect=5)
        self.restore(root)
        self.assert_nothing_moved(before, root)
        self.holdfast("discard", root, "--yes")
        self.assert_selected_same(before, root, ignore=())

    def test_lost_after_a_restore_by_move(self):
        root, before = self.prepare("moved")
        self.lose_state(root, "removed")
        result = self.repair(root, expect=3)
        self.assertEqual(result.summary["missing"], 0, result.describe())
        self.holdfast("verify", root, expect=0)
        self.assert_selected_same(before, root)

    def test_lost_with_catalog_and_manifests(self):
        root, before = self.prepare("wiped")
        self.lose_state(root, "removed")
        for name in ("catalog/data.mdb", "manifest.jsonl", "manifest.xxh128", "selection/selection.json"):
            os.unlink(self.store_path(root, name))
        self.repair(root, expect=3)
        self.assert_nothing_to_do(root)
        self.restore(root)
        self.assert_selected_same(before, root)

    def test_a_newer_one_is_left_alone(self):
        root, _ = self.prepare()
        path = self.store_path(root, "state.json")
        body = '{"format":2,"state":"sealed"}'
        digest = cases.run_tool("xxhsum", "-H3", input=f"99{body}").split()[-1]
        slot = f'{{"sequence":99,"xxh3":"{digest}","store":{body}}}'.encode().ljust(_SLOT - 1) + b"\n"
        with open(path, "r+b") as file:
            file.write(slot)
        before = open(path, "rb").read()
        result = self.repair(root, expect=12)
        self.assertIn("newer", str(result.summary["error"]))
        self.assertNotIn("repair", result.summary["next"])
        self.assertEqual(open(path, "rb").read(), before)


class Strays(_Repairing):
    def put(self, root, name: str, content: bytes) -> str:
        path = self.store_path(root, "tree", name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def test_beside_a_sound_catalog(self):
        root, before = self.prepare()
        known = self.listed(root)
        # Named nowhere else: adopted, wanted or not.
        self.put(root, "home/al/stray", b"the only name")
        os.mkdir(self.store_path(root, "tree/home/al/strays"))
        self.put(root, "home/al/strays/inner", b"the only name of this, too")
        self.put(root, "top-level", b"not wanted, but the only name")
        # Named in ROOT too and not wanted: dropped. Wanted: adopted.
        os.makedirs(self.store_path(root, "tree/etc"))
        os.link(os.path.join(root, "etc/hostname"), self.store_path(root, "tree/etc/hostname"))
        with open(os.path.join(root, "home/al/wanted"), "wb") as file:
            file.write(b"wanted")
        os.link(os.path.join(root, "home/al/wanted"), self.store_path(root, "tree/home/al/wanted"))
        result = self.repair(root, expect=3)
        found = self.listed(root)
        self.assertEqual(set(found) - set(known), {"home/al/stray", "home/al/strays", "home/al/strays/inner",
                                                   "top-level", "etc", "home/al/wanted"})
        self.assertEqual({path: found[path] for path in known}, known)
        self.assertEqual(result.summary["adopted"], 6)
        self.assertEqual(result.summary["dropped"], 1)
        self.assertEqual(oracle.record(self.store_path(root, "dropped"))
                         .get(self.dropped_path(root, "etc/hostname"), {}).get("type"), "file")
        self.holdfast("verify", root)
        self.assert_nothing_to_do(root)
        wanted = self.record(root)
        wanted.pop(b"")
        del before
        self.assertIn(b"home/al/wanted", wanted)

    def dropped_path(self, root, name: str) -> bytes:
        (only,) = os.listdir(self.store_path(root, "dropped"))
        return os.fsencode(os.path.join(only, name))

    def test_a_socket_goes_to_dropped(self):
        root, _ = self.prepare()
        path = self.store_path(root, "tree/home/al/socket-that-should-not-be")
        os.mknod(path, 0o140600)
        self.break_catalog(root)
        result = self.repair(root)
        self.assertIn("home/al/socket-that-should-not-be", result.paths_of("warning"))
        self.assertFalse(os.path.lexists(path))
        self.holdfast("verify", root)

    def test_link_groups_that_nobody_recorded_stay_groups(self):
        root, _ = self.prepare("wiped")
        self.open_store(root)
        linux_calls.change_flags(self.store_path(root, "tree/home/al"), remove=0x10)
        first = self.put(root, "home/al/one", b"one inode")
        os.link(first, self.store_path(root, "tree/home/al/two"))
        os.link(first, self.store_path(root, "tree/home/al/three"))
        self.repair(root, expect=3)
        found = self.listed(root)
        self.assertEqual({found[f"home/al/{name}"]["links"] for name in ("one", "two", "three")}, {3})

    def test_missing_files_are_told(self):
        root, _ = self.prepare()
        os.unlink(self.store_path(root, "tree", LETTER))
        shutil.rmtree(self.store_path(root, "tree/home/bo/work"))
        with open(self.store_path(root, "tree/home/al/.profile.new"), "wb") as file:
            file.write(b"another inode")
        os.rename(self.store_path(root, "tree/home/al/.profile.new"), self.store_path(root, "tree/home/al/.profile"))
        self.break_catalog(root)
        result = self.repair(root, expect=4)
        self.assertTrue({LETTER, "home/bo/work", "home/al/.profile"} <= result.paths_of("missing"),
                        result.describe())
        # Their records are still there: verify tells, and a capture takes them again from ROOT.
        told = self.holdfast("verify", root, expect=4)
        self.assertIn(LETTER, told.paths_of("missing"))
        self.assertIn("capture", result.summary["next"])
        self.capture(root)
        self.holdfast("verify", root)


class DamagedJournals(_Repairing):
    def corrupt_line(self, path, number: int = 0) -> None:
        lines = open(path, "rb").read().split(b"\n")
        lines[number] = lines[number][:-4] + b"!!!!"
        with open(path, "wb") as file:
            file.write(b"\n".join(lines))

    def test_the_notes_of_a_restore_by_move(self):
        root, before = self.prepare("moved")
        self.corrupt_line(self.store_path(root, "journal/restore.jsonl"))
        with open(self.store_path(root, "journal/restore.jsonl"), "ab") as file:
            file.write(b"0123456789abcdef a wrong line before the last\n0123456789abcdef the last\n")
        self.repair(root, expect=3)
        self.assert_nothing_to_do(root)
        self.holdfast("verify", root)
        self.assert_selected_same(before, root)

    def test_a_plan_that_lost_what_stayed_is_not_gone_by(self):
        """What it does not name would count as an image's: rollback would put it away, and discard delete it."""
        root, before = self.prepare()
        self.wipe(root, "--keep", "usr/bin")
        self.open_store(root)
        path = self.store_path(root, "journal", "wipe-1")
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
        with open(path, "wb") as file:
            file.write(b"\n".join(b"x" + line if b" stay " in line else line for line in lines))
        self.repair(root, expect=3)
        self.assert_refused("plan-incomplete", "rollback", root, "--yes", root=root)
        self.assert_refused("plan-incomplete", "wipe", root, "--yes", "--again", root=root)
        self.restore(root, expect=(0, 3))
        self.assert_selected_same(before, root)
        self.assertTrue(os.path.exists(os.path.join(root, "usr/bin/tool")))

    def test_the_plan_of_a_wipe(self):
        """Lines that are lost are made again from what lies in aside/."""
        root, before = self.prepare("wiped")
        treegen.build_image(root)
        self.open_store(root)
        path = self.store_path(root, "journal/wipe-1")
        for number in (0, 2, 3):
            self.corrupt_line(path, number)
        self.holdfast("rollback", root, "--yes", expect=12)
        self.repair(root, expect=3)
        self.assert_nothing_to_do(root)
        self.holdfast("rollback", root, "--yes")
        self.assert_same(oracle.without(before, "lost+found"), oracle.without(self.record(root), "lost+found"),
                         ("nlink", "atime", "mtime", "ctime"))

    def test_flags_that_were_cleared_are_set_again(self):
        root = self.volume().path
        with treegen.Dir(root) as top, top.dir("home") as home:
            for name in ("a", "b", "c"):
                home.file(name, name).flags(name, 0x10)
        before = self.record(root)
        killed = run.killed_at(self.holdfast, "linkat", 2, "capture", root, "--include", "home")
        self.assertEqual(killed.code, 137, killed.describe())
        self.repair(root)
        self.assert_nothing_moved(before, root)

    def test_directories_of_the_store_that_are_gone(self):
        root, before = self.prepare("wiped")
        self.open_store(root)
        for name in ("catalog", "log"):
            shutil.rmtree(self.store_path(root, name))
        self.repair(root)
        self.restore(root)
        self.assert_selected_same(before, root)

    def test_the_selection(self):
        root, before = self.prepare()
        path = self.store_path(root, "selection/selection.json")
        whole = open(path, "rb").read()
        overwrite(path, self.dice)
        self.repair(root)
        self.assertEqual(open(path, "rb").read(), whole)
        # With the catalog gone as well, what was captured is what is wanted.
        os.unlink(path)
        self.break_catalog(root)
        self.repair(root, expect=3)
        self.assert_nothing_to_do(root)
        self.assert_whole_life(before, root)


@cases.on("ext4", "btrfs")
class InterruptedRepairMixin(_Repairing):
    FAILPOINTS = ("repair-filled", "repair-before-barrier", "repair-between-names", "repair-swapped",
                  "repair-recorded", "unprotected", "protecting")

    def test_at_each_step(self):
        root, before = self.prepare("wiped")
        known = self.listed(root)
        for number, point in enumerate(self.FAILPOINTS):
            with self.subTest(failpoint=point):
                self.break_catalog(root, DAMAGES[number % len(DAMAGES)])
                # One line is lost, too: a second run must not take what the first one hashed for the capture's.
                self.holdfast("repair", root, env={"HOLDFAST_FAILPOINT": point}, expect=137)
                result = self.repair(root)
                self.assertEqual(result.summary["state"], "wiped")
                self.assertEqual(self.listed(root), known)
                self.holdfast("verify", root)
                self.assert_nothing_to_do(root)
        self.say("kill at a failpoint", len(self.FAILPOINTS))
        self.restore(root)
        self.assert_selected_same(before, root)

    def test_a_second_run_still_knows_what_has_no_hash_of_its_capture(self):
        # Each with a store of its own: a catalog that repair has made may come out the same to the bit the next time, and
        # then there is nothing left to tell after the swap.
        for point in ("repair-before-barrier", "repair-between-names", "repair-swapped"):
            with self.subTest(failpoint=point):
                root, _ = self.prepare(name=point)
                self.break_catalog(root)
                damage_lines(self.store_path(root, "manifest.jsonl"), LETTER)
                os.unlink(self.store_path(root, "manifest.xxh128"))
                self.holdfast("repair", root, env={"HOLDFAST_FAILPOINT": point}, expect=137)
                result = self.repair(root, expect=3)
                self.assertEqual(result.summary["rehashed"], 1, result.describe())
                self.assertIn(LETTER, result.paths_of("warning"))

    def test_before_each_call_that_changes_something(self):
        self.need_program("strace")
        root, before = self.prepare("wiped")
        known = self.listed(root)
        runs = 0
        for call in ("linkat", "mkdirat", "renameat,renameat2", "unlinkat", "fdatasync", "fsync", "syncfs", "pwrite64",
                     "ioctl"):
            number = 0
            while True:
                number += 1 if fault_table.everything() else self.dice.randrange(1, 4)
                self.break_catalog(root)
                killed = run.killed_at(self.holdfast, call, number, "repair", root)
                if killed.code != 137:
                    self.assertEqual(killed.code, 0, killed.describe())
                    break
                with self.subTest(call=call, number=number, seed=self.seed):
                    self.repair(root)
                    self.assertEqual(self.listed(root), known)
                    runs += 1
                if number > 12 and not fault_table.everything():
                    break
        self.say("kill before a call", runs)
        self.assertGreater(runs, 10)
        self.holdfast("verify", root)
        self.restore(root)
        self.assert_selected_same(before, root)

    def test_while_the_state_is_made_anew(self):
        root, before = self.prepare("wiped")
        for point in ("repair-before-state", "repair-filled", "repair-swapped"):
            with self.subTest(failpoint=point):
                self.open_store(root)
                os.unlink(self.store_path(root, "state.json"))
                self.break_catalog(root)
                self.holdfast("repair", root, env={"HOLDFAST_FAILPOINT": point}, expect=137)
                self.repair(root, expect=(0, 3))
                self.assertIn(self.state(root), ("wiped", "wiping"))
                if self.state(root) == "wiping":
                    self.wipe(root)
                self.holdfast("verify", root)
        self.restore(root)
        self.assert_selected_same(before, root)


@cases.on("ext4", "btrfs")
class EverythingSurvivesRepairMixin(_Repairing):
    """Names of any bytes, depths beyond PATH_MAX, link groups, nodes, ACLs, capabilities, flags, project ids."""

    def build(self, name: str):
        root = self.system(name, users=False)
        os.mkdir(os.path.join(root, "home"))
        treegen.build_everything(os.path.join(root, "home/everything"))
        before = self.record(root)
        self.holdfast("capture", root, "--include", "home")
        return root, before

    def listing(self, root) -> list:
        return sorted(json.dumps(entry, sort_keys=True) for entry in self.holdfast("ls", root, "--long").listed)

    def finish(self, root, before, lost=()) -> None:
        """`lost`: fields of directories that nobody knows any more."""
        self.wipe(root)
        treegen.build_image(root, collide=False)
        self.restore(root)
        views = []
        for record in (before, self.record(root)):
            view = oracle.as_restored(oracle.without_type(oracle.below(record, "home"), "socket"))
            views.append({path: {name: value for name, value in fields.items()
                                 if fields["type"] != "directory" or name not in lost}
                          for path, fields in view.items()})
        self.assert_same(*views, ("nlink",))

    def test_with_the_manifest_the_catalog_is_the_same(self):
        root, before = self.build("with")
        known = self.listing(root)
        self.break_catalog(root)
        self.repair(root)
        self.assertEqual(self.listing(root), known)
        self.holdfast("verify", root)
        self.finish(root, before)

    def test_from_the_mirror_alone(self):
        """Flags and project ids of directories are written down and nowhere else: those are lost, and no more."""
        root, before = self.build("without")
        known = {entry.get("path_b64") or entry["path"]: entry for entry in self.holdfast("ls", root).listed}
        self.break_catalog(root)
        for name in ("manifest.jsonl", "manifest.xxh128"):
            os.unlink(self.store_path(root, name))
        self.repair(root, expect=3)
        found = {entry.get("path_b64") or entry["path"]: entry for entry in self.holdfast("ls", root).listed}
        self.assertEqual(set(found), set(known))
        for path, entry in known.items():
            for field in ("type", "mode", "uid", "gid", "size", "mtime", "links", "hash", "link_target"):
                if entry["type"] == "directory" and field == "size":
                    continue
                self.assertEqual(found[path].get(field), entry.get(field), (path, field))
        self.assert_nothing_to_do(root)
        self.finish(root, before, ("flags", "project"))


class KilledCommandsAndDamage(_Repairing):
    """Whatever a killed command left, and then the catalog goes as well: repaired, the command finishes its work."""

    def test_after_a_kill_at_each_failpoint(self):
        points = (("capture", "unsealed"), ("capture", "linked-before-barrier"), ("capture", "hashed"),
                  ("capture", "seal-before-barrier"), ("capture", "seal-before-state"),
                  ("wipe", "wipe-planned"), ("wipe", "moved-aside"), ("wipe", "unsealed"), ("wipe", "hashed"),
                  ("wipe", "seal-before-state"), ("wipe", "wiped-before-protect"), ("wipe", "protecting"))
        for number, (command, point) in enumerate(points):
            with self.subTest(command=command, failpoint=point):
                root, _ = self.prepare("sealed", f"v{number}")
                with treegen.Dir(os.path.join(root, "home/al")) as home:
                    home.file("new-after-capture", b"written later\n" * 99)
                    os.unlink("letter.txt", dir_fd=home.fd)
                    home.file("letter.txt", b"replaced\n")
                before = self.record(root)
                arguments = (command, root) + (("--yes",) if command == "wipe" else ())
                self.holdfast(*arguments, env={"HOLDFAST_FAILPOINT": point}, expect=137)
                self.break_catalog(root)
                self.repair(root)
                self.assert_nothing_to_do(root)
                self.holdfast(*arguments)
                self.holdfast("verify", root)
                if command == "capture":
                    self.wipe(root)
                self.restore(root)
                self.assert_selected_same(before, root)
                self.mounted.close()
        self.say("kill, then damaged catalog", len(points))


class BeforeEachPhase(_Repairing):
    """The volumes that fault sweeps start from."""

    def test_the_repair_phases_end_well(self):
        for name in ("repair-sealed", "repair-wiped"):
            phase = phases.BY_NAME[name]
            golden = phases.Golden(self, "ext4", phase)
            volume = golden.copy()
            self.holdfast(*phase.arguments(volume.path), expect=phase.good_codes)
            self.assertIn(self.state(volume.path), phase.done)
            self.assertEqual(phases.losses(phase, golden.before, phases.whole(volume.path)), [])
            golden.drop(volume)


class OtherCases(_Repairing):
    def test_on_a_full_disk(self):
        """The ballast makes room; where that is not enough, 13 says so, and the store is closed again."""
        root, before = self.prepare("wiped")
        with open(self.catalog(root), "r+b") as file:
            file.write(self.dice.randbytes(_PAGE * 8))
        filler = os.path.join(root, "filler")
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass
        first = self.repair(root, expect=(0, 13))
        fd = os.open(self.store_path(root, "tree"), os.O_RDONLY)
        self.assertTrue(linux_calls.get_flags(fd) & 0x10)
        os.close(fd)
        os.unlink(filler)
        if first.code != 0:
            self.repair(root)
        self.holdfast("verify", root)
        self.restore(root)
        self.assert_selected_same(before, root)

    def test_no_store(self):
        root = self.volume().path
        self.holdfast("repair", root, expect=10)
        os.mkdir(self.store_path(root), 0o700)
        self.holdfast("repair", root, expect=10)

    def test_a_copy_of_the_volume_is_refused(self):
        root, _ = self.prepare()
        other = os.path.join(root, "srv", "copy")
        os.mkdir(other)
        cases.run_tool("cp", "-a", self.store_path(root), self.store_path(other))
        self.break_catalog(other)
        self.assert_refused("other-identity", "repair", other)

    def test_gaps_of_the_capture_are_not_forgotten(self):
        root = self.system()
        self.capture(root, *treegen.INCLUDES, "--include", "not-there", expect=3)
        self.break_catalog(root)
        self.repair(root)
        self.assertEqual(self.holdfast("status", root).summary["missed"], 1)
        self.assert_refused("missed-entries", "wipe", root, "--yes", root=root)
        # The next capture writes the list again.
        result = self.capture(root, *treegen.INCLUDES, "--include", "not-there", expect=3)
        self.assertEqual(result.paths_of("missed"), {"not-there"})
        self.assertEqual(self.holdfast("ls", root, "--missed", expect=(0, 3)).paths_of("missed"), {"not-there"})

    def test_an_ordinary_user(self):
        self.need_root()
        volume = self.volume()
        os.chmod(volume.path, 0o755)
        os.chmod(self.scratch.path, 0o755)
        user = (54_321, 54_321)
        root = os.path.join(volume.path, "mine")
        os.mkdir(root)
        os.chown(root, *user)
        program = os.path.join(volume.path, "holdfast")
        shutil.copy2(run.binary(), program)
        os.chmod(program, 0o755)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgroups([])
                os.setgid(user[1])
                os.setuid(user[0])
                treegen.build_users(root)
                os.chmod(os.path.join(root, "home/al/photos"), 0o555)
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        before = self.record(root)

        def own(*arguments, **options):
            return self.holdfast(*arguments, user=user, cwd="/", program=program, **options)

        own("capture", root, "--include", "home")
        own("wipe", root, "--yes")
        overwrite(self.store_path(root, "catalog/data.mdb"), self.dice)
        own("repair", root)
        own("verify", root)
        own("restore", root)
        self.assert_selected_same(before, root, prefixes=("home",))


if __name__ == "__main__":
    cases.main()
