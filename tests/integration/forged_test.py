#!/usr/bin/env python3
"""Catalogs with the right checksum and wrong rows: nothing is lost, nothing is written outside, nothing hangs.

Each forgery changes rows of a sound store in a way that holdfast never would, and sets the checksum in
state.json right. What is left as protection is the decoder and the care of whoever uses a row.
"""

import contextlib
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import forging  # noqa: E402
import linux_calls  # noqa: E402
import phases  # noqa: E402
import treegen  # noqa: E402
from forging import number  # noqa: E402

FORGERIES = {}

# A command that meets a forged row ends in damage (12), or lists what it could not believe (3, 4, 5).
_NOTICED = (3, 4, 5, 12)
_LIMIT_SECONDS = 60
# Where selected files are: in place, or in the mirror.
_HELD = (*treegen.SELECTED, *(os.path.join(cases.STORE, "tree", path) for path in treegen.SELECTED))


@contextlib.contextmanager
def _writable(path: str):
    """A directory of the store, which is immutable from wipe until restore."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    flags = linux_calls.get_flags(fd)
    try:
        linux_calls.change_flags(fd, remove=linux_calls.FLAG_IMMUTABLE)
        yield fd
    finally:
        linux_calls.set_flags(fd, flags)
        os.close(fd)


class Forgery:
    def __init__(self, make, notices, codes):
        self.make = make          # make(catalog, case, root)
        self.notices = notices    # commands that may not end in 0
        self.codes = codes        # what those may end in


_BOTH = ("verify", "restore --to")


def forgery(notices=_BOTH, codes=_NOTICED):
    def keep(make):
        FORGERIES[make.__name__] = Forgery(make, notices, codes)
        return make
    return keep


def _bad_name(name: bytes):
    def make(catalog, case, root):
        del case, root
        catalog.put("entries", number(catalog.directory_id("home/al")) + name,
                    forging.entry_inline(forging.inode(source=12)))
    return make


def _bad_directory_name(name: bytes):
    def make(catalog, case, root):
        del case, root
        parent = catalog.directory_id("home/al")
        made = catalog.new_directory(parent, name)
        catalog.put("entries", number(made) + b"authorized_keys", forging.entry_inline(forging.inode(source=12)))
    return make


for _title, _name in (("parent", b".."), ("self", b"."), ("empty", b""), ("slash", b"a/b"), ("climbing", b"../../out"),
                      ("absolute", b"/etc/passwd"), ("nul", b"a\0b"), ("nul_first", b"\0"), ("slash_last", b"a/")):
    FORGERIES[f"name_{_title}"] = Forgery(_bad_name(_name), _BOTH, (12,))
    FORGERIES[f"directory_name_{_title}"] = Forgery(_bad_directory_name(_name), _BOTH, (12,))


@forgery(codes=(12,))
def name_of_766_bytes(catalog, case, root):
    del case, root
    name = b"n" * 766
    record = forging.inode(source=12)
    catalog.put_name(catalog.directory_id("home/al"), name, b"\x01\x02" + struct.pack("<H", 766) + name + record[1:])


@forgery(codes=(12,))
def long_key_with_another_name(catalog, case, root):
    del case, root
    name = b"n" * 600
    value = b"\x01\x02" + struct.pack("<H", 600) + b"m" * 600 + forging.inode(source=12)[1:]
    catalog.put_name(catalog.directory_id("home/al"), name, value)


@forgery(notices=("verify",), codes=(12,))
def key_without_a_name(catalog, case, root):
    del case, root
    catalog.put("entries", number(catalog.directory_id("home/al"))[:5], forging.entry_inline(forging.inode()))


@forgery(notices=("verify",), codes=(12,))
def entry_below_no_directory(catalog, case, root):
    del case, root
    catalog.put("entries", number(0) + b"x", forging.entry_inline(forging.inode()))


@forgery(notices=("verify",))
def entry_of_a_directory_that_does_not_exist(catalog, case, root):
    del case, root
    catalog.put("entries", number(987654321) + b"x", forging.entry_inline(forging.inode()))


@forgery(codes=(12,))
def directory_that_is_its_own_parent(catalog, case, root):
    del case, root
    identity = catalog.directory_id("home/al")
    catalog.put("dirs", number(identity), forging.directory(identity, b"al"))
    catalog.put("entries", number(identity) + b"al", forging.entry_directory(identity))


@forgery(codes=(12,))
def directories_that_are_each_others_parents(catalog, case, root):
    del case, root
    home, mine = catalog.directory_id("home"), catalog.directory_id("home/al")
    catalog.put("dirs", number(home), forging.directory(mine, b"home"))
    catalog.put("entries", number(mine) + b"home", forging.entry_directory(home))


@forgery(codes=(12,))
def root_inside_of_itself(catalog, case, root):
    del case, root
    catalog.put("entries", number(catalog.directory_id("home")) + b"again", forging.entry_directory(forging.ROOT))


@forgery(codes=(12,))
def root_with_a_parent(catalog, case, root):
    del case, root
    catalog.put("dirs", number(forging.ROOT), forging.directory(5, b"x"))


@forgery(codes=(12,))
def no_root(catalog, case, root):
    del case, root
    catalog.erase("dirs", number(forging.ROOT))


@forgery(codes=(12,))
def one_directory_under_two_names(catalog, case, root):
    del case, root
    catalog.put("entries", number(forging.ROOT) + b"zz", forging.entry_directory(catalog.directory_id("home/al")))


@forgery(codes=(12,))
def two_names_a_level(catalog, case, root):
    """Forty levels of two names each: a walk that does not notice takes 2^40 steps."""
    del case, root
    parent = catalog.directory_id("home/al")
    for level in range(40):
        made = catalog.new_directory(parent, b"a", identity=1_000_000 + level)
        catalog.put("entries", number(parent) + b"b", forging.entry_directory(made))
        parent = made


@forgery(codes=(12,))
def directory_without_a_record(catalog, case, root):
    del case, root
    catalog.erase("dirs", number(catalog.directory_id("home/al/work")))


@forgery(codes=(12,))
def record_with_another_name(catalog, case, root):
    del case, root
    identity = catalog.directory_id("home/al")
    catalog.put("dirs", number(identity), forging.directory(catalog.directory_id("home"), b"bo"))


@forgery(codes=(12,))
def record_with_another_parent(catalog, case, root):
    del case, root
    identity = catalog.directory_id("home/al/work")
    catalog.put("dirs", number(identity), forging.directory(forging.ROOT, b"work"))


@forgery()
def very_deep(catalog, case, root):
    """Sound rows, but nobody has them."""
    del case, root
    parent = catalog.directory_id("home/al")
    for level in range(3000):
        parent = catalog.new_directory(parent, b"d", identity=1_000_000 + level)
    catalog.put("entries", number(parent) + b"f", forging.entry_inline(forging.inode()))


@forgery(codes=(12,))
def link_target_longer_than_the_row(catalog, case, root):
    del case, root
    key, _ = catalog.entry("home/al/work/latest")
    record = forging.inode(kind=forging.SYMLINK, presence=0x20, rare=struct.pack("<H", 65535) + b"x")
    catalog.put("entries", key, forging.entry_inline(record))


@forgery(codes=(12,))
def link_target_of_65535_bytes(catalog, case, root):
    del case, root
    key, _ = catalog.entry("home/al/work/latest")
    record = forging.inode(kind=forging.SYMLINK, presence=0x20, rare=struct.pack("<H", 65535) + b"x" * 65535)
    catalog.put("entries", key, forging.entry_inline(record))


@forgery(codes=(12,))
def link_target_of_a_mebibyte(catalog, case, root):
    del case, root
    key, _ = catalog.entry("home/al/work/latest")
    record = forging.inode(kind=forging.SYMLINK, presence=0x20, rare=struct.pack("<H", 0) + b"x" * (1 << 20))
    catalog.put("entries", key, forging.entry_inline(record))


@forgery(codes=(12,))
def link_target_with_nul(catalog, case, root):
    del case, root
    key, _ = catalog.entry("home/al/work/latest")
    record = forging.inode(kind=forging.SYMLINK, presence=0x20, rare=struct.pack("<H", 3) + b"a\0b")
    catalog.put("entries", key, forging.entry_inline(record))


@forgery(codes=(12,))
def xattrs_without_end(catalog, case, root):
    del case, root
    identity = catalog.directory_id("home/al")
    value = forging.directory(catalog.directory_id("home"), b"al", presence=0x08, rare=struct.pack("<H", 65535))
    catalog.put("dirs", number(identity), value)


@forgery(codes=(12,))
def xattr_value_of_four_gibibytes(catalog, case, root):
    del case, root
    identity = catalog.directory_id("home/al")
    rare = struct.pack("<HB", 1, 6) + b"user.x" + struct.pack("<I", 0xFFFFFFFF)
    catalog.put("dirs", number(identity), forging.directory(catalog.directory_id("home"), b"al", presence=8, rare=rare))


@forgery(codes=(12,))
def directory_name_longer_than_the_row(catalog, case, root):
    del case, root
    value = forging.directory(catalog.directory_id("home"), b"al", name_length=65535)
    catalog.put("dirs", number(catalog.directory_id("home/al")), value)


@forgery(notices=("ls --missed",), codes=(12,))
def problem_longer_than_the_row(catalog, case, root):
    del case, root
    catalog.put("problems", number(1), b"\x01\x02" + struct.pack("<iI", 18, 0xFFFFFFFF))

@forgery(notices=())
def problem_outside(catalog, case, root):
    del case, root
    catalog.put("problems", number(1), forging.problem(b"../../etc/\x1b[2Jshadow"))


@forgery(codes=(12,))
def record_of_another_version(catalog, case, root):
    del case, root
    key, value = catalog.entry("home/al/letter.txt")
    catalog.put("entries", key, b"\x02" + value[1:])


@forgery(codes=(12,))
def record_with_an_impossible_mode(catalog, case, root):
    del case, root
    key, _ = catalog.entry("home/al/letter.txt")
    catalog.put("entries", key, forging.entry_inline(forging.inode(mode=0o170777)))


@forgery(codes=(12,))
def record_with_trailing_bytes(catalog, case, root):
    del case, root
    key, value = catalog.entry("home/al/letter.txt")
    catalog.put("entries", key, value + b"\0")


@forgery(codes=(12,))
def empty_records(catalog, case, root):
    del case, root
    for path in ("home/al/letter.txt", "home/al/work"):
        catalog.put("entries", catalog.entry(path)[0], b"")


@forgery()
def inode_that_is_not_there(catalog, case, root):
    del case, root
    key, _ = catalog.entry("home/al/letter.txt")
    catalog.put("entries", key, forging.entry_inline(forging.inode(source=4_000_000_000)))


@forgery()
def file_that_never_was(catalog, case, root):
    del case, root
    catalog.put("entries", number(catalog.directory_id("home/al")) + b".bashrc",
                forging.entry_inline(forging.inode(source=4_000_000_000)))


@forgery()
def directory_that_never_was(catalog, case, root):
    del case, root
    made = catalog.new_directory(catalog.directory_id("home/al"), b".ssh", mode=0o700)
    catalog.put("entries", number(made) + b"authorized_keys", forging.entry_inline(forging.inode(source=12)))


@forgery()
def file_for_a_symlink(catalog, case, root):
    del case
    key, _ = catalog.entry("home/al/work/latest")
    found = os.lstat(os.path.join(root, cases.STORE, "tree/home/al/work/latest"))
    catalog.put("entries", key, forging.entry_inline(forging.inode(source=found.st_ino, size=found.st_size)))


@forgery()
def symlink_for_a_file(catalog, case, root):
    key, _ = catalog.entry("home/al/letter.txt")
    found = os.lstat(os.path.join(root, cases.STORE, "tree/home/al/letter.txt"))
    target = os.fsencode(case.canary)
    record = forging.inode(kind=forging.SYMLINK, source=found.st_ino, presence=0x20,
                           rare=struct.pack("<H", len(target)) + target)
    catalog.put("entries", key, forging.entry_inline(record))


@forgery()
def device_for_a_file(catalog, case, root):
    del case
    key, _ = catalog.entry("home/al/letter.txt")
    found = os.lstat(os.path.join(root, cases.STORE, "tree/home/al/letter.txt"))
    record = forging.inode(kind=forging.BLOCK, held=forging.NODE, mode=0o666, source=found.st_ino, presence=0x04,
                           rare=struct.pack("<Q", 8 << 32))
    catalog.put("entries", key, forging.entry_inline(record))


@forgery()
def device_that_never_was(catalog, case, root):
    """A node that everybody may write to the disk with."""
    del case, root
    record = forging.inode(kind=forging.BLOCK, held=forging.NODE, mode=0o666, source=99, presence=0x04,
                           rare=struct.pack("<Q", 8 << 32))
    catalog.put("entries", number(catalog.directory_id("home/al")) + b"sda", forging.entry_inline(record))


@forgery()
def directory_for_a_symlink(catalog, case, root):
    """The mirror has a symlink to a directory elsewhere where the catalog says directory, with files in it."""
    with _writable(os.path.join(root, cases.STORE, "tree/home/al")) as mine:
        os.symlink(case.canary, "way-out", dir_fd=mine)
    made = catalog.new_directory(catalog.directory_id("home/al"), b"way-out")
    found = os.lstat(os.path.join(case.canary, "precious"))
    catalog.put("entries", number(made) + b"precious",
                forging.entry_inline(forging.inode(source=found.st_ino, size=found.st_size)))


@forgery(notices=("verify",))
def file_below_a_symlink(catalog, case, root):
    """The catalog and the mirror have a symlink; a directory's record has its place, too, and a file."""
    del case, root
    work = catalog.directory_id("home/al/work")
    made = catalog.new_directory(work, b"latest", with_entry=False)
    catalog.put("entries", number(made) + b"inside", forging.entry_inline(forging.inode(source=77)))

