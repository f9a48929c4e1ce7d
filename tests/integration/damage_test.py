#!/usr/bin/env python3
"""Stores whose own files are damaged, replaced or gone: exit 12 with a reason, nothing lost, no crash, no hang.

A damaged data.mdb, state.json, journal, selection or folder, in every state of a store, and every command on it.
"""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import linux_calls  # noqa: E402
import phases  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

_PAGE = 4096
_LIMIT_SECONDS = 60
_NOBODY = 65534

# state: the phase before which a volume is in it
_STATES = {"capturing": "capture-again", "linked": "seal", "sealed": "wipe", "wiped": "restore-link",
           "restored": "discard"}
_SEALED = ("sealed", "wiped", "restored")

_COMMANDS = {
    "status": ("status", "{root}"),
    "ls": ("ls", "{root}"),
    "find": ("find", "{root}", "--name", "*"),
    "verify": ("verify", "{root}"),
    "restore --to": ("restore", "{root}", "--to", "{to}"),
    "seal": ("seal", "{root}"),
    "wipe --dry-run": ("wipe", "{root}", "--yes", "--dry-run"),
    "capture": ("capture", "{root}"),
    "restore": ("restore", "{root}"),
    "wipe": ("wipe", "{root}", "--yes"),
    "rollback": ("rollback", "{root}", "--yes"),
    "discard": ("discard", "{root}", "--yes"),
}
# Where selected files are: in place, or in the mirror.
_HELD = (*treegen.SELECTED, *(os.path.join(cases.STORE, "tree", path) for path in treegen.SELECTED))
# Documented ends of commands on a store that is damaged or whole; never 1 (run again), 2 or a signal.
_DOCUMENTED = (0, 3, 4, 5, 10, 12)


