"""What a measurement was made on, and whether it could be trusted there."""

import os
import platform
import shutil
import subprocess

CPUS = len(os.sched_getaffinity(0))
# Debian's package for each program that is measured beside holdfast or needed to measure.
PACKAGES = {"find": "findutils", "cp": "coreutils", "rm": "coreutils", "rsync": "rsync", "xxh128sum": "xxhash",
            "restic": "restic", "borg": "borgbackup", "ostree": "ostree", "gnuplot": "gnuplot-nox"}


def load() -> float:
    """Runnable tasks, averaged over the last minute."""
    return os.getloadavg()[0]


class Ticks:
    """CPU seconds of the whole machine since it was made, to see what others took meanwhile."""

    def __init__(self):
        self.busy, self.stolen = self._read()

    @staticmethod
    def _read():
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, softirq, steal = (int(word) for word in file.readline().split()[1:9])
        hertz = os.sysconf("SC_CLK_TCK")
        return (user + nice + system + irq + softirq) / hertz, steal / hertz

    def since(self):
        """(busy, stolen) CPU seconds."""
        busy, stolen = self._read()
        return busy - self.busy, stolen - self.stolen


def has(program: str) -> bool:
    return shutil.which(program) is not None


def version(program: str) -> str:
    """As the distribution names it: "restic 0.14.0-1+b5"; empty when it is not installed."""
    if not has(program):
        return ""
    package = PACKAGES.get(program, program)
    try:
        asked = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True,
                               check=False)
        if asked.returncode == 0 and asked.stdout:
            return asked.stdout
    except OSError:
        pass
    told = subprocess.run([program, "version" if program == "restic" else "--version"], capture_output=True, text=True,
                          check=False)
    return (told.stdout or told.stderr).split("\n", maxsplit=1)[0].strip()


def processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def facts(program: str) -> dict:
    """`program`: the holdfast that is measured."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return {"holdfast": told.stdout.strip(), "kernel": platform.release(), "distribution": distribution(),
            "processor": processor(), "cpus": CPUS, "memory_bytes": memory_bytes(), "load_at_start": load(),
            "peers": {name: version(name) for name in PACKAGES}}


def filesystem_of(path: str) -> dict:
    """Type, source and options of the mount that `path` is on, and what the disk says of itself."""
    found = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", "--target", path], capture_output=True,
                           text=True, check=False).stdout.split()
    kind, source, options = (found + ["?", "?", "?"])[:3]
    device = source.split("[", 1)[0]
    return {"type": kind, "device": "loop" if device.startswith("/dev/loop") else os.path.basename(device),
            "options": options}
