"""Catalog rows by hand, from docs/format.md alone: sound ones, and what holdfast would never write.

The bytes are put into a store by the `forge` program, which also sets the checksum in state.json right. What
the rows mean is encoded here a second time, so that no test of the decoder leans on the encoder.
"""

import os
import struct
import subprocess

import run

FILE, SYMLINK, FIFO, CHAR, BLOCK = 1, 3, 4, 5, 6
LINK, REFLINK, COPY, NODE = 1, 2, 3, 4
PENDING, HASHED, UNSTABLE = 1, 2, 3
ROOT = 1


def number(value: int) -> bytes:
    """Of a key: big-endian."""
    return struct.pack(">Q", value)


def inode(kind=FILE, held=LINK, state=HASHED, mode=0o644, uid=0, gid=0, source=1, size=0, mtime=(0, 0), ctime=(0, 0),
          digest=bytes(16), presence=None, rare=b"", version=True) -> bytes:
    """An inode record; `rare`: bytes of the rare fields, announced by `presence`."""
    value = struct.pack("<BB", kind | held << 3 | state << 6, presence or 0)
    value += struct.pack("<HIIQQ", mode, uid, gid, source, size)
    value += struct.pack("<qI", *mtime) + struct.pack("<qI", *ctime)
    if kind == FILE:
        value += digest
    return (b"\x01" if version else b"") + value + rare


def entry_inline(record: bytes) -> bytes:
    return b"\x01\x02" + record[1:]


def entry_directory(identity: int) -> bytes:
    return b"\x01\x01" + struct.pack("<Q", identity)


def entry_group(inode_number: int) -> bytes:
    return b"\x01\x03" + struct.pack("<Q", inode_number)


def directory(parent: int, name: bytes, mode=0o755, uid=0, gid=0, inode_number=1, switches=3, presence=0, rare=b"",
              entries=0, size=0, name_length=None, times=((0, 0),) * 3) -> bytes:
    value = struct.pack("<BBBHIIQQ", 1, switches, presence, mode, uid, gid, parent, inode_number)
    for time in times:
        value += struct.pack("<qI", *time)
    value += struct.pack("<H", len(name) if name_length is None else name_length) + name + rare
    return value + struct.pack("<QQBB", entries, size, 0, 0)


def problem(path: bytes, kind=2, error=18, operation=b"linkat", reason=b"") -> bytes:
    value = struct.pack("<BBi", 1, kind, error)
    for text in (path, operation, reason):
        value += struct.pack("<I", len(text)) + text
    return value


class Catalog:
    """The rows of one store, and the changes to be made to them."""

    def __init__(self, store: str):
        self.store = store
        self.rows = {}
        self.changes = []
        for line in self._run("dump\n", "--unsealed").splitlines():
            table, key, value = line.split(" ")
            self.rows.setdefault(table, {})[self._bytes(key)] = self._bytes(value)

    @staticmethod
    def _bytes(text: str) -> bytes:
        return b"" if text == "-" else bytes.fromhex(text)

    @staticmethod
    def _hex(data: bytes) -> str:
        return data.hex() or "-"

    def _run(self, commands: str, *options) -> str:
        done = subprocess.run([run.test_program("forge"), self.store, *options], input=commands, capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"forge: exit {done.returncode}: {done.stderr}\n{commands[:2000]}")
        return done.stdout

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self.changes.append(f"put {table} {self._hex(key)} {self._hex(value)}")

    def put_name(self, parent: int, name: bytes, value: bytes) -> None:
        """Under the key of a long name, if it is one; `value` then has to have the name."""
        self.changes.append(f"name {parent} {self._hex(name)} {self._hex(value)}")

    def erase(self, table: str, key: bytes) -> None:
        self.changes.append(f"erase {table} {self._hex(key)}")

    def write(self, sealed: bool = True) -> None:
        self._run("\n".join(self.changes) + "\n", *(() if sealed else ("--unsealed",)))

    # Looking things up

    def directory_id(self, path: str) -> int:
        identity = ROOT
        for name in os.fsencode(path).split(b"/"):
            value = self.rows["entries"][number(identity) + name]
            if value[:2] != b"\x01\x01":
                raise AssertionError(f"{path} is no directory")
            identity = struct.unpack("<Q", value[2:])[0]
        return identity

    def entry(self, path: str):
        """(key, value) of a row of `entries`."""
        parent, _, name = path.rpartition("/")
        key = number(self.directory_id(parent) if parent else ROOT) + os.fsencode(name)
        return key, self.rows["entries"][key]

    def next_directory(self) -> int:
        return int(self.rows["meta"][b"next_dir"])

    def new_directory(self, parent: int, name: bytes, identity=None, with_entry: bool = True, **fields) -> int:
        """A directory that is sound but for what `fields` says; no mirror of it exists."""
        made = identity if identity is not None else self.next_directory() + 100 + len(self.changes)
        self.put("dirs", number(made), directory(parent, name, **fields))
        if with_entry:
            self.put("entries", number(parent) + name, entry_directory(made))
        return made
