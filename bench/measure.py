"""Runs commands and times them, and keeps what was measured.

A sample is one run of one step: wall seconds as seen from outside, CPU seconds of the command and all its children,
the phases that it reports itself, and how much CPU everything else on the machine took meanwhile. A sample
counts only if the check behind it held.
"""

import dataclasses
import fcntl
import os
import statistics
import subprocess
import threading
import time

import machine


class CheckFailed(Exception):
    """The command ended, but what it left is not what it should be. Nothing that follows counts."""


@dataclasses.dataclass
class Sample:
    """One run of one step."""
    seconds: float
    cpu: float = 0.0
    others: float = 0.0  # CPUs that anything else kept busy meanwhile, the kernel's own threads included
    phases: dict = dataclasses.field(default_factory=dict)
    numbers: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Run:
    """What a command left behind for the check."""
    seconds: float
    cpu: float
    others: float
    stdout: bytes
    anonymous: int = 0  # peak, bytes; 0 when nobody looked


class _AnonymousPeak(threading.Thread):
    """Peak anonymous memory of a process, looked at every 10 ms."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.path = f"/proc/{pid}/status"
        self.bytes = 0
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.01):
            try:
                with open(self.path, encoding="ascii", errors="replace") as file:
                    for line in file:
                        if line.startswith("RssAnon:"):
                            self.bytes = max(self.bytes, int(line.split()[1]) << 10)
            except OSError:
                return


def command_text(command) -> str:
    return " ".join(str(word) for word in command)


def run(command, cwd="/", env=None, watch_memory: bool = False) -> Run:
    """Runs to the end and times it. CheckFailed when the exit code is not 0."""
    environment = dict(os.environ)
    environment.update(env or {})
    with _anonymous_file() as out, _anonymous_file() as err:
        ticks = machine.Ticks()
        begun = time.perf_counter()
        process = subprocess.Popen([os.fspath(word) for word in command], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=err, cwd=cwd, env=environment)
        try:
            peak = _AnonymousPeak(process.pid) if watch_memory else None
            if peak:
                peak.start()
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - begun
        busy, stolen = ticks.since()
        process.returncode = os.waitstatus_to_exitcode(status)
        if peak:
            peak.done.set()
            peak.join()
        stdout = _content(out)
        if process.returncode != 0:
            raise CheckFailed(f"{command_text(command)}: exit {process.returncode}: "
                              f"{_content(err)[-600:].decode(errors='replace').strip()} "
                              f"{stdout[-600:].decode(errors='replace').strip()}")
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds, cpu, max(0.0, busy + stolen - cpu) / seconds, stdout, peak.bytes if peak else 0)


def _anonymous_file():
    """In memory: what a command prints must not become work for the disk that is measured.

    Appending, since processes that share it would otherwise overwrite each other's lines.
    """
    fd = os.memfd_create("output")
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return os.fdopen(fd, "w+b")


def _content(file) -> bytes:
    file.seek(0)
    return file.read()


class Results:
    """All samples of one configuration, by step."""

    def __init__(self):
        self.samples = {}  # step -> list of Sample, one a round that held
        self.failures = {}  # step -> why its first failing round does not count
        self.missing = {}  # step -> the program that is not installed

    def add(self, step: str, sample: Sample) -> None:
        self.samples.setdefault(step, []).append(sample)

    def fail(self, step: str, reason: str) -> None:
        self.failures.setdefault(step, reason)

    def counts(self, step: str) -> bool:
        """Measured, and no round of it failed."""
        return bool(self.samples.get(step)) and step not in self.failures

    def seconds(self, step: str, phase: str = "") -> list:
        return [sample.phases.get(phase, 0.0) if phase else sample.seconds for sample in self.samples.get(step, [])]

    def as_dict(self) -> dict:
        return {"samples": {step: [dataclasses.asdict(sample) for sample in samples]
                            for step, samples in self.samples.items()},
                "failures": self.failures, "missing": self.missing}

    @classmethod
    def from_dict(cls, stored: dict) -> "Results":
        made = cls()
        made.samples = {step: [Sample(**sample) for sample in samples] for step, samples in stored["samples"].items()}
        made.failures, made.missing = stored["failures"], stored["missing"]
        return made


@dataclasses.dataclass
class Ratio:
    """Of medians; low and high are of the single rounds."""
    value: float
    low: float
    high: float


def ratio(results: Results, above, below) -> Ratio:
    """Of two sums of steps, each a step or (step, phase). All of them must count."""
    tops, bottoms = ([_series(results, part) for part in parts] for parts in (above, below))
    value = sum(map(statistics.median, tops)) / max(1e-9, sum(map(statistics.median, bottoms)))
    rounds = [sum(top) / max(1e-9, sum(bottom)) for top, bottom in zip(zip(*tops), zip(*bottoms))]
    return Ratio(value, min(rounds), max(rounds))


def step_of(part) -> str:
    return part if isinstance(part, str) else part[0]


def _series(results: Results, part) -> list:
    return results.seconds(part) if isinstance(part, str) else results.seconds(*part)
