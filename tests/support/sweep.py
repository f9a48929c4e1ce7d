"""Strikes a phase at a system call: the same loop for kills, for errors and for failpoints.

An undisturbed run under strace is the map: every call with its number, as `inject=CALL:when=N` counts it. With
`--jobs 1` each run of the phase on a copy of the same golden image makes the same calls in the same order, so a
*point* of the map is the same moment in every run. Kills need only the calls that modify something: between two
of those all moments leave the same volume behind.
"""

import errno
import os
import random
import re
import subprocess
import time

import cases
import fault_table
import oracle
import phases
import run

# Calls that change what is on the disk, or settle it there. openat and ioctl: some of them, see _modifies.
MODIFYING = frozenset((
    "linkat", "symlinkat", "mknodat", "mkdirat", "unlinkat", "renameat", "renameat2", "fsync", "fdatasync", "syncfs",
    "sync_file_range", "write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate", "fchmod",
    "fchmodat", "fchown", "fchownat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
    "fremovexattr", "copy_file_range", "sendfile", "msync"))
# Calls that only look, and can fail.
LOOKING = frozenset((
    "openat", "openat2", "statx", "newfstatat", "getdents64", "read", "pread64", "readlinkat", "lseek", "ioctl",
    "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr", "fstatfs", "statfs", "fstat",
    "faccessat", "faccessat2", "mmap", "close", "fcntl", "fadvise64", "name_to_handle_at", "getcwd"))
_CHANGING_IOCTLS = ("FS_IOC_SETFLAGS", "FS_IOC_FSSETXATTR", "FICLONE", "FICLONERANGE", "BTRFS_IOC_SUBVOL_CREATE")
# The first call of main(): what comes before it is the dynamic linker's, and knows of no volume.
_FIRST_CALL = "umask"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_SECONDS = 60


class Point:
    """The `number`th call of a name; `text` is the call as strace shows it."""

    __slots__ = ("call", "number", "text", "modifies")

    def __init__(self, call: str, number: int, text: str, modifies: bool):
        self.call = call
        self.number = number
        self.text = text
        self.modifies = modifies

    def __repr__(self) -> str:
        return f"{self.call}#{self.number} {self.text[:160]}"


def _modifies(call: str, text: str) -> bool:
    if call in MODIFYING:
        return True
    if call in ("openat", "openat2"):
        return "O_CREAT" in text or "O_TRUNC" in text
    return call == "ioctl" and any(word in text for word in _CHANGING_IOCTLS)


def points_of(trace: str) -> list:
    """Of an strace log: all calls that can be struck, behind the first call of main()."""
    counts, found, started = {}, [], False
    for line in trace.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        call, text = match.groups()
        counts[call] = counts.get(call, 0) + 1
        if call == _FIRST_CALL:
            started = True
        if not started or (call in ("write", "writev", "ioctl", "fcntl") and re.match(r"[012], ", text)):
            continue  # what is said to people is not the volume's
        if call in MODIFYING or call in LOOKING:
            found.append(Point(call, counts[call], text, _modifies(call, text)))
    return found


class Outcome:
    """A struck run and what it left; the volume is open until Sweep.drop()."""

    def __init__(self, volume, result: run.Result, log: str):
        self.volume = volume
        self.result = result
        self.log = log              # what strace saw of the struck calls
        self.after = None           # phases.whole, filled by Sweep.look

    @property
    def root(self) -> str:
        return self.volume.path


