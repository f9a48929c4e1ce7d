"""Asks programs that are not ours whether two trees are the same."""

import os
import subprocess

# Sockets are never captured. The deep tree is beyond PATH_MAX, which these programs cannot follow.
_RSYNC_EXCLUDES = ("--exclude=/*/everything/deep", "--exclude=/*/everything/nodes/socket")


def _run(command, cwd=None, codes=(0,)) -> bytes:
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    if done.returncode not in codes:
        raise AssertionError(f"{command[:6]}...: exit {done.returncode}: {done.stderr[-2000:]!r}")
    return done.stdout


def copy_with_rsync(root: str, copy: str, prefixes) -> None:
    """An independent copy with everything that rsync can carry."""
    sources = [f"{root}/./{prefix}" for prefix in prefixes]
    _run(["rsync", "-aHAXUR", "--no-implied-dirs", "--open-noatime", "-S", *_RSYNC_EXCLUDES, *sources,
          copy + "/"])


def rsync_differences(copy: str, root: str, prefixes, atimes: bool = True) -> str:
    """Empty when rsync, comparing content by checksum, would change and delete nothing."""
    sources = [f"{copy}/./{prefix}" for prefix in prefixes]
    options = "-naHAXUicR" if atimes else "-naHAXicR"
    return _run(["rsync", options, "--no-implied-dirs", "--open-noatime", "--delete", *_RSYNC_EXCLUDES,
                 *sources, root + "/"]).decode("utf-8", "backslashreplace")


def _reachable(root: str, prefixes) -> list:
    """The prefixes, with a directory that holds the deep tree replaced by its other children."""
    result = []
    for prefix in prefixes:
        everything = os.path.join(prefix, "everything")
        if os.path.isdir(os.path.join(root, everything)):
            result += [os.path.join(prefix, name) for name in sorted(os.listdir(os.path.join(root, prefix)))
                       if name != "everything"]
            result += [os.path.join(everything, name) for name in
                       sorted(os.listdir(os.path.join(root, everything))) if name != "deep"]
        else:
            result.append(prefix)
    return result


def _blocks(output: bytes) -> list:
    return sorted(b"\n".join(sorted(block.split(b"\n"))) for block in output.split(b"\n\n") if block.strip())


def _hard_link_groups(listing: bytes) -> list:
    groups = {}
    for line in listing.split(b"\0"):
        if line:
            inode, path = line.split(b" ", 1)
            groups.setdefault(inode, []).append(path)
    return sorted(sorted(paths) for paths in groups.values() if len(paths) > 1)


def testimony(root: str, prefixes) -> dict:
    """What getfattr, getfacl, lsattr and find say of these trees, in an order of its own."""
    paths = _reachable(root, prefixes)
    socket_free = ["-not", "-type", "s"]
    find = _run(["find", *paths, *socket_free, "-printf", r"%p\1%y\1%m\1%U\1%G\1%T@\1%l\0"], root)
    sizes = _run(["find", *paths, "-type", "f", "-printf", r"%p\1%s\0"], root)
    inodes = _run(["find", *paths, *socket_free, "-not", "-type", "d", "-printf", r"%i %p\0"], root)
    attributes = _run(["getfattr", "-R", "-h", "-d", "-m", "-", "-e", "hex", *paths], root)
    acls = _run(["getfacl", "-R", "-P", "-n", "-p", *paths], root)
    flags = _run(["lsattr", "-R", "-a", *paths], root, codes=(0, 1))
    return {
        "find -printf": sorted(find.split(b"\0")),
        "find -size": sorted(sizes.split(b"\0")),
        "hard links": _hard_link_groups(inodes),
        "getfattr": _blocks(attributes),
        # The socket's ACL is the one entry that may go.
        "getfacl": [block for block in _blocks(acls) if b"/socket\n" not in block],
        "lsattr": sorted({line for line in flags.split(b"\n")
                          if line and not line.endswith((b"/..", b"/.", b":"))}),
    }


def differences(before: dict, after: dict) -> list:
    """One line per tool that does not say the same of both, with the first deviating pieces."""
    lines = []
    for tool, said in before.items():
        if said != after[tool]:
            gone = [piece for piece in said if piece not in after[tool]][:3]
            new = [piece for piece in after[tool] if piece not in said][:3]
            lines.append(f"{tool}: was {gone!r}, is {new!r}")
    return lines


def xxh128_of(directory, paths) -> dict:
    """{path: 32 hex digits} by xxh128sum, for names that its output carries unescaped."""
    result = {}
    for start in range(0, len(paths), 500):
        batch = paths[start:start + 500]
        lines = _run(["xxh128sum", "--", *batch], directory).split(b"\n")
        for path, line in zip(batch, lines, strict=False):
            result[path] = line.lstrip(b"\\").split(b" ", 1)[0].decode("ascii")
    return result


def xxh128sum_check(tree: str, manifest: str) -> None:
    """Raises unless `xxh128sum -c` inside the mirror accepts every line."""
    _run(["xxh128sum", "--check", "--quiet", "--strict", manifest], tree)


def mdb_entries(catalog: str) -> int:
    """Rows of all tables, by LMDB's own tool."""
    output = _run(["mdb_stat", "-a", catalog]).decode()
    return sum(int(line.split(":")[1]) for line in output.splitlines() if "Entries:" in line)
