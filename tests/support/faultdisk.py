"""A volume on a disk that fails on command: power cuts, bad blocks, write errors.

The disk is faultdisk.cpp, a FUSE program that serves an image, with a loop device on it (ntfs-3g opens the file
itself). The image is never written: one image serves any number of runs. Everything is mounted in the mount
namespace of the test process; the program ends with the test process, and its mounts with it.
"""

import errno
import fcntl
import json
import os
import struct
import subprocess
import time

import linux_calls
import loopfs
import run

_FS_IOC_SHUTDOWN = 0x8004587D
_SHUTDOWN_WITHOUT_LOG = 2

# Mounted so that a fault is answered as it is on users' machines. btrfs would send discards, which the disk refuses.
_OPTIONS = {"btrfs": "nodiscard"}


class Disk:
    """The FUSE program, started with this process as the one that it must not outlive."""

    def __init__(self, image: str, scratch: str, name: str):
        loopfs.enter_namespace()
        program = run.test_program("faultdisk")
        if not os.access(program, os.X_OK):
            raise loopfs.Unavailable(f"no faultdisk at {program} (libfuse3-dev)")
        if not os.path.exists("/dev/fuse"):
            raise loopfs.Unavailable("no /dev/fuse")
        self.directory = os.path.join(scratch, name + ".disk")
        os.mkdir(self.directory)
        self.file = os.path.join(self.directory, "disk")
        self._process = subprocess.Popen(  # pylint: disable=consider-using-with
            [program, image, self.directory], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=linux_calls.die_with_parent)
        deadline = time.monotonic() + 20
        while not os.path.ismount(self.directory):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"faultdisk did not mount (exit {self._process.poll()})")
            time.sleep(0.005)

    def do(self, *words) -> None:
        """A command; it has happened when this returns. See faultdisk.cpp."""
        os.setxattr(self.file, "user.do", " ".join(map(str, words)).encode())

    @property
    def counters(self) -> dict:
        return json.loads(os.getxattr(self.file, "user.counters"))

    @property
    def events(self) -> int:
        """Writes and flushes so far: what cut-at and fail-writes count."""
        counters = self.counters
        return counters["writes"] + counters["flushes"]

    def close(self) -> None:
        subprocess.run(["umount", "-l", self.directory], check=False, stderr=subprocess.DEVNULL)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)


class FaultyVolume(loopfs.Volume):
    """A filesystem on such a disk. start() gives each run the image as it was."""

    def __init__(self, filesystem: str, scratch: str, name: str, image: str, options: str = ""):
        self.disk = Disk(image, scratch, name)
        try:
            super().__init__(filesystem, scratch, name, options=options or _OPTIONS.get(filesystem, ""),
                             image=self.disk.file)
        except BaseException:
            self.disk.close()
            raise

    def start(self, *commands) -> None:
        """The image as it was, mounted; then these commands to the disk, e.g. "cache"."""
        self.unmount()
        self.disk.do("reset")
        self.mount()
        for command in commands:
            self.disk.do(command)

    def cut(self, keep: str = "none", seed: int = 0) -> None:
        """Power cut, unless one has struck already."""
        if not self.is_dead:
            self.disk.do("cut", keep, seed)

    @property
    def is_dead(self) -> bool:
        return self.disk.counters["dead"]

    def revive(self) -> None:
        """Power is back: the volume is mounted as the cut left it."""
        self.unmount()
        self.disk.do("revive")
        self.mount()

    def unmount(self) -> None:
        """Patient: the last user of a dying filesystem may take a moment to let go."""
        deadline = time.monotonic() + 20
        while True:
            try:
                super().unmount()
                return
            except RuntimeError as error:
                if "busy" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def close(self) -> None:
        super().close()
        self.disk.close()

    def bad_extents(self, path: str, verb: str) -> int:
        """Makes the blocks that hold this file's content bad; gives how many extents. `verb`: bad-read, bad-write."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME)
        try:
            extents = linux_calls.physical_extents(fd)
        finally:
            os.close(fd)
        for _, physical, length in extents:
            self.disk.do(verb, physical, length)
        return len(extents)


def fsck(filesystem: str, file: str):
    """What the filesystem's own check finds on an unmounted image: "" or its words."""
    commands = {"ext4": ["e2fsck", "-fn"], "xfs": ["xfs_repair", "-n", "-f"], "btrfs": ["btrfs", "check", "--readonly"],
                "ntfs": ["ntfsfix", "--no-action"]}
    done = subprocess.run([*commands[filesystem], file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stdout.strip()}"


def shut_down(path: str) -> None:
    """ext4 and xfs: the filesystem ends at once and its log is not flushed, which is a power cut on a disk that has
    kept all it was given."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, _FS_IOC_SHUTDOWN, struct.pack("I", _SHUTDOWN_WITHOUT_LOG))
    except OSError as error:
        if error.errno != errno.EIO:  # it is down already
            raise
    finally:
        os.close(fd)