class Sweep:
    """A phase on a filesystem: its golden image, its undisturbed run, and runs that something strikes."""

    def __init__(self, case: cases.VolumeCase, filesystem: str, phase: phases.Phase, marker_counts: bool = True):
        """`marker_counts`: wipe's words for people must be there; they may be missing where calls fail."""
        self.case = case
        self.marker_counts = marker_counts
        self.filesystem = filesystem
        self.phase = phase
        self.golden = phases.Golden(case, filesystem, phase)
        self.before = None
        self._undisturbed()

    def _undisturbed(self) -> None:
        volume = self.golden.copy()
        try:
            self.before = phases.whole(volume.path)
            log = os.path.join(self.case.scratch.path, "undisturbed.trace")
            prefix = [run.strace(), "-f", "-qq", "-s", "200", "-o", log]
            result = self.case.holdfast(*self.phase.arguments(volume.path), "--jobs", "1", prefix=prefix,
                                        expect=self.phase.good_codes)
            with open(log, encoding="utf-8", errors="replace") as stream:
                self.points = points_of(stream.read())
            self.code = result.code
            self.problems = self._problems(result)
            self.after = phases.whole(volume.path)
            self.listing, self.verdict = self._catalog(volume.path)
            # And once more: how the command says that there is nothing to do.
            again = self.case.holdfast(*self.phase.arguments(volume.path), "--jobs", "1", expect=None)
            self.codes_when_done = {again.code, 0}
        finally:
            self.golden.drop(volume)

    @staticmethod
    def _problems(result: run.Result) -> set:
        return {(problem.get("kind"), problem.get("path")) for problem in result.problems}

    def _catalog(self, root, without=frozenset()):
        """(what ls says, exit code of verify): the catalog as a user sees it; nothing where no store is."""
        if "" in self.phase.done:
            return [], None
        listed = self.case.holdfast("ls", root, "--long", expect=None)
        verified = self.case.holdfast("verify", root, "--jobs", "1", expect=None)
        lines = sorted(str(sorted((key, value) for key, value in line.items() if key != "root"))
                       for line in listed.listed)
        return _unlisted(lines, without), verified.code

    # Striking

    def strike(self, call: str, number, what: str, watch=(), jobs: int = 1) -> Outcome:
        """`what`: `signal=KILL`, `error=EIO`; `number`: N, or "N+" for all from there. `watch`: calls to log too."""
        volume = self.golden.copy()
        log = os.path.join(self.case.scratch.path, "struck.trace")
        traced = ",".join(dict.fromkeys((call, *watch)))
        # With --seccomp-bpf calls that are not traced cost nothing; strace sends no signals then.
        fast = [] if what.startswith("signal") else ["--seccomp-bpf"]
        prefix = [run.strace(), "-f", "-qq", *fast, "-s", "200", "-o", log, "-e", f"trace={traced}", "-e",
                  f"inject={call}:{what}:when={number}"]
        return self._run(volume, prefix, log, jobs)

    def run_with(self, prefix=(), env=None, jobs: int = 1, arguments=()) -> Outcome:
        """The phase on a copy, started by `prefix` and with `env`."""
        return self._run(self.golden.copy(), list(prefix), "", jobs, env, arguments)

    def _run(self, volume, prefix, log: str, jobs: int, env=None, arguments=()) -> Outcome:
        try:
            result = self.case.holdfast(*self.phase.arguments(volume.path), *arguments, "--jobs", str(jobs),
                                        expect=None, prefix=prefix, env=env, timeout=_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.golden.drop(volume)
            raise AssertionError(f"{self.name}: hung for {_SECONDS} s: {prefix} {env}") from error
        except BaseException:
            self.golden.drop(volume)
            raise
        text = ""
        if log:
            with open(log, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        return Outcome(volume, result, text)

    def one(self, tally, where, strike, judge) -> None:
        """A run from beginning to end. `strike`() gives its Outcome, `judge`(outcome) what was lost and what is
        wrong, or None where nothing was struck."""
        outcome = None
        try:
            outcome = strike()
            found = judge(outcome)
        except AssertionError as error:  # a hang, a sanitizer, JSON that is none
            found = [], [str(error)]
        finally:
            if outcome is not None:
                self.golden.drop(outcome.volume)
        if found is not None:
            tally.strike(*found, where)

    @property
    def name(self) -> str:
        return f"{self.phase.name} on {self.filesystem}"

    # Judging. Each gives a list of sentences: what is wrong.

    def losses(self, outcome: Outcome) -> list:
        outcome.after = phases.whole(outcome.root)
        return phases.losses(self.phase, self.before, outcome.after)

    def differences(self, after: dict) -> list:
        found = phases.differences_at_the_end(self.after, after)
        if not self.marker_counts:
            found = [line for line in found if cases.MARKER not in line]
        if self.phase.name == "restore-move":
            # Emptied directories of the mirror that could not be removed hold nothing.
            tree = f"added: {cases.STORE}/tree/"
            found = [line for line in found if not (line.startswith(tree) and line.endswith(" (directory)"))]
        return found

    def incomplete(self, outcome: Outcome) -> list:
        """After a run that claims to be complete: where it differs from an undisturbed one and does not say so."""
        wrong = []
        result = outcome.result
        problems = self._problems(result) - self.problems
        told = {path for kind, path in problems if path and kind not in ("warning", "skipped")}
        # A run that could not write to standard output has no summary.
        state = result.summary.get("state") or "" if result.objects else self.phase.done[0]
        # With something left a restore or a wipe is not done.
        if state not in self.phase.done and (result.code == 0 or not told):
            wrong.append(f"exit {result.code} in state {state or 'none'}")
        differences = self.differences(outcome.after)
        untold = [line for line in differences if not _is_told(line, told)]
        if untold:
            wrong.append(f"exit {result.code} without naming: {untold[:6]}")
        kinds = {kind for kind, _ in problems}
        # `unstable` is held and listed; its exit code comes at wipe's refresh.
        if result.code == 0 and kinds - {"warning", "skipped", "unstable"}:
            wrong.append(f"exit 0 with problems {sorted(map(str, problems))[:6]}")
        if result.code == 0 and self.code == 0:
            listing, verdict = self._catalog(outcome.root, told)
            if listing != _unlisted(self.listing, told):
                wrong.append(f"the catalog differs: {_first_difference(self.listing, listing)}")
            if verdict != self.verdict and not told:
                wrong.append(f"verify exits {verdict}")
        return wrong

    def mount_anew_if_refused(self, outcome: Outcome) -> None:
        """After a barrier that failed the store is not sealed or wiped until the volume was mounted anew."""
        again = self.case.holdfast(*self.phase.arguments(outcome.root), "--jobs", "1", expect=None, timeout=_SECONDS)
        if again.code == 5 and "barrier-failed" in again.reason_codes:
            outcome.volume.unmount()
            outcome.volume.mount()

    def healed(self, outcome: Outcome, third: bool = False) -> list:
        """The command again, undisturbed: it ends as if nothing had happened."""
        arguments = (*self.phase.arguments(outcome.root), "--jobs", "1")
        if self.phase.name == "seal" and outcome.result.problems:
            # What could not be read while it was hashed is listed, and in the store all the same: capture reads again.
            arguments = ("capture", outcome.root, "--jobs", "1")
        again = self.case.holdfast(*arguments, expect=None, timeout=_SECONDS)
        wrong = []
        gone = "" in self.phase.done
        if gone and os.path.lexists(os.path.join(outcome.root, cases.STORE)):
            return [f"run again: exit {again.code}, and there is a store\n{again.describe()}"]
        good = set(self.phase.good_codes) | (self.codes_when_done if gone or self._is_done(again) else set())
        if again.code not in good:
            return [f"run again: exit {again.code}\n{again.describe()}"]
        if not gone and (again.summary.get("state") or "") not in self.phase.done:
            wrong.append(f"run again: state {again.summary.get('state')}")
        after = phases.whole(outcome.root)
        wrong += [f"lost after the second run: {path}" for path in phases.losses(self.phase, self.before, after)]
        differences = self.differences(after)
        if differences:
            wrong.append(f"run again: {len(differences)} differences: {differences[:8]}")
        listing, verdict = self._catalog(outcome.root)
        if verdict != self.verdict:
            wrong.append(f"run again: verify exits {verdict}, undisturbed {self.verdict}")
        if listing != self.listing:
            wrong.append(f"run again: the catalog differs: {_first_difference(self.listing, listing)}")
        if third and not wrong:
            wrong += self._idle(arguments, outcome.root, after)
        return wrong

    def _is_done(self, result: run.Result) -> bool:
        return (result.summary.get("state") or "") in self.phase.done

    def _idle(self, arguments, root, before: dict) -> list:
        third = self.case.holdfast(*arguments, expect=None, timeout=_SECONDS)
        if third.code not in self.codes_when_done:
            return [f"third run: exit {third.code}\n{third.describe()}"]
        if third.code == 0 and not third.summary.get("nothing_to_do") and not self.phase.deletes_old:
            return [f"third run: does not say that there was nothing to do\n{third.describe()}"]
        after = phases.whole(root)
        changed = oracle.compare(phases.of_users(before), phases.of_users(after), ("atime",))
        return [f"third run: changed {changed[:6]}"] if changed else []


def _first_difference(expected: list, found: list) -> str:
    lost, added = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    return f"{len(lost)} lost, {len(added)} added: {lost[:1]} {added[:1]}"


def _unlisted(lines: list, paths) -> list:
    """The lines of ls that are not about these paths, nor about other names of their inodes: one name stands for all."""
    told = [line for line in lines if any(f"('path', {path!r})" in line for path in paths)]
    inodes = {_INODE.search(line)[0] for line in told if _INODE.search(line)}
    return [line for line in lines if line not in told and not any(inode in line for inode in inodes)]


_INODE = re.compile(r"\('inode', \d+\)")


def _is_told(difference: str, told: set) -> bool:
    """Whether one of the named paths is that of a line of oracle.compare, above or below it."""
    path = difference.split(": ", 1)[1]
    path = re.split(r": [a-z0-9]+: | \(", path, maxsplit=1)[0]
    mirror = os.path.join(cases.STORE, "tree") + "/"
    full = path
    path = "." if path + "/" == mirror else path.removeprefix(mirror)
    staged = path.find("/.holdfast-restore-")  # a directory that stands finished beside its place
    if staged >= 0:
        path = path[:staged]
    told = {name.removeprefix(mirror) for name in told}
    return any(path == name or path.startswith(name + "/") or name.startswith(path + "/") or path == "."
               or full.startswith(name + "/") for name in told)


class Struck(cases.VolumeCase):
    """A test that draws its points from a seed, which it prints."""

    def setUp(self):
        super().setUp()
        self.need_root()
        self.need_program("strace")
        self.seed = fault_table.seed()
        self.dice = random.Random(self.seed)
        print(f"HOLDFAST_SEED={self.seed}", flush=True)


class StruckOnEach(Struck):
    """sweep_phase(phase, filesystem), which a subclass has, for the phases of this run on each filesystem."""

    def sweep_filesystem(self, filesystem: str):
        for phase in phases_for(filesystem, self.dice):
            with self.subTest(phase=phase.name):
                self.sweep_phase(phase, filesystem)

    def test_on_ext4(self):
        self.sweep_filesystem("ext4")

    def test_on_xfs(self):
        self.sweep_filesystem("xfs")

    def test_on_btrfs(self):
        self.sweep_filesystem("btrfs")


class Tally:
    """Counts runs and losses of a sweep, keeps what went wrong, and notes both in the table."""

    def __init__(self, case: cases.VolumeCase, fault: str, phase: str, filesystem: str, seed=None):
        self.case = case
        self.row = (fault, phase, filesystem)
        self.seed = seed
        self.runs = 0
        self.losses = 0
        self.wrong = []
        self._begin = time.monotonic()

    def strike(self, lost, wrong, where) -> None:
        self.runs += 1
        if lost:
            self.losses += 1
            wrong = [f"LOST: {lost[:6]}", *wrong]
        if wrong:
            self.wrong.append(f"{where}:\n    " + "\n    ".join(wrong))
            print(f"WRONG: {' '.join(self.row)}: {self.wrong[-1]}", flush=True)

    def close(self) -> None:
        fault_table.note(*self.row, self.runs, self.losses, self.seed)
        print(f"{' '.join(self.row)}: {self.runs} runs in {time.monotonic() - self._begin:.0f} s", flush=True)
        self.case.assertGreater(self.runs, 0, "nothing was struck")
        if self.wrong:
            shown = "\n".join(self.wrong[:10])
            self.case.fail(f"{len(self.wrong)} of {self.runs} runs went wrong (HOLDFAST_SEED={self.seed})\n{shown}")


def chosen(points: list, count: int, dice: random.Random) -> list:
    """A sample in the order of the run, with each call's name in it where `count` allows."""
    if count >= len(points):
        return list(points)
    by_call = {}
    for index, point in enumerate(points):
        by_call.setdefault(point.call, []).append(index)
    taken = [dice.choice(indices) for indices in by_call.values()]
    dice.shuffle(taken)
    taken = set(taken[:count])
    rest = [index for index in range(len(points)) if index not in taken]
    taken.update(dice.sample(rest, count - len(taken)))
    return [points[index] for index in sorted(taken)]


def only() -> set:
    """HOLDFAST_PHASES: names of the phases to run, for work on one of them."""
    return set(filter(None, os.environ.get("HOLDFAST_PHASES", "").split(",")))


def phases_to_run() -> list:
    wanted = only()
    return [phases.BY_NAME[name] for name in phases.NAMES if not wanted or name in wanted]


def phases_for(filesystem: str, dice: random.Random) -> list:
    """All of them on ext4; two in the sample on another filesystem, where making the images takes longer."""
    wanted = phases_to_run()
    if fault_table.everything() or filesystem == "ext4":
        return wanted
    return dice.sample(wanted, min(2, len(wanted)))


def errno_name(number: int) -> str:
    return errno.errorcode[number]