@forgery()
def directory_over_a_file(catalog, case, root):
    del case, root
    mine = catalog.directory_id("home/al")
    made = catalog.new_directory(mine, b"letter.txt")
    catalog.put("entries", number(made) + b"inside", forging.entry_inline(forging.inode(source=77)))


@forgery(codes=(12,))
def group_without_a_record(catalog, case, root):
    del case, root
    key, _ = catalog.entry("home/al/letter.txt")
    catalog.put("entries", key, forging.entry_group(4_000_000_000))


@forgery(codes=(12,))
def group_under_another_number(catalog, case, root):
    del case, root
    _, value = catalog.entry("home/al/work/paper-0")
    catalog.put("inodes", value[2:][::-1], forging.inode(source=5))


@forgery()
def group_of_different_types(catalog, case, root):
    """One record says symlink for names that are files, and a symlink joins the group."""
    del case, root
    _, value = catalog.entry("home/al/work/paper-0")
    identity = struct.unpack("<Q", value[2:])[0]
    record = forging.inode(kind=forging.SYMLINK, source=identity, presence=0x20, rare=struct.pack("<H", 1) + b"x")
    catalog.put("inodes", number(identity), record)
    catalog.put("entries", catalog.entry("home/al/work/latest")[0], value)


@forgery(notices=())
def group_of_four_billion_names(catalog, case, root):
    del case, root
    _, value = catalog.entry("home/al/work/paper-0")
    identity = value[2:][::-1]
    old = catalog.rows["inodes"][identity]
    catalog.put("inodes", identity, old[:-4] + b"\xff\xff\xff\xff")

