#!/usr/bin/env python3
"""Large numbers: a million small files in bounded memory, 200,000 entries in one directory. Label slow."""

import hashlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

_FILES = int(os.environ.get("HOLDFAST_SCALE_FILES", "1000000"))
_ONE_DIRECTORY = min(200_000, _FILES // 5)
_MEMORY_LIMIT = 128 << 20


class _Sampler(threading.Thread):
    """Peak anonymous memory and peak resident memory of a process, read every 10 ms."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.path = f"/proc/{pid}/status"
        self.anonymous = self.resident = 0
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.01):
            try:
                with open(self.path, encoding="ascii", errors="replace") as file:
                    for line in file:
                        if line.startswith("RssAnon:"):
                            self.anonymous = max(self.anonymous, int(line.split()[1]) << 10)
                        elif line.startswith("VmHWM:"):
                            self.resident = max(self.resident, int(line.split()[1]) << 10)
            except OSError:
                return


def digest_of(top: str) -> str:
    """Names, inodes, modes, sizes and times of files below, without keeping a million of them in mind."""
    digest = hashlib.sha256()
    for directory, names, files in os.walk(top):
        names.sort()
        for name in sorted(files):
            found = os.lstat(os.path.join(directory, name))
            digest.update(f"{directory[len(top):]}/{name} {found.st_ino} {found.st_mode} {found.st_size} "
                          f"{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class MillionFiles(cases.VolumeCase):
    large = True

    def measured(self, *arguments) -> dict:
        start = time.monotonic()
        process = self.holdfast.start(*arguments)
        self.addCleanup(run.end, process)
        sampler = _Sampler(process.pid)
        sampler.start()
        out, err = process.communicate(timeout=3600 * run.patience())
        sampler.done.set()
        sampler.join()
        result = run.Result(arguments, process.returncode, out, err, True)
        self.assertEqual(process.returncode, 0, result.describe())
        print(f"    {arguments[0]:8} {time.monotonic() - start:7.1f} s, peak anonymous "
              f"{sampler.anonymous / 2**20:6.1f} MiB, peak resident {sampler.resident / 2**20:6.1f} MiB", flush=True)
        self.assertGreater(sampler.anonymous, 0, "no sample was taken")
        if not run.sanitizers():
            self.assertLess(sampler.anonymous, _MEMORY_LIMIT, f"{arguments[0]} took too much memory")
        return result.summary

    def fill(self, root: str) -> None:
        """200,000 names in one directory, the others in directories of a thousand."""
        with treegen.Dir(root) as top, top.dir("home") as home:
            self.fill_directory(home, "one-large-directory", 0, _ONE_DIRECTORY)
            for start in range(_ONE_DIRECTORY, _FILES, 1000):
                self.fill_directory(home, f"d{start // 1000:05d}", start, min(1000, _FILES - start))

    @staticmethod
    def fill_directory(parent: treegen.Dir, name: str, start: int, count: int) -> None:
        with parent.dir(name) as where:
            for index in range(start, start + count):
                fd = os.open(f"file-{index:07d}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=where.fd)
                os.write(fd, b"%d" % index)
                os.close(fd)

    def test_capture_verify_restore_in_bounded_memory(self):
        inodes = _FILES * 3 // 2 + 50_000
        root = self.volume(megabytes=max(512, _FILES * 8 // 1000), mkfs_options=["-N", str(inodes)]).path
        start = time.monotonic()
        self.fill(root)
        before = digest_of(os.path.join(root, "home"))
        print(f"\n    {_FILES} files made in {time.monotonic() - start:.0f} s", flush=True)
        captured = self.measured("capture", root, "--include", "home")
        self.assertEqual(captured["files"], _FILES)
        self.assertEqual(captured["hashed_files"], _FILES)
        self.assertEqual(self.measured("verify", root)["ok"], captured["entries"])
        self.measured("verify", root, "--quick")
        self.measured("wipe", root, "--yes")
        restored = self.measured("restore", root)
        self.assertEqual(restored["state"], "restored")
        self.assertEqual(digest_of(os.path.join(root, "home")), before, "the restored tree is another one")
        self.measured("discard", root, "--yes")


class OneDirectory(cases.VolumeCase):
    """200,000 entries in one directory survive on every filesystem."""

    def one(self, filesystem: str):
        megabytes = 2048 if filesystem != "tmpfs" else 1024
        extra = ["-N", "600000"] if filesystem == "ext4" else []
        root = self.volume(filesystem, filesystem, megabytes=megabytes, mkfs_options=extra).path
        os.mkdir(os.path.join(root, "home"))
        treegen.build_everything(os.path.join(root, "home", "everything"), many=_ONE_DIRECTORY)
        before = self.record(root)
        self.holdfast("capture", root, "--include", "home", timeout=1200)
        self.wipe(root, timeout=1200)
        self.restore(root, timeout=1200)
        self.assert_selected_same(before, root, ("nlink", "atime"), ("home",))

    def test_on_ext4(self):
        self.one("ext4")

    def test_on_xfs(self):
        self.one("xfs")

    def test_on_btrfs(self):
        self.one("btrfs")

    def test_on_tmpfs(self):
        self.one("tmpfs")


if __name__ == "__main__":
    cases.main()
