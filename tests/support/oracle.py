#!/usr/bin/env python3
"""Records a directory tree, everything a filesystem keeps of it, and compares two records.

It shares no code and no idea with the program under test: it walks by directory descriptors, one
component at a time, reads with O_NOATIME, and asks the kernel for every property by itself.

    oracle.py record DIR [--exclude NAME]... > before.json
    oracle.py compare before.json after.json [--ignore FIELD]... [--ignore-type TYPE]...

Fields: type mode uid gid size mtime atime btime inode nlink xattrs flags project target links rdev sha256
blocks. `links` is the set of names that share the inode; `nlink` is the kernel's count, names outside the
tree included. compare exits 1 when anything was lost, changed or added.
"""

import argparse
import hashlib
import json
import os
import resource
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import linux_calls  # noqa: E402

_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
          stat.S_IFIFO: "fifo", stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFSOCK: "socket"}

# What every tree keeps; the others depend on how it was moved: a copy has inodes of its own.
IDENTITY = ("inode", "btime", "nlink", "blocks", "links", "atime")
SAME_PLACE_DIFFERENT_INODE = ("inode", "btime", "nlink", "blocks")

# What chattr(1) sets. The others say how the filesystem stores the file (extents, inline data, htree).
_CHATTR_FLAGS = (linux_calls.FLAG_IMMUTABLE | linux_calls.FLAG_APPEND | linux_calls.FLAG_NODUMP |
                 linux_calls.FLAG_NOATIME | 0x8 | 0x10000 | 0x800000 | 0x20000000)

_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def _open_quietly(name, dir_fd=None, extra=0) -> int:
    try:
        return os.open(name, _READ_ONLY | os.O_NOATIME | extra, dir_fd=dir_fd)
    except PermissionError:  # O_NOATIME is the owner's
        return os.open(name, _READ_ONLY | extra, dir_fd=dir_fd)


def _sha256(fd: int) -> str:
    digest = hashlib.sha256()
    while True:
        block = os.read(fd, 1 << 20)
        if not block:
            return digest.hexdigest()
        digest.update(block)


def _xattrs(dir_fd: int, name: bytes) -> dict:
    path = linux_calls.fd_path(dir_fd, name)
    follow = not name
    found = {}
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if linux_calls.is_unsupported(error):
            return found
        raise
    for attribute in names:
        if attribute.startswith("system.ntfs"):  # another view of what is recorded already
            continue
        found[attribute] = os.getxattr(path, attribute, follow_symlinks=follow).hex()
    return found


def _inode_fields(fd: int) -> dict:
    fields = {}
    try:
        fields["flags"] = linux_calls.get_flags(fd) & _CHATTR_FLAGS
    except OSError:
        pass
    try:
        fields["project"] = linux_calls.get_project(fd)
    except OSError:
        pass
    return fields


class _Recorder:
    def __init__(self, content: bool):
        self.content = content
        self.entries = {}
        self.names_of_inode = {}

    def one(self, dir_fd: int, name: bytes, path: bytes) -> os.stat_result:
        """Records everything that does not need the entry to be opened, times first."""
        found = (os.stat(name, dir_fd=dir_fd, follow_symlinks=False) if name else os.stat(dir_fd))
        entry = {
            "type": _TYPES[stat.S_IFMT(found.st_mode)],
            "mode": f"{stat.S_IMODE(found.st_mode):04o}",
            "uid": found.st_uid, "gid": found.st_gid,
            "mtime": found.st_mtime_ns, "atime": found.st_atime_ns,
            "inode": found.st_ino,
        }
        if name:
            entry["btime"] = linux_calls.birth_time(dir_fd, name)
        entry["xattrs"] = _xattrs(dir_fd, name)
        if not stat.S_ISDIR(found.st_mode):
            entry["size"] = found.st_size
            entry["nlink"] = found.st_nlink
            entry["blocks"] = found.st_blocks
            self.names_of_inode.setdefault((found.st_dev, found.st_ino), []).append(path)
        if stat.S_ISLNK(found.st_mode):
            entry["target"] = os.readlink(name, dir_fd=dir_fd).decode("latin-1")
        if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
            entry["rdev"] = [os.major(found.st_rdev), os.minor(found.st_rdev)]
        if stat.S_ISREG(found.st_mode):
            fd = _open_quietly(name, dir_fd)
            try:
                entry.update(_inode_fields(fd))
                if self.content:
                    entry["sha256"] = _sha256(fd)
            finally:
                os.close(fd)
        self.entries[path] = entry
        return found

    def directory(self, fd: int, path: bytes, exclude) -> None:
        """Records what is below an open directory. Python's recursion is enough for thousands of levels."""
        self.entries[path].update(_inode_fields(fd))
        # A second descriptor: reading names must not use up the first one's offset.
        listing = _open_quietly(b".", fd, os.O_DIRECTORY)
        try:
            names = sorted(os.fsencode(name) for name in os.listdir(listing))
        finally:
            os.close(listing)
        for name in names:
            if not path and name in exclude:
                continue
            below = path + b"/" + name if path else name
            found = self.one(fd, name, below)
            if stat.S_ISDIR(found.st_mode):
                child = _open_quietly(name, fd, os.O_DIRECTORY)
                try:
                    self.directory(child, below, ())
                finally:
                    os.close(child)


