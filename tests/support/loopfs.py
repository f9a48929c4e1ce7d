"""Real filesystems for tests: images on loop devices, tmpfs, ntfs-3g, or a plain folder.

All mounts are made in a mount namespace of the test process, with loop devices that the kernel detaches
when they are unmounted. However the process ends, SIGKILL included, nothing stays mounted and no device
stays attached. While the process lives, a Volume unmounts exactly what it mounted.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile

import linux_calls

# xfs refuses to be smaller than 300 MB. Images are sparse: the size costs nothing.
_DEFAULT_MEGABYTES = {"ext4": 512, "xfs": 512, "btrfs": 512, "ntfs": 256, "tmpfs": 512}
_MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
    "ntfs": ["mkfs.ntfs", "-q", "-F", "-f"],
}
_PROGRAM = {"ext4": "mkfs.ext4", "xfs": "mkfs.xfs", "btrfs": "mkfs.btrfs", "ntfs": "mkfs.ntfs"}

_namespace_entered = None
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Unavailable(Exception):
    """This machine cannot give the filesystem that was asked for; the text says why."""


def _interrupt(*_) -> None:
    raise KeyboardInterrupt("SIGTERM")


def enter_namespace() -> None:
    """Once a process, before its first mount."""
    global _namespace_entered
    if _namespace_entered is None:
        if os.geteuid() != 0:
            raise Unavailable("mounting needs root")
        _namespace_entered = linux_calls.enter_private_mount_namespace()
        # A SIGTERM takes the same way out as an exception: cleanups run.
        signal.signal(signal.SIGTERM, _interrupt)
    if not _namespace_entered:
        raise Unavailable("no mount namespace of our own (unshare CLONE_NEWNS is refused)")


def _memory_is_plentiful() -> bool:
    try:
        status = os.statvfs("/dev/shm")
    except OSError:
        return False
    return status.f_bavail * status.f_frsize > 6 << 30 and os.access("/dev/shm", os.W_OK)


def scratch_base(large: bool = False) -> str:
    """Where images live: memory if there is plenty, since thousands of syncs hit a shared disk hard."""
    chosen = os.environ.get("HOLDFAST_TEST_DIR")
    if chosen:
        return chosen
    if not large and _memory_is_plentiful():
        return "/dev/shm"
    return tempfile.gettempdir()


class Scratch:
    """A temporary directory that is removed at the end, flags and odd modes or not."""

    def __init__(self, large: bool = False):
        self.path = tempfile.mkdtemp(prefix="holdfast-test-", dir=scratch_base(large))
        atexit.register(self.remove)

    def remove(self) -> None:
        atexit.unregister(self.remove)
        if os.path.isdir(self.path):
            if os.geteuid() == 0:
                subprocess.run(["chattr", "-R", "-f", "-ia", self.path], check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            else:
                subprocess.run(["chmod", "-R", "u+rwX", self.path], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(self.path, ignore_errors=True)
        if os.path.isdir(self.path):
            subprocess.run(["rm", "-rf", "--one-file-system", self.path], check=False)


def _run(command) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout


class Volume:
    """One filesystem. `path` is where it is mounted; mount() and unmount() may be repeated."""

    def __init__(self, filesystem: str, scratch: str, name: str = "volume", megabytes: int = 0,
                 options: str = "", mkfs_options=(), image: str = ""):
        """`image`: an image that has a filesystem already; else one is made."""
        self.filesystem = filesystem
        self.options = options
        self.path = os.path.join(scratch, name)
        self.image = image or os.path.join(scratch, name + ".img")
        self.megabytes = megabytes or _DEFAULT_MEGABYTES.get(filesystem, 0)
        self._mounted = False
        self._daemon = None
        os.mkdir(self.path)
        if filesystem == "folder":
            return
        enter_namespace()
        atexit.register(self.close)
        if filesystem in _PROGRAM and not image:
            if shutil.which(_PROGRAM[filesystem]) is None:
                raise Unavailable(f"{_PROGRAM[filesystem]} is not installed")
            with open(self.image, "wb") as image:
                image.truncate(self.megabytes << 20)
            _run([*_MKFS[filesystem], *mkfs_options, self.image])
        self.mount()

    @property
    def device(self) -> str:
        """The loop device that it is mounted from now."""
        for line in open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape"):
            fields = line.split(" ")
            if fields[4] == self.path:
                return fields[fields.index("-") + 2]
        raise RuntimeError(f"{self.path} is not mounted")

    def mount(self, at: str = "", options: str = "") -> None:
        if self.filesystem == "folder" or self._mounted:
            return
        if at:
            self.path = at
            os.makedirs(at, exist_ok=True)
        wanted = ",".join(filter(None, [options or self.options]))
        try:
            if self.filesystem == "tmpfs":
                size = f"size={self.megabytes}m"
                _run(["mount", "-t", "tmpfs", "-o", ",".join(filter(None, [size, wanted])),
                      "holdfast-test", self.path])
            elif self.filesystem == "ntfs":
                self._mount_ntfs(wanted)
            else:
                _run(["mount", "-t", self.filesystem, "-o", ",".join(filter(None, ["loop", wanted])),
                      self.image, self.path])
        except RuntimeError as error:
            raise Unavailable(str(error)) from error
        self._mounted = True

    def _mount_ntfs(self, wanted: str) -> None:
        if shutil.which("ntfs-3g") is None:
            raise Unavailable("ntfs-3g is not installed")
        options = ",".join(filter(None, ["no_detach,permissions", wanted]))
        self._daemon = subprocess.Popen(  # pylint: disable=consider-using-with
            ["ntfs-3g", "-o", options, self.image, self.path],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=linux_calls.die_with_parent)
        for _ in range(100):
            if os.path.ismount(self.path):
                return
            if self._daemon.poll() is not None:
                break
            try:
                self._daemon.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
        raise RuntimeError(f"ntfs-3g did not mount (exit {self._daemon.poll()})")

    def remount(self, options: str) -> None:
        """The same mount with other options, e.g. "noatime" or "ro"."""
        if self.filesystem != "folder":
            _run(["mount", "-o", "remount," + options, self.path])

    def unmount(self) -> None:
        if not self._mounted:
            return
        _run(["umount", self.path])
        self._mounted = False
        if self._daemon is not None:
            self._daemon.wait(30)
            self._daemon = None

    def close(self) -> None:
        """unmount() that gives up on nothing: a busy mount is detached and ends with its last user."""
        atexit.unregister(self.close)
        if not self._mounted:
            return
        try:
            self.unmount()
        except RuntimeError:
            subprocess.run(["umount", "-l", self.path], check=False, stderr=subprocess.DEVNULL)
            self._mounted = False
            if self._daemon is not None:
                self._daemon.kill()
                self._daemon.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class BindMount:
    """A second mount of something that is there already."""

    def __init__(self, source: str, target: str):
        enter_namespace()
        self.path = target
        _run(["mount", "--bind", source, target])
        self._mounted = True

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "-l", self.path], check=False, stderr=subprocess.DEVNULL)
            self._mounted = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def fs_uuid(volume: Volume) -> str:
    return _run(["blkid", "-o", "value", "-s", "UUID", volume.image]).strip()
