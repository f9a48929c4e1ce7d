"""System calls that Python has no name for: inode flags, project ids, birth times, mount namespaces.

Everything takes a file descriptor, or a directory descriptor and one name: trees under test are deeper
than PATH_MAX and hold names that a path string could not carry.
"""

import ctypes
import errno
import fcntl
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)

FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_IOC_FSGETXATTR = 0x801C581F
FS_IOC_FSSETXATTR = 0x401C5820
FS_IOC_FIEMAP = 0xC020660B

FLAG_IMMUTABLE = 0x00000010
FLAG_APPEND = 0x00000020
FLAG_NODUMP = 0x00000040
FLAG_NOATIME = 0x00000080

_XFLAG_PROJINHERIT = 0x00000200

_CLONE_NEWNS = 0x00020000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FALLOC_FL_KEEP_SIZE = 1
_PR_SET_PDEATHSIG = 1


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def fd_path(dir_fd: int, name: bytes = b"") -> bytes:
    """A short path to `name` in an open directory, for calls that take no directory descriptor."""
    base = b"/proc/self/fd/%d" % dir_fd
    return base + b"/" + name if name else base


def enter_private_mount_namespace() -> bool:
    """Mounts made from here on are seen by this process and its children only, and end with them."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        return False
    return _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) == 0


def die_with_parent() -> None:
    """For preexec_fn: a daemon started for a test never outlives it."""
    _libc.prctl(_PR_SET_PDEATHSIG, 9)


def get_flags(fd: int) -> int:
    buffer = bytearray(8)
    fcntl.ioctl(fd, FS_IOC_GETFLAGS, buffer)
    return struct.unpack_from("i", buffer)[0]


def set_flags(fd: int, flags: int) -> None:
    fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("ii", flags, 0))


def change_flags(path_or_fd, add: int = 0, remove: int = 0) -> None:
    """chattr +x/-x on one file or directory."""
    if isinstance(path_or_fd, int):
        set_flags(path_or_fd, (get_flags(path_or_fd) | add) & ~remove)
        return
    fd = os.open(path_or_fd, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        set_flags(fd, (get_flags(fd) | add) & ~remove)
    finally:
        os.close(fd)


def get_project(fd: int) -> int:
    buffer = bytearray(28)
    fcntl.ioctl(fd, FS_IOC_FSGETXATTR, buffer)
    return struct.unpack("5I8x", buffer)[3]


def set_project(fd: int, project: int, inherit: bool = False) -> None:
    buffer = bytearray(28)
    fcntl.ioctl(fd, FS_IOC_FSGETXATTR, buffer)
    fields = list(struct.unpack("5I8s", buffer))
    fields[3] = project
    if inherit:
        fields[0] |= _XFLAG_PROJINHERIT
    fcntl.ioctl(fd, FS_IOC_FSSETXATTR, struct.pack("5I8s", *fields))


def birth_time(dir_fd: int, name: bytes):
    """Nanoseconds since 1970, or None where the filesystem records none."""
    buffer = ctypes.create_string_buffer(256)
    _check(_libc.statx(dir_fd, name, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer))
    mask = struct.unpack_from("<I", buffer, 0)[0]
    if not mask & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("<qI", buffer, 80)
    return seconds * 1_000_000_000 + nanoseconds


def exchange(a: str, b: str) -> None:
    """Swaps two names in one step."""
    _check(_libc.renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE))


def preallocate(fd: int, offset: int, length: int) -> None:
    """Extents beyond the end of the file, allocated and never written."""
    _check(_libc.fallocate(fd, _FALLOC_FL_KEEP_SIZE, ctypes.c_long(offset), ctypes.c_long(length)))


def physical_extents(fd: int):
    """[(logical, physical, length)] of a file, by FIEMAP; physical is an offset on the device."""
    count = 64
    buffer = bytearray(32 + 56 * count)
    struct.pack_into("=QQIIII", buffer, 0, 0, 0xFFFFFFFFFFFFFFFF, 1, 0, count, 0)
    fcntl.ioctl(fd, FS_IOC_FIEMAP, buffer)
    mapped = struct.unpack_from("=I", buffer, 20)[0]
    extents = []
    for index in range(min(mapped, count)):
        logical, physical, length = struct.unpack_from("=QQQ", buffer, 32 + 56 * index)
        extents.append((logical, physical, length))
    return extents


# POSIX ACLs as the kernel keeps them in an xattr: version 2, then (tag, permissions, id).
ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER = 1, 2, 4, 8, 16, 32
_ACL_NO_ID = 0xFFFFFFFF


def encode_acl(entries) -> bytes:
    """entries: (tag, permissions) or (tag, permissions, id), in the kernel's order."""
    value = struct.pack("<I", 2)
    for entry in entries:
        tag, permissions = entry[0], entry[1]
        value += struct.pack("<HHI", tag, permissions, entry[2] if len(entry) > 2 else _ACL_NO_ID)
    return value


def encode_file_capability(permitted: int) -> bytes:
    """security.capability, revision 2, effective bit set."""
    return struct.pack("<IIIII", 0x02000001, permitted & 0xFFFFFFFF, 0, permitted >> 32, 0)


def is_unsupported(error: OSError) -> bool:
    """The filesystem has no such thing, as opposed to: it failed."""
    return error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