def _flip_bits(dice, data: bytearray) -> bytes:
    for _ in range(dice.choice((1, 1, 8, 64))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


def _truncate(dice, data: bytearray) -> bytes:
    return bytes(data[:dice.choice((0, 1, 100, _PAGE, 2 * _PAGE, len(data) - 1, dice.randrange(len(data))))])


def _page(dice, data) -> int:
    return dice.randrange(len(data) // _PAGE) * _PAGE


def _zero_pages(dice, data: bytearray) -> bytes:
    for _ in range(dice.choice((1, 3))):
        at = _page(dice, data)
        data[at:at + _PAGE] = bytes(_PAGE)
    return bytes(data)


def _swap_pages(dice, data: bytearray) -> bytes:
    one, other = _page(dice, data), _page(dice, data)
    data[one:one + _PAGE], data[other:other + _PAGE] = data[other:other + _PAGE], data[one:one + _PAGE]
    if one == other:
        data[one] ^= 1
    return bytes(data)


def _garbage_page(dice, data: bytearray) -> bytes:
    at = _page(dice, data)
    data[at:at + _PAGE] = dice.randbytes(_PAGE)
    return bytes(data)


def _garbage(dice, data: bytearray) -> bytes:
    return dice.randbytes(len(data))


def _meta_page(dice, data: bytearray) -> bytes:
    """Both pages that say where everything is: their numbers one by one."""
    for start in (0, _PAGE):
        data[start + dice.randrange(16, 160)] = dice.choice((0, 1, 0x7F, 0xFF))
    return bytes(data)


def _page_header(dice, data: bytearray) -> bytes:
    """Flags, bounds and offsets of nodes at the front of a page: what LMDB follows without asking."""
    at = _page(dice, data)
    for _ in range(4):
        data[at + dice.randrange(8, 64)] = dice.randrange(256)
    return bytes(data)


def _appended(dice, data: bytearray) -> bytes:
    return bytes(data) + dice.randbytes(_PAGE)


_MUTATIONS = (_flip_bits, _truncate, _zero_pages, _swap_pages, _garbage_page, _garbage, _meta_page, _page_header,
              _appended)


def _write(path: str, data: bytes) -> None:
    """In place, as a failing disk would: same inode, same owner."""
    with open(path, "r+b") as stream:
        stream.write(data)
        stream.truncate(len(data))


class _OpenStore:
    """The store's folders without the immutable flags of a wiped store, while damage is done."""

    def __init__(self, store: str):
        self.store = store
        self.closed = []

    def __enter__(self):
        for folder in ("", "tree", "catalog", "journal", "selection", "aside"):
            path = os.path.join(self.store, folder)
            if not os.path.isdir(path) or os.path.islink(path):
                continue
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                flags = linux_calls.get_flags(fd)
                if flags & linux_calls.FLAG_IMMUTABLE:
                    linux_calls.change_flags(fd, remove=linux_calls.FLAG_IMMUTABLE)
            finally:
                os.close(fd)
        return self.store

    def __exit__(self, *failure):
        return False


def _replacements(case) -> dict:
    """What can stand where a file should: name -> function(path)."""
    def moved(path):
        if os.path.lexists(path):
            os.rename(path, path + ".moved")

    def symlink(path):
        moved(path)
        os.symlink(os.path.join(case.canary, "precious"), path)

    def symlink_to_folder(path):
        moved(path)
        os.symlink(case.canary, path)

    def folder(path):
        moved(path)
        os.mkdir(path)

    def fifo(path):
        moved(path)
        os.mkfifo(path)

    def file(path):
        moved(path)
        with open(path, "wb") as stream:
            stream.write(b"not this\n")

    return {"gone": moved, "symlink": symlink, "symlink to a folder": symlink_to_folder, "folder": folder, "fifo": fifo,
            "other file": file}


class DamageMixin(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.golden = {}
        self.losses = 0
        self.seed = fault_table.seed()
        self.dice = random.Random(self.seed)
        print(f"HOLDFAST_SEED={self.seed}", flush=True)

    def image_in(self, state: str):
        if state not in self.golden:
            self.golden[state] = phases.Golden(self, self.filesystem, phases.BY_NAME[_STATES[state]])
        return self.golden[state]

    def copy_in(self, state: str):
        """A volume in this state. Capturing: a capture that was killed when its rows were durable."""
        volume = self.image_in(state).copy()
        if state == "capturing":
            self.need_program("strace")
            run.killed_at(self.holdfast, "syncfs", 1, "capture", volume.path)
            self.assertEqual(self.state(volume.path), "capturing")
        return volume

    def nothing_lost(self, before: dict, root: str, label: str) -> None:
        """After a discard: of what was held until then, since it deletes the old system and what refreshes dropped."""
        lost = phases.lost_content(before, phases.whole(root), _HELD if label == "discard" else ())
        self.losses += len(lost)
        self.assertEqual(lost, [], f"{label} lost content")

    def run_one(self, root: str, label: str, codes) -> run.Result:
        target = os.path.join(self.scratch.path, "to")
        os.makedirs(target, exist_ok=True)
        words = [word.format(root=root, to=target) for word in _COMMANDS[label]]
        if label == "restore --to":
            words += ["--mode", "copy"]
        result = self.holdfast(*words, expect=None, timeout=_LIMIT_SECONDS)
        self.assertIn(result.code, codes, f"{label}\n{result.describe()}")
        if result.code == 12:
            self.assert_explained(result)
        return result

    def assert_explained(self, result: run.Result) -> None:
        """One line with the place and the cause; a fault inside of LMDB's map ends without a summary."""
        lines = [line for line in result.stderr.splitlines() if line.startswith("holdfast: ")]
        self.assertEqual(len(lines), 1, result.describe())
        self.assertGreater(len(lines[0]), len("holdfast: "), result.describe())

    def damage_and_run(self, state: str, damage, labels, trusted=()) -> int:
        """damage(store) on a fresh volume, then commands. `trusted`: these must say 12."""
        volume = self.copy_in(state)
        root = volume.path
        try:
            before = phases.whole(root)
            with _OpenStore(self.store_path(root)) as store:
                damage(store)
            for label in labels:
                if label == "discard":
                    before = phases.whole(root)  # a capture or wipe on the way may have taken newer versions
                self.run_one(root, label, (12,) if label.split()[0] in trusted else _DOCUMENTED)
                self.nothing_lost(before, root, label)
        finally:
            self.golden[state].drop(volume)
        return len(labels)

    # The catalog

    def mutants(self, states, number: int, trusted) -> None:
        for state in states:
            runs = 0
            for index in range(number):
                mutation = _MUTATIONS[index % len(_MUTATIONS)]
                seed = self.dice.getrandbits(32)
                labels = list(_COMMANDS) if fault_table.everything() and index % 10 == 0 else \
                    random.Random(seed).sample(list(_COMMANDS), 3)
                labels.sort(key=list(_COMMANDS).index)

                def damage(store, mutation=mutation, seed=seed):
                    path = os.path.join(store, "catalog/data.mdb")
                    with open(path, "rb") as stream:
                        data = stream.read()
                    mutant = bytearray(mutation(random.Random(seed), bytearray(data)))
                    if mutant == data:  # the dice chose the bytes that were there
                        mutant[0] ^= 1
                    _write(path, mutant)

                with self.subTest(state=state, mutation=mutation.__name__, seed=seed, commands=labels):
                    runs += self.damage_and_run(state, damage, labels, trusted)
            fault_table.note("damaged catalog", state, self.filesystem, runs, self.losses, self.seed)

    def test_a_damaged_sealed_catalog_is_found_by_its_checksum(self):
        """discard needs the catalog only when it has to show that nothing is lost."""
        self.mutants(_SEALED, 60 if fault_table.everything() else 6, ("verify", "ls", "find"))

    def test_a_damaged_unsealed_catalog_ends_in_a_clear_answer(self):
        self.mutants(("linked", "capturing"), 90 if fault_table.everything() else 9, ())

    def test_the_catalog_of_another_store_is_refused(self):
        other = self.copy_in("linked")
        path = os.path.join(self.store_path(other.path), "catalog/data.mdb")
        with open(path, "rb") as stream:
            data = stream.read()
        self.golden["linked"].drop(other)
        for state in _SEALED:
            with self.subTest(state=state):
                self.damage_and_run(state, lambda store: _write(os.path.join(store, "catalog/data.mdb"), data),
                                    ("verify", "ls", "restore"), ("verify", "ls", "restore"))

    def test_a_catalog_that_others_own_or_write_is_refused(self):
        changes = (lambda path: os.chown(path, _NOBODY, _NOBODY), lambda path: os.chmod(path, 0o666))
        for change in changes:
            for state in ("linked", "sealed", "wiped"):
                with self.subTest(state=state):
                    labels = ("capture",) if state == "linked" else ("verify", "ls", "restore --to")
                    self.damage_and_run(state, lambda store, change=change: change(
                        os.path.join(store, "catalog/data.mdb")), labels, ("verify", "ls", "restore", "capture"))

    # Everything else in the store

    def replaced(self, name: str, states, kinds=None, trusted=(), labels=None) -> None:
        for state in states:
            runs = 0
            for kind, replace in _replacements(self).items():
                if kinds and kind not in kinds:
                    continue
                chosen = labels or sorted(self.dice.sample(list(_COMMANDS), 12 if fault_table.everything() else 4),
                                          key=list(_COMMANDS).index)
                with self.subTest(file=name, state=state, replaced_by=kind, commands=chosen):
                    runs += self.damage_and_run(
                        state, lambda store, replace=replace: replace(os.path.join(store, name)), chosen, trusted)
            fault_table.note("replaced " + name.split("/")[0], state, self.filesystem, runs, self.losses, self.seed)

    def states(self, *number):
        return tuple(_STATES) if fault_table.everything() else self.dice.sample(tuple(_STATES), *(number or (1,)))

    def test_something_else_in_place_of_data_mdb(self):
        self.replaced("catalog/data.mdb", ("sealed", "wiped"), labels=("ls", "verify", "restore --to", "restore"),
                      trusted=("ls", "verify", "restore"))

    def test_something_else_in_place_of_state_json(self):
        self.replaced("state.json", self.states(2))

    def test_something_else_in_place_of_the_lock(self):
        self.replaced("lock", self.states())

    def test_something_else_in_place_of_the_selection(self):
        self.replaced("selection/selection.json", self.states())

    def test_something_else_in_place_of_a_journal(self):
        for name in ("journal/wipe-1", "journal/flags.jsonl"):
            with self.subTest(journal=name):
                self.replaced(name, ("wiped",))

    def test_something_else_in_place_of_a_folder(self):
        for name in ("tree", "catalog", "journal", "selection"):
            self.replaced(name, self.states(), kinds=("gone", "symlink to a folder", "fifo", "other file"))

    def test_a_manifest_is_not_needed(self):
        self.replaced("manifest.jsonl", self.states())

    def test_one_slot_of_the_state_is_enough_and_none_is_damage(self):
        slot = 32768

        def cut(data, which):
            half = bytearray(data)
            for index in which:
                half[index * slot + 200] ^= 0x55
            return bytes(half)

        changes = {
            "both slots": lambda data: cut(data, (0, 1)), "empty": lambda data: b"",
            "one slot": lambda data: data[:slot], "short": lambda data: data[:slot // 2],
            "huge": lambda data: data + bytes(8 << 20), "zeros": lambda data: bytes(len(data)),
            "text": lambda data: b"{}\n", "nested": lambda data: (b'{"store":' + b"[" * 30000).ljust(slot) * 2,
            "first slot": lambda data: cut(data, (0,)), "second slot": lambda data: cut(data, (1,)),
        }
        for state in self.states(2):
            for name, change in changes.items():
                def damage(store, change=change):
                    path = os.path.join(store, "state.json")
                    with open(path, "rb") as stream:
                        data = stream.read()
                    _write(path, change(data))

                with self.subTest(state=state, change=name):
                    surely = name in ("both slots", "empty", "short", "zeros", "text", "nested")
                    labels = [label for label in _COMMANDS if label != "status"] if surely else \
                        ["verify", "restore --to", "wipe --dry-run"]
                    if surely and not fault_table.everything():
                        labels = sorted(self.dice.sample(labels, 3), key=list(_COMMANDS).index)
                    trusted = {label.split()[0] for label in labels} if surely else ()
                    self.damage_and_run(state, damage, labels, trusted)

    def test_damaged_journals_stop_what_relies_on_them(self):
        for index in range(30 if fault_table.everything() else 4):
            seed = self.dice.getrandbits(32)

            def damage(store, seed=seed):
                path = os.path.join(store, "journal/wipe-1")
                with open(path, "rb") as stream:
                    data = stream.read()
                dice = random.Random(seed)
                _write(path, _MUTATIONS[index % 2](dice, bytearray(data)))

            with self.subTest(seed=seed):
                self.damage_and_run("wiped", damage, ("rollback", "restore", "verify"))


cases.on("ext4")(DamageMixin)

if __name__ == "__main__":
    cases.main()
