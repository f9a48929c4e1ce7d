"""The place where subjects run in turn: one filesystem, one corpus on it, one way of timing.

Below ROOT lies nothing but the corpus, in `home`, and what a subject makes and takes away again.
"""

import dataclasses
import filecmp
import json
import os
import random
import shutil
import stat
import subprocess
import sys

import machine
import measure

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
import loopfs  # noqa: E402
import oracle  # noqa: E402

_SAMPLED = 200
# A record of everything takes Python half a minute a million names: enough is checked without it beyond this.
_ORACLE_LIMIT = 500_000


class StepFailed(Exception):
    """A step of a subject does not count; the rest of the subject's round is left out."""


@dataclasses.dataclass
class Tools:
    """The programs that were built."""
    holdfast: str
    bare: str  # the directory of the bare loops

    def loop(self, name: str) -> str:
        return os.path.join(self.bare, name)


@dataclasses.dataclass
class Wanted:
    """What to measure on."""
    filesystem: str = "ext4"
    files: int = 200_000
    corpus: str = "generated"  # or a directory that is copied
    corpus_options: tuple = ()  # for the generator
    seed: int = 1
    on: str = ""  # a directory of somebody's own disk; empty: a loop device
    threads: int = 2
    cold: bool = False
    megabytes: int = 0  # of the image; 0: chosen
    mkfs_options: tuple = ()


def _sum_of_digests(lines) -> str:
    """As bare_hash adds them up: each half modulo 2^64. Lines begin with 32 hex digits, maybe behind a backslash."""
    high = low = 0
    for line in lines:
        digest = line.lstrip(b"\\")[:32]
        high += int(digest[:16], 16)
        low += int(digest[16:], 16)
    return f"{high % 2**64:016x}{low % 2**64:016x}"