@forgery(notices=())
def counters_at_their_ends(catalog, case, root):
    del case, root
    for path in ("home", "home/al", "home/al/work"):
        parent, _, name = path.rpartition("/")
        value = forging.directory(catalog.directory_id(parent) if parent else forging.ROOT, os.fsencode(name),
                                  entries=2**64 - 1, size=2**64 - 1,
                                  times=((2**63 - 1, 999_999_999), (-2**63, 0), (2**63 - 1, 0)))
        catalog.put("dirs", number(catalog.directory_id(path)), value)


@forgery(notices=("verify",))
def sizes_at_their_ends(catalog, case, root):
    del case
    for name in ("letter.txt", "work/paper-1", "work/paper-2"):
        key, _ = catalog.entry("home/al/" + name)
        found = os.lstat(os.path.join(root, cases.STORE, "tree/home/al", name))
        catalog.put("entries", key, forging.entry_inline(forging.inode(
            source=found.st_ino, size=2**64 - 1, mtime=(-2**63, 999_999_999), ctime=(2**63 - 1, 0))))

def _next_directory(text: bytes):
    def make(catalog, case, root):
        del case, root
        catalog.put("meta", b"next_dir", text)
    return make


for _title, _text in (("at_its_end", b"18446744073709551615"), ("of_words", b"many"), ("empty", b""),
                      ("below_what_is_used", b"2")):
    FORGERIES[f"next_directory_{_title}"] = Forgery(_next_directory(_text), (), _NOTICED)


