"""Builds trees for tests: one with everything that must survive, an old system around it, an image.

Everything is made by directory descriptors, so that names and depths that no path string can carry are
no problem, and from a seed, so that a failure can be repeated. What a filesystem cannot hold is left out
and listed in `Built.left_out`; a test that needs it looks there.
"""

import os
import random
import socket
import stat

import linux_calls as linux

_BEFORE_1970 = -1_234_567_890 * 10**9 + 123_456_789   # 1930
_AFTER_2038 = 4_102_444_800 * 10**9 + 987_654_321     # 2100
_ORDINARY = 1_600_000_000 * 10**9 + 111_222_333


class Built:
    """What was made, for assertions."""

    def __init__(self):
        self.left_out = []      # features that the filesystem refused
        self.sockets = []       # paths that capture must report as not captured
        self.mtimes = {}        # directories whose times are set at the very end

    def refused(self, feature: str, error: OSError) -> None:
        self.left_out.append(f"{feature}: {error.strerror}")


class Dir:
    """An open directory and short words for what can be made in it."""

    def __init__(self, path=None, fd=None):
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if fd is None else fd

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def names(self) -> list:
        """By a descriptor of its own: btrfs shows through an old one only what was there when it was opened."""
        fresh = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            return sorted(os.listdir(fresh))
        finally:
            os.close(fresh)

    def dir(self, name, mode: int = 0o755) -> "Dir":
        name = os.fsencode(name)
        try:
            os.mkdir(name, dir_fd=self.fd)
        except FileExistsError:
            pass
        child = Dir(fd=os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                               dir_fd=self.fd))
        os.fchmod(child.fd, mode)
        return child

    def file(self, name, content=b"", mode: int = 0o644, owner=None) -> "Dir":
        name = os.fsencode(name)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600,
                     dir_fd=self.fd)
        try:
            os.write(fd, content if isinstance(content, bytes) else content.encode())
            if owner:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        return self

    def symlink(self, name, target) -> "Dir":
        os.symlink(os.fsencode(target), os.fsencode(name), dir_fd=self.fd)
        return self

    def link(self, name, source, source_dir: "Dir" = None) -> "Dir":
        os.link(os.fsencode(source), os.fsencode(name), follow_symlinks=False,
                src_dir_fd=(source_dir or self).fd, dst_dir_fd=self.fd)
        return self

    def node(self, name, mode: int, device: int = 0) -> "Dir":
        os.mknod(os.fsencode(name), mode, device, dir_fd=self.fd)
        return self

    def own(self, name, uid: int, gid: int) -> "Dir":
        os.chown(os.fsencode(name), uid, gid, dir_fd=self.fd, follow_symlinks=False)
        return self

    def times(self, name, mtime_ns: int, atime_ns: int = None) -> "Dir":
        os.utime(os.fsencode(name), ns=(mtime_ns if atime_ns is None else atime_ns, mtime_ns),
                 dir_fd=self.fd, follow_symlinks=False)
        return self

    def xattr(self, name, attribute: str, value: bytes) -> "Dir":
        os.setxattr(linux.fd_path(self.fd, os.fsencode(name)), attribute, value, follow_symlinks=False)
        return self

    def flags(self, name, add: int) -> "Dir":
        fd = os.open(os.fsencode(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                     dir_fd=self.fd)
        try:
            linux.change_flags(fd, add=add)
        finally:
            os.close(fd)
        return self


def build_everything(path, seed: int = 1, many: int = 300, root: bool = True) -> Built:
    """A tree with each thing that must survive. `root`: also what only root can make."""
    dice = random.Random(seed)
    built = Built()
    os.makedirs(path, exist_ok=True)
    with Dir(path) as top:
        _contents(top, dice)
        _times(top, built)
        _names(top)
        _links(top)
        _nodes(top, built, root)
        _attributes(top, built, root)
        _modes_and_owners(top, root)
        _deep(top)
        _many(top, many)
        if root:
            _flags(top, built)
            _projects(top, built)
        _directory_times(top)
    return built


def _contents(top: Dir, dice: random.Random) -> None:
    with top.dir("contents") as where:
        where.file("empty")
        where.file("one-byte", b"x")
        where.file("text", "plain words\n" * 50)
        for size in (4095, 4096, 4097, 65_536, 300_001):
            where.file(f"random-{size}", dice.randbytes(size))
        where.file("same-1", b"same bytes, two inodes" * 9)
        where.file("same-2", b"same bytes, two inodes" * 9)
        where.dir("empty-directory").__exit__()
        fd = os.open("sparse", os.O_RDWR | os.O_CREAT, 0o644, dir_fd=where.fd)
        os.pwrite(fd, b"begin", 0)
        os.pwrite(fd, dice.randbytes(5000), 3 << 20)
        os.ftruncate(fd, 9 << 20)
        os.close(fd)
        fd = os.open("all-hole", os.O_RDWR | os.O_CREAT, 0o644, dir_fd=where.fd)
        os.ftruncate(fd, 5 << 20)
        os.close(fd)
        fd = os.open("unwritten", os.O_RDWR | os.O_CREAT, 0o644, dir_fd=where.fd)
        os.pwrite(fd, b"written", 0)
        try:
            os.posix_fallocate(fd, 65_536, 262_144)
            linux.preallocate(fd, 1 << 20, 1 << 20)
        except OSError:
            pass
        os.close(fd)


def _times(top: Dir, built: Built) -> None:
    with top.dir("times") as where:
        for name, when in (("before-1970", _BEFORE_1970), ("epoch", 0), ("after-2038", _AFTER_2038)):
            where.file(name, name)
            where.times(name, when, when + 5)
            found = os.stat(name, dir_fd=where.fd).st_mtime_ns
            if abs(found - when) > 1_000_000_000:
                built.left_out.append(f"times: {name} cannot be kept")
        where.file("nanoseconds", b"n").times("nanoseconds", _ORDINARY, _ORDINARY - 444_555_666)
        where.symlink("symlink-with-times", "nanoseconds")
        where.times("symlink-with-times", _BEFORE_1970, _ORDINARY)


AWKWARD_NAMES = (
    b"n" * 255,
    b"new\nline",
    b"tab\tand\rreturn",
    b"escape\x1b[31mred\x07",
    b"\x01\x02\x7f",
    b"invalid-\xff\xfe-utf8",
    b"half-\xc3",
    "snow-\u2603-\u00e4".encode(),
    "bidi-\u202egnp.exe".encode(),
    "c1-\u0085-control".encode(),
    b"-rf",
    b"--help",
    b"back\\slash",
    b"back\\nslash-n",
    b"quote'double\"`tick`",
    b" leading and trailing ",
    b"$HOME ; rm -rf *",
    b"...",
    b"..dots",
    b"*",
    b"[a-z]",
    b"!bang",
    b"#hash",
)


def _names(top: Dir) -> None:
    with top.dir("names") as where:
        for name in AWKWARD_NAMES:
            try:
                where.file(name, b"content of " + name)
                with where.dir(b"d" + name[:254]) as inner:
                    inner.file(name, b"inner " + name)
            except OSError:  # ntfs-3g takes no invalid UTF-8
                pass


def _links(top: Dir) -> None:
    with top.dir("links") as where:
        where.file("one", b"one inode, three names here")
        where.link("two", "one")
        with where.dir("elsewhere") as other, other.dir("deeper") as deeper:
            deeper.link("three", "one", where)
        where.symlink("symlink", "one").link("symlink-again", "symlink")
        where.symlink("dangling", "nowhere/at/all")
        where.symlink("to-directory", "elsewhere/deeper")
        where.symlink("absolute", "/etc/passwd")
        where.symlink("upward", "../../../../../../etc")
        where.symlink("loop", "loop")
        try:
            where.symlink("odd-target", b"\xff\n\\ target")
        except OSError:  # ntfs-3g wants UTF-8 here too
            where.symlink("odd-target", b"\n\\ target")
        where.symlink("long-target", b"t" * 1000)


def _nodes(top: Dir, built: Built, root: bool) -> None:
    with top.dir("nodes") as where:
        where.node("fifo", stat.S_IFIFO | 0o640)
        where.link("fifo-again", "fifo")
        if root:
            where.node("char", stat.S_IFCHR | 0o620, os.makedev(1, 3))
            where.node("block", stat.S_IFBLK | 0o660, os.makedev(7, 250))
            where.node("large-device", stat.S_IFCHR | 0o600, os.makedev(400, 70_000))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(linux.fd_path(where.fd, b"socket"))
            built.sockets.append(b"nodes/socket")
        except OSError as error:
            built.refused("socket", error)
        finally:
            listener.close()


_ACCESS_ACL = linux.encode_acl([
    (linux.ACL_USER_OBJ, 6), (linux.ACL_USER, 4, 1001), (linux.ACL_USER, 7, 4_000_000_000),
    (linux.ACL_GROUP_OBJ, 4), (linux.ACL_GROUP, 6, 2002), (linux.ACL_MASK, 7), (linux.ACL_OTHER, 0)])
_DEFAULT_ACL = linux.encode_acl([
    (linux.ACL_USER_OBJ, 7), (linux.ACL_USER, 7, 1001), (linux.ACL_GROUP_OBJ, 5),
    (linux.ACL_MASK, 7), (linux.ACL_OTHER, 5)])


def _attributes(top: Dir, built: Built, root: bool) -> None:
    with top.dir("attributes") as where:
        where.file("file", b"with attributes")
        where.dir("directory").__exit__()
        where.file("acl", b"acl").dir("acl-directory").__exit__()
        wanted = [("file", "user.comment", b"words"), ("file", "user.binary", bytes(range(256))),
                  ("file", "user.empty", b""), ("file", "user.large", b"v" * 2000),
                  ("directory", "user.on-directory", b"too"),
                  ("acl", "system.posix_acl_access", _ACCESS_ACL),
                  ("acl-directory", "system.posix_acl_access", _ACCESS_ACL),
                  ("acl-directory", "system.posix_acl_default", _DEFAULT_ACL)]
        if root:
            where.file("capable", b"#!/bin/true\n", 0o755)
            where.symlink("symlink", "file")
            wanted += [("file", "trusted.secret", b"\0\1\2"), ("directory", "trusted.directory", b"d"),
                       ("file", "security.holdfast-test", b"label"),
                       ("symlink", "trusted.on-symlink", b"s"),
                       ("capable", "security.capability", linux.encode_file_capability(1 << 10))]
        for name, attribute, value in wanted:
            try:
                where.xattr(name, attribute, value)
            except OSError as error:
                built.refused(attribute, error)
        # Made inside, so that it inherits; the store's copies of directories must not inherit anything.
        with where.dir("acl-directory") as inheriting:
            inheriting.file("inherited", b"mode and ACL come from the directory")
            inheriting.dir("inherited-directory").__exit__()


def _modes_and_owners(top: Dir, root: bool) -> None:
    with top.dir("modes") as where:
        for mode in (0o000, 0o400, 0o444, 0o600, 0o644, 0o666, 0o755, 0o777, 0o4755, 0o2755, 0o6711, 0o1644):
            where.file(f"file-{mode:04o}", f"{mode:04o}", mode if root or mode & 0o400 else 0o400)
        for mode in (0o700, 0o555, 0o755, 0o1777, 0o2775, 0o3777):
            with where.dir(f"dir-{mode:04o}") as inner:
                inner.file("inside", b"inside")
                os.fchmod(inner.fd, mode)
    if not root:
        return
    with top.dir("owners") as where:
        for uid, gid in ((0, 0), (1000, 1000), (1001, 100), (65_534, 65_534), (4_000_000_000, 3_999_999_999)):
            name = f"{uid}-{gid}"
            where.file(name, name, 0o640, (uid, gid))
            where.dir(f"dir-{name}").__exit__()
            where.own(f"dir-{name}", uid, gid)
            where.symlink(f"symlink-{name}", name).own(f"symlink-{name}", uid, gid)
        where.file("setuid-of-1000", b"#!/bin/true\n", 0o6755, (1000, 1000))


DEEP_LEVELS = 24
_DEEP_NAME = b"level-" + b"d" * 194  # 24 levels of 200 bytes: 4,800 bytes, PATH_MAX is 4,096


def _deep(top: Dir) -> None:
    fds = [top.dir("deep")]
    for _ in range(DEEP_LEVELS):
        fds.append(fds[-1].dir(_DEEP_NAME))
    fds[-1].file("at-the-bottom", b"deeper than PATH_MAX").symlink("link", "at-the-bottom")
    for directory in fds:
        directory.__exit__()


def _many(top: Dir, count: int) -> None:
    with top.dir("many") as where:
        for index in range(count):
            fd = os.open(f"entry-{index:06d}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=where.fd)
            os.write(fd, b"%d" % index)
            os.close(fd)


def _flags(top: Dir, built: Built) -> None:
    with top.dir("flags") as where:
        for name, flag in (("immutable", linux.FLAG_IMMUTABLE), ("append", linux.FLAG_APPEND),
                           ("nodump", linux.FLAG_NODUMP)):
            where.file(name, name)
            with where.dir(f"{name}-directory") as inner:
                inner.file("inside", b"inside " + name.encode())
            for target in (name, f"{name}-directory"):
                try:
                    where.flags(target, flag)
                except OSError as error:
                    built.refused(f"flag {target}", error)


def _projects(top: Dir, built: Built) -> None:
    with top.dir("project") as where:
        where.file("file", b"in project 7")
        fd = os.open("file", os.O_RDONLY, dir_fd=where.fd)
        try:
            linux.set_project(fd, 7)
        except OSError as error:
            built.refused("project id", error)
        finally:
            os.close(fd)
        with where.dir("directory") as inner:
            try:
                linux.set_project(inner.fd, 8, inherit=True)
            except OSError as error:
                built.refused("project id of a directory", error)
            inner.file("inherits", b"in project 8")


def _directory_times(top: Dir) -> None:
    """Bottom-up and last: making an entry moves its directory's mtime."""
    with top.dir("directory-times") as where:
        with where.dir("old") as old, old.dir("older"):
            old.times("older", _BEFORE_1970, _ORDINARY)
        where.times("old", _AFTER_2038, _BEFORE_1970)
    top.times("directory-times", _ORDINARY, _ORDINARY + 7)


def clear_flags(path) -> None:
    """Takes immutable and append-only away below a directory, so that it can be removed."""
    for directory, _, files, dir_fd in os.fwalk(path, follow_symlinks=False):
        del directory
        for name in [b"."] + [os.fsencode(file) for file in files]:
            try:
                fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=dir_fd)
            except OSError:
                continue
            try:
                linux.change_flags(fd, remove=linux.FLAG_IMMUTABLE | linux.FLAG_APPEND)
            except OSError:
                pass
            finally:
                os.close(fd)


def build_old_system(path) -> None:
    """What an installed system has around its users' files: nothing of it is selected."""
    with Dir(path) as top:
        with top.dir("etc") as etc:
            etc.file("hostname", "old-machine\n").file("passwd", "root:x:0:0::/root:/bin/sh\n")
            etc.file("shadow", "root:*:1::::::\n", 0o600)
            with etc.dir("cron.d") as cron:
                cron.file("job", "* * * * * root true\n")
        with top.dir("usr") as usr, usr.dir("bin") as binaries:
            binaries.file("tool", b"\x7fELF old" * 300, 0o755)
            binaries.link("tool-alias", "tool")
        with usr_lib(top) as library:
            for index in range(40):
                library.file(f"lib-{index}.so", b"old library %d\n" % index * 20)
        top.symlink("bin", "usr/bin")
        with top.dir("var") as var, var.dir("log") as log:
            log.file("syslog", "old line\n" * 200, 0o640)
        with top.dir("root", 0o700) as home:
            home.file(".bashrc", "alias ll='ls -l'\n")
        top.file("vmlinuz", b"old kernel" * 500).file(".hidden-at-top", b"hidden")
        with top.dir("empty-old"):
            pass


def usr_lib(top: Dir) -> Dir:
    with top.dir("usr") as usr:
        return usr.dir("lib")


# Where a test's users keep their files, and the patterns that select them.
SELECTED = ("home", "srv/data")
INCLUDES = ("--include", "home", "--include", "srv/data")


def build_users(path, seed: int = 1) -> None:
    """A small tree of ordinary users' files, with names that IMAGE_COLLISIONS also has."""
    dice = random.Random(seed)
    with Dir(path) as top:
        with top.dir("home") as home:
            for user, uid in (("al", 1000), ("bo", 1001)):
                with home.dir(user, 0o750) as mine:
                    mine.file(".profile", f"# {user}'s own\n").file("letter.txt", f"dear {user}\n" * 40)
                    with mine.dir("work") as work:
                        for index in range(12):
                            work.file(f"paper-{index}", dice.randbytes(100 + 997 * index))
                        work.link("paper-0-again", "paper-0")
                        work.symlink("latest", "paper-11")
                        with work.dir("deep") as deep, deep.dir("er") as deeper:
                            deeper.file("bottom", dice.randbytes(33_333))
                    with mine.dir("photos", 0o700) as photos:
                        for index in range(6):
                            photos.file(f"img-{index}.jpg", dice.randbytes(20_000 + index))
                    if os.geteuid() == 0:
                        for name in mine.names():
                            mine.own(name, uid, uid)
                    for name in mine.names():
                        mine.times(name, _ORDINARY + uid)
                if os.geteuid() == 0:
                    home.own(user, uid, uid)
                home.times(user, _ORDINARY + 2 * uid)
            home.times(".", _ORDINARY)
        with top.dir("srv") as srv:
            with srv.dir("data", 0o2775) as data:
                data.file("shared.db", dice.randbytes(70_000)).file("readme", b"shared\n")
                data.times("readme", _BEFORE_1970)
            srv.file("not-selected", b"stays behind\n")


def build_image(path, collide: bool = True) -> None:
    """What somebody lays on the emptied volume. `collide`: also names that users have, with other content."""
    with Dir(path) as top:
        with top.dir("etc") as etc:
            etc.file("hostname", "new-machine\n").file("passwd", "root:x:0:0::/root:/bin/bash\n")
            etc.file("os-release", "NAME=new\n")
        with top.dir("usr") as usr, usr.dir("bin") as binaries:
            binaries.file("tool", b"\x7fELF new" * 250, 0o755)
        top.symlink("bin", "usr/bin")
        with top.dir("boot") as boot:
            boot.file("vmlinuz", b"new kernel" * 400)
        with top.dir("srv", 0o711):
            pass
        if not collide:
            return
        with top.dir("home", 0o711) as home, home.dir("al", 0o700) as mine:
            mine.file(".profile", "# skeleton of the new system\n", 0o600)
            with mine.dir("work") as work:
                work.file("paper-3", b"somebody else's paper")
                work.file("latest", b"a file where a symlink was")
        with top.dir("srv") as srv, srv.dir("data") as data:
            data.file("readme", b"of the image\n")


IMAGE_COLLISIONS = (b"home/al/.profile", b"home/al/work/paper-3", b"home/al/work/latest", b"srv/data/readme")
IMAGE_ONLY = (b"etc", b"usr", b"bin", b"boot")