def _removed(path: str) -> None:
    """Everything of it, flags or not; it is ours."""
    if os.path.lexists(path):
        subprocess.run(["chattr", "-R", "-f", "-i", path], check=False, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


class Stage:
    """Holds the filesystem and the corpus; close() takes both away."""

    def __init__(self, tools: Tools, wanted: Wanted, results: measure.Results):
        self.tools, self.wanted, self.results = tools, wanted, results
        self.watch_memory = False
        self.warms = True
        self._volume = None
        if wanted.on:
            self._scratch = None
            self.root = os.path.join(os.path.realpath(wanted.on), f"holdfast-bench-{os.getpid()}")
            os.mkdir(self.root, 0o700)
        else:
            self._scratch = loopfs.Scratch(large=True)
            bytes_expected = wanted.files * 26_000 if wanted.corpus == "generated" else self._size_of(wanted.corpus)
            megabytes = wanted.megabytes or 4096 + 4 * bytes_expected // 2**20
            self._volume = loopfs.Volume(wanted.filesystem, self._scratch.path, megabytes=megabytes,
                                         mkfs_options=wanted.mkfs_options)
            self.root = self._volume.path
        self.home = os.path.join(self.root, "home")
        self.store = os.path.join(self.root, ".holdfast")
        self.private = loopfs.Scratch()  # what peers keep beside their repositories
        self.facts = {}
        try:
            self._make_corpus()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        if self._volume:
            self._volume.close()
        if self._scratch:
            self._scratch.remove()
        else:
            _removed(self.root)
        self.private.remove()

    # The corpus

    @staticmethod
    def _size_of(directory: str) -> int:
        done = subprocess.run(["du", "-sxk", directory], capture_output=True, text=True, check=False)
        return int(done.stdout.split()[0]) << 10

    def _make_corpus(self) -> None:
        if self.wanted.corpus == "generated":
            os.mkdir(self.home, 0o755)
            self._do(self.tools.loop("corpus"), "--files", self.wanted.files, "--seed", self.wanted.seed,
                     "--threads", machine.CPUS, *self.wanted.corpus_options, self.home)
        else:
            self._do("cp", "-ax", self.wanted.corpus, self.home)
        self._do("sync", "-f", self.root)
        found = self._count_with_find()
        if self.count(self.home) != found:
            raise measure.CheckFailed(f"bare_walk and find do not agree: {self.count(self.home)}, {found}")
        self.facts = found
        dice = random.Random(self.wanted.seed)
        self._sample = self._some_files(dice)
        self._record = None
        self.digests = self._hash_with_xxh128sum()
        self.remember()

    def _some_files(self, dice: random.Random) -> list:
        """Paths below home of up to 200 regular files, each as likely as any other."""
        chosen, seen = [], 0
        for directory, _, names in os.walk(os.fsencode(self.home)):
            for name in names:
                path = os.path.join(directory, name)
                if not stat.S_ISREG(os.lstat(path).st_mode):
                    continue
                seen += 1
                if len(chosen) < _SAMPLED:
                    chosen.append(path)
                elif (place := dice.randrange(seen)) < _SAMPLED:
                    chosen[place] = path
        return [os.path.relpath(path, os.fsencode(self.home)) for path in chosen]

    def _count_with_find(self) -> dict:
        """Somebody else's count, once, for what the bare walk is compared with."""
        done = subprocess.run(["find", self.home, "-mindepth", "1", "-printf", "%y %s\\n"], capture_output=True,
                              check=True)
        kinds = {"directories": 0, "files": 0, "others": 0, "bytes": 0}
        for line in done.stdout.splitlines():
            kind, size = line.split()
            if kind == b"f":
                kinds["files"] += 1
                kinds["bytes"] += int(size)
            else:
                kinds["directories" if kind == b"d" else "others"] += 1
        return kinds

    def _hash_with_xxh128sum(self) -> dict:
        """What a reference run prints: the sum of all digests, and how long its output is."""
        done = subprocess.run(f"find {self.home} -type f -print0 | xargs -0 -r xxh128sum", shell=True,
                              capture_output=True, check=True)
        return {"sum": _sum_of_digests(done.stdout.splitlines()), "bytes": len(done.stdout),
                "lines": done.stdout.count(b"\n")}

    def remember(self) -> None:
        """Records names, inodes, metadata of the corpus, for untouched()."""
        if self.facts["files"] <= _ORACLE_LIMIT:
            self._record = oracle.record(self.home, content=False)

    def untouched(self) -> list:
        """Differences between the corpus now and as it was: after all rounds there must be none."""
        if self._record is None:
            return []
        before, after = (oracle.as_restored(entries)
                         for entries in (self._record, oracle.record(self.home, content=False)))
        return oracle.compare(before, after, ("nlink", "atime", "ctime"))

    def reset(self) -> None:
        """After a subject: nothing but the corpus. One that a failure has taken apart is made again."""
        for name in os.listdir(self.root):
            if name not in ("home", "lost+found"):
                _removed(os.path.join(self.root, name))
        try:
            whole = self.count(self.home) == self.facts
        except measure.CheckFailed:
            whole = False
        if not whole:
            print("    the corpus is not whole any more, and is made again", flush=True)
            _removed(self.home)
            self._make_corpus()

    # Timing

    def settle(self, where: str) -> None:
        """The same state before every step: nothing to be written, and everything or nothing in memory."""
        self._do("sync", "-f", self.root)
        if self.wanted.cold:
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                file.write("3")
        elif self.warms:
            self._do(self.tools.loop("bare_hash"), "--threads", machine.CPUS, where)

    def time(self, step: str, *command, check=None, proves: str = "", where: str = "", cwd: str = "/",
             env=None) -> measure.Run:
        """Times one step and keeps it if `check(run)` holds; a dict that it gives goes with the sample.

        `proves`: an earlier step whose result only this check can judge, and which fails with it.
        """
        self.settle(where or self.home)
        try:
            run = measure.run(command, cwd, env, self.watch_memory)
            told = (check(run) if check else None) or {}
        except (measure.CheckFailed, OSError, KeyError, ValueError) as failure:  # what is not there fails the check too
            for failed in filter(None, (step, proves)):
                self.results.fail(failed, str(failure))
            raise StepFailed(f"{step}: {failure}") from failure
        numbers = dict(told.get("numbers", {}))
        if run.anonymous:
            numbers["anonymous"] = run.anonymous
        self.results.add(step, measure.Sample(run.seconds, run.cpu, run.others, told.get("phases", {}), numbers))
        return run

    def do(self, *command, **options) -> measure.Run:
        """A step that nobody times. When it fails the subject's round ends."""
        try:
            return measure.run(command, **options)
        except measure.CheckFailed as failure:
            raise StepFailed(str(failure)) from failure

    @staticmethod
    def _do(*command) -> measure.Run:
        return measure.run([str(word) for word in command])

    # Checks: each raises CheckFailed, or gives nothing

    def count(self, where: str) -> dict:
        counted = json.loads(self._do(self.tools.loop("bare_walk"), "--threads", machine.CPUS, where).stdout)
        return {kind: counted[kind] for kind in ("directories", "files", "others", "bytes")}

    def counts_as_corpus(self, where: str) -> None:
        counted = self.count(where)
        if counted != self.facts:
            raise measure.CheckFailed(f"{counted} where the corpus has {self.facts}")

    def same_names(self, copy: str, linked: bool, times: bool = True) -> None:
        """As many entries as the corpus, and a sample of them the same inode, or the same bytes and metadata."""
        self.counts_as_corpus(copy)
        for name in self._sample:
            old, new = (os.path.join(os.fsencode(top), name) for top in (self.home, copy))
            self.same_file(old, new, linked, times)

    @staticmethod
    def same_file(old: bytes, new: bytes, linked: bool, times: bool) -> None:
        before, after = os.lstat(old), os.lstat(new)
        if linked != (before.st_ino == after.st_ino):
            raise measure.CheckFailed(f"{new!r}: {'not a link' if linked else 'a link'}")
        if (before.st_mode, before.st_size) != (after.st_mode, after.st_size):
            raise measure.CheckFailed(f"{new!r}: mode or size differ")
        if times and int(before.st_mtime) != int(after.st_mtime):
            raise measure.CheckFailed(f"{new!r}: mtime differs")
        if not linked and not filecmp.cmp(old, new, shallow=False):
            raise measure.CheckFailed(f"{new!r}: content differs")

    def sample_inodes(self, where: str) -> list:
        """Inodes of the sample, to be compared with what a restore puts back."""
        return [os.lstat(os.path.join(os.fsencode(where), name)).st_ino for name in self._sample]

    def same_sum(self, lines_or_text) -> None:
        found = lines_or_text if isinstance(lines_or_text, str) else _sum_of_digests(lines_or_text)
        if found != self.digests["sum"]:
            raise measure.CheckFailed("digests differ from those of xxh128sum")

    def gone(self, path: str) -> None:
        if os.path.lexists(path):
            raise measure.CheckFailed(f"{os.path.basename(path)} is still there")


def enough_space(wanted: Wanted, base: str) -> str:
    """Empty, or what is lacking."""
    if wanted.on or wanted.corpus != "generated":
        return ""
    free = shutil.disk_usage(base).free
    needed = 3 * wanted.files * 26_000
    return "" if free > needed else f"{needed >> 20} MiB are needed in {base}, {free >> 20} MiB are free"