@forgery(notices=("find --duplicates",), codes=(12,))
def index_rows_that_lead_nowhere(catalog, case, root):
    del case, root
    for digest in (bytes(16), b"\xff" * 16):
        for name in (b"nowhere", b"elsewhere"):
            catalog.put("content", digest + number(77777) + name, b"")


@forgery(notices=("find --duplicates",), codes=(12,))
def index_rows_too_short(catalog, case, root):
    del case, root
    catalog.put("content", b"\x01", b"")
    catalog.put("content", b"\xfe" * 18, b"")


@forgery(notices=())
def index_rows_of_other_content(catalog, case, root):
    """Two files that differ under one hash."""
    del case, root
    for name in ("letter.txt", "work/paper-1"):
        catalog.put("content", b"\xaa" * 16 + catalog.entry("home/al/" + name)[0], b"")


@forgery(notices=())
def account_names_that_are_none(catalog, case, root):
    del case, root
    catalog.put("owners", b"\x01" + struct.pack(">I", 1000), b"al:0:0\nroot")
    catalog.put("owners", b"\x02" + struct.pack(">I", 1000), b"")


@forgery(codes=(12,))
def newer_format(catalog, case, root):
    del case, root
    catalog.put("meta", b"format", b"2")


@forgery(codes=(12,))
def format_of_words(catalog, case, root):
    del case, root
    catalog.put("meta", b"format", b"one")