def record(directory, exclude=(), content: bool = True) -> dict:
    """{path: fields} of everything below `directory`, itself under b"". `exclude`: top-level names."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
    recorder = _Recorder(content)
    root = _open_quietly(directory, None, os.O_DIRECTORY)
    try:
        recorder.one(root, b"", b"")
        recorder.directory(root, b"", {os.fsencode(name) for name in exclude})
    finally:
        os.close(root)
    for paths in recorder.names_of_inode.values():
        if len(paths) > 1:
            for path in paths:
                recorder.entries[path]["links"] = sorted(other.decode("latin-1") for other in paths)
    return recorder.entries


def below(entries: dict, *prefixes) -> dict:
    """The part of a record that lies at or below one of these paths, link groups cut to it."""
    wanted = [os.fsencode(prefix) for prefix in prefixes]
    part = {path: dict(fields) for path, fields in entries.items()
            if any(path == prefix or path.startswith(prefix + b"/") for prefix in wanted)}
    for fields in part.values():
        if "links" in fields:
            names = [name for name in fields["links"] if name.encode("latin-1") in part]
            if len(names) > 1:
                fields["links"] = names
            else:
                del fields["links"]
    return part


def without(entries: dict, *prefixes) -> dict:
    """The part of a record that does not lie at or below these paths."""
    unwanted = below(entries, *prefixes)
    return {path: fields for path, fields in entries.items() if path not in unwanted}


def without_type(entries: dict, *types) -> dict:
    return {path: fields for path, fields in entries.items() if fields["type"] not in types}


def as_restored(entries: dict) -> dict:
    """Without what no restore can give back: directories are made anew, and readlink moves a symlink's atime."""
    result = {path: dict(fields) for path, fields in entries.items()}
    for fields in result.values():
        if fields["type"] == "directory":
            fields.pop("inode", None)
            fields.pop("btime", None)
        elif fields["type"] == "symlink":
            fields.pop("atime", None)
    return result


def moved(entries: dict, old: bytes, new: bytes) -> dict:
    """The record as it would be if `old` had been renamed to `new`."""
    def rename(path: bytes) -> bytes:
        if path == old or path.startswith(old + b"/"):
            return new + path[len(old):]
        return path
    renamed = {rename(path): dict(fields) for path, fields in entries.items()}
    for fields in renamed.values():
        if "links" in fields:
            names = (rename(name.encode("latin-1")) for name in fields["links"])
            fields["links"] = sorted(name.decode("latin-1") for name in names)
    return renamed


def printable(path: bytes) -> str:
    return path.decode("latin-1").encode("unicode_escape").decode("ascii") or "."


def compare(before: dict, after: dict, ignore=()) -> list:
    """One line per difference: lost, changed (field, before, after), added."""
    differences = []
    for path in sorted(before.keys() - after.keys()):
        differences.append(f"lost: {printable(path)} ({before[path]['type']})")
    for path in sorted(before.keys() & after.keys()):
        old, new = before[path], after[path]
        for field in sorted((old.keys() | new.keys()) - set(ignore)):
            if old.get(field) != new.get(field):
                differences.append(f"changed: {printable(path)}: {field}: "
                                   f"{_short(old.get(field))} -> {_short(new.get(field))}")
    for path in sorted(after.keys() - before.keys()):
        differences.append(f"added: {printable(path)} ({after[path]['type']})")
    return differences


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) < 300 else text[:300] + "..."


def dump(entries: dict, stream) -> None:
    json.dump({path.decode("latin-1"): fields for path, fields in entries.items()}, stream, sort_keys=True)
    stream.write("\n")


def load(stream) -> dict:
    return {path.encode("latin-1"): fields for path, fields in json.load(stream).items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="write a record of DIR to standard output")
    recording.add_argument("directory")
    recording.add_argument("--exclude", action="append", default=[], help="a top-level name to leave out")
    comparing = commands.add_parser("compare", help="print what was lost, changed and added")
    comparing.add_argument("before")
    comparing.add_argument("after")
    comparing.add_argument("--ignore", action="append", default=[], help="a field not to compare")
    comparing.add_argument("--ignore-type", action="append", default=[], help="a type not to compare")
    arguments = parser.parse_args()
    if arguments.command == "record":
        dump(record(arguments.directory, arguments.exclude), sys.stdout)
        return 0
    with open(arguments.before, encoding="utf-8") as old, open(arguments.after, encoding="utf-8") as new:
        records = [without_type(load(stream), *arguments.ignore_type) for stream in (old, new)]
        differences = compare(*records, arguments.ignore)
    for line in differences:
        print(line)
    print(f"{len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