@forgery(notices=())
def meta_of_garbage(catalog, case, root):
    del case, root
    for key in (b"capture_id", b"created_by", b"identity", b"selection", b"labels"):
        catalog.put("meta", key, b"[" * 50_000 + b"\x1b]0;\x07\0")


@forgery(notices=("verify",))
def the_store_inside_of_itself(catalog, case, root):
    """The store's own name is catalogued and in the mirror: restore must not touch the store."""
    del case
    tree = os.path.join(root, cases.STORE, "tree")
    path = os.path.join(tree, cases.STORE, "state.json")
    with _writable(tree) as mirror:
        os.mkdir(cases.STORE, dir_fd=mirror)
        with open(path, "wb") as stream:
            stream.write(b"forged\n")
    made = catalog.new_directory(forging.ROOT, os.fsencode(cases.STORE), mode=0o777)
    catalog.put("entries", number(made) + b"state.json", forging.entry_inline(forging.inode(
        source=os.stat(path).st_ino, size=7, mode=0o644)))


@forgery(notices=())
def xattrs_that_no_kernel_takes(catalog, case, root):
    del case, root
    rare = struct.pack("<H", 2)
    for name, value in ((b"nonsense", b"x"), (b"security.capability", b"\xff" * 99)):
        rare += struct.pack("<B", len(name)) + name + struct.pack("<I", len(value)) + value
    value = forging.directory(catalog.directory_id("home"), b"al", presence=8, rare=rare)
    catalog.put("dirs", number(catalog.directory_id("home/al")), value)

# name: arguments. {to} is a fresh directory on the volume, {away} one on another.
_LOOKING = {
    "status": ("status", "{root}"),
    "ls": ("ls", "{root}", "--long"),
    "ls --missed": ("ls", "{root}", "--missed"),
    "find --name": ("find", "{root}", "--name", "*"),
    "find --duplicates": ("find", "{root}", "--duplicates"),
    "verify --quick": ("verify", "{root}", "--quick"),
    "verify": ("verify", "{root}"),
    "restore --dry-run": ("restore", "{root}", "--dry-run"),
    "restore --to": ("restore", "{root}", "--to", "{to}"),
    "restore --to --mode copy": ("restore", "{root}", "--to", "{away}", "--mode", "copy"),
}
_ANY = (0, 3, 4, 5, 12)


class ForgedMixin(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.golden = {}
        self.losses = 0
        self.seed = fault_table.seed()
        print(f"HOLDFAST_SEED={self.seed}", flush=True)

    def copy_before(self, phase: str):
        if phase not in self.golden:
            self.golden[phase] = phases.Golden(self, self.filesystem, phases.BY_NAME[phase])
        return self.golden[phase].copy()

    def forge(self, root: str, name: str) -> None:
        catalog = forging.Catalog(self.store_path(root))
        FORGERIES[name].make(catalog, self, root)
        catalog.write()

    def run_one(self, root: str, label: str, arguments, codes, **places):
        words = [word.format(root=root, **places) for word in arguments]
        result = self.holdfast(*words, expect=None, timeout=_LIMIT_SECONDS)
        self.assertIn(result.code, codes, f"{label}\n{result.describe()}")
        if result.code == 12:
            self.assertTrue(result.summary["error"], result.describe())
        return result

    def nothing_lost(self, before: dict, root: str, only=()) -> None:
        lost = phases.lost_content(before, phases.whole(root), only)
        self.losses += len(lost)
        self.assertEqual(lost, [], "content has no name any more")

    def look(self, name: str) -> int:
        """All commands that change nothing in ROOT, and restores to elsewhere."""
        volume = self.copy_before("restore-link")
        root = volume.path
        made = FORGERIES[name]
        self.forge(root, name)
        before = phases.whole(root)
        outside = self.record(root, cases.STORE, "to")
        away = os.path.join(self.scratch.path, f"away-{name}")
        for label, arguments in _LOOKING.items():
            with self.subTest(forgery=name, command=label):
                os.makedirs(os.path.join(root, "to"), exist_ok=True)
                os.makedirs(away, exist_ok=True)
                codes = made.codes if label in made.notices else _ANY
                self.run_one(root, label, arguments, codes, to=os.path.join(root, "to"), away=away)
        with self.subTest(forgery=name):
            os.utime(root, ns=(before[b""]["atime"], before[b""]["mtime"]))  # the test made to/ in it
            self.assert_same(outside, self.record(root, cases.STORE, "to"), ("atime", "nlink", "links"),
                             "something was written outside of --to")
            self.nothing_lost(before, root)
        self.golden["restore-link"].drop(volume)
        return len(_LOOKING)

    def change(self, name: str, phase: str, *commands) -> int:
        """Commands that change the volume, one after the other; afterwards all content still has a name."""
        volume = self.copy_before(phase)
        root = volume.path
        self.forge(root, name)
        before = phases.whole(root)
        with self.subTest(forgery=name, commands=commands):
            for arguments in commands:
                deletes = arguments[0] == "discard"
                self.run_one(root, arguments[0], (arguments[0], "{root}", *arguments[1:]), _ANY)
                # What discard deletes is the old system; what was selected keeps a name.
                self.nothing_lost(before, root, _HELD if deletes else ())
        self.golden[phase].drop(volume)
        return len(commands)

    def note(self, phase: str, runs: int) -> None:
        fault_table.note("forged catalog", phase, self.filesystem, runs, self.losses, self.seed)

    def sample(self, size: int) -> list:
        names = sorted(FORGERIES)
        return names if fault_table.everything() else random.Random(self.seed).sample(names, size)

    def test_commands_that_look_refuse_or_list_it(self):
        names = self.sample(24 if self.filesystem == "ext4" else 4)
        self.note("look", sum(self.look(name) for name in names))

    def test_restore_in_place_loses_nothing(self):
        self.note("restore-link", sum(self.change(name, "restore-link", ("restore",), ("discard", "--yes"))
                                      for name in self.sample(5)))

    def test_restore_by_move_loses_nothing(self):
        self.note("restore-move", sum(self.change(name, "restore-move", ("restore", "--mode", "move"),
                                                  ("restore", "--mode", "move"), ("discard", "--yes"))
                                      for name in self.sample(5)))

    def test_rollback_loses_nothing(self):
        self.note("rollback", sum(self.change(name, "rollback", ("rollback", "--yes")) for name in self.sample(3)))

    def test_refresh_and_wipe_lose_nothing(self):
        self.note("wipe", sum(self.change(name, "wipe", ("wipe", "--yes", "--dry-run"), ("capture",),
                                          ("wipe", "--yes"), ("rollback", "--yes")) for name in self.sample(5)))

    def test_discard_after_restore_loses_nothing(self):
        self.note("discard", sum(self.change(name, "discard", ("discard", "--yes")) for name in self.sample(3)))


cases.on("ext4", "btrfs")(ForgedMixin)

if __name__ == "__main__":
    cases.main()
