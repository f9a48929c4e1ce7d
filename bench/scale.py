"""How time, memory and catalog grow with the number of files, and what single large files cost.

Each point is a corpus on a filesystem of its own, led once through capture, second capture, quick verify, wipe and
restore by renames; large files are verified in full as well. The points of one run differ in number alone, so their
times per file can be compared.
"""

import dataclasses
import os
import re
import sys

import machine
import measure
import subjects
from stage import Stage, StepFailed, Wanted

DEFAULT = "200k,100k,1m,2m-in-one,50g-sparse,8g-dense"
_BASE = "200k"
_LARGEST = 10_000_000
_UNITS = {"k": 10**3, "m": 10**6}
# Of acceptance; judged at ten million files.
_TIME_LIMIT, _MEMORY_LIMIT, _CATALOG_LIMIT = 1.3, 96 << 20, 240


@dataclasses.dataclass(frozen=True)
class Point:
    """One corpus of the table."""
    name: str
    files: int = 1
    one_directory: bool = False
    bytes: int = 0  # of the single large file
    sparse: bool = False


def parse(word: str) -> Point:
    """200k, 10m, 2m-in-one, 50g-sparse, 8g-dense."""
    if found := re.fullmatch(r"(\d+)([km])(-in-one)?", word):
        files = int(found[1]) * _UNITS[found[2]]
        return Point(f"{files:,} files" + (" in one directory" if found[3] else ""), files, bool(found[3]))
    if found := re.fullmatch(r"(\d+)(g|m)-(sparse|dense)", word):
        size = int(found[1]) << (30 if found[2] == "g" else 20)
        return Point(f"one {found[3]} file of {found[1]} {found[2].upper()}iB", bytes=size, sparse=found[3] == "sparse")
    sys.exit(f"bench/run: --scale: {word!r} is none of 200k, 10m, 2m-in-one, 50g-sparse, 8g-dense")


class _Large(Stage):
    """A stage whose corpus is one large file."""

    def __init__(self, tools, wanted, results, point: Point):
        self.point = point
        super().__init__(tools, wanted, results)

    def _make_corpus(self) -> None:
        os.mkdir(self.home)
        with open(os.path.join(self.home, "large"), "wb") as file:
            block = os.urandom(1 << 20)
            if self.point.sparse:
                # Data at the beginning, in the middle, and a hole at the end.
                for offset in (0, self.point.bytes // 2):
                    file.seek(offset)
                    file.write(block)
                file.truncate(self.point.bytes)
            else:
                for number in range(self.point.bytes >> 20):
                    file.write(number.to_bytes(8, "little") + block[8:])
        self.facts = self.count(self.home)
        self._sample, self._record = [b"large"], None
        self.digests = self._hash_with_xxh128sum()


def _stage(tools, arguments, point: Point, results: measure.Results) -> Stage:
    threads = int(arguments.threads.split(",")[0])
    filesystem = arguments.fs.split(",")[0]
    if point.bytes:
        megabytes = 2048 + (0 if point.sparse else point.bytes * 11 // 10 >> 20)
        # A sparse file is still mapped by its size: the image is larger than what it comes to hold.
        return _Large(tools, Wanted(filesystem=filesystem, on=arguments.on, threads=threads,
                                    megabytes=max(megabytes, 8192)), results, point)
    options = ["--empty", *(["--one-directory"] if point.one_directory else [])]
    megabytes = 1024 + point.files * 3 // 1000
    mkfs = ("-N", str(point.files * 3 // 2 + 100_000)) if filesystem == "ext4" else ()
    return Stage(tools, Wanted(filesystem=filesystem, files=point.files, corpus_options=tuple(options), on=arguments.on,
                               seed=arguments.seed, threads=threads, megabytes=megabytes, mkfs_options=mkfs), results)


def _play(place: Stage, point: Point) -> None:
    inodes = place.sample_inodes(place.home)
    subjects.capture(place)
    subjects.second_capture(place)
    if point.bytes:
        subjects.verify(place, "verify")
    subjects.verify(place, "verify --quick", "--quick")
    subjects.wipe(place, "wipe")
    subjects.restore(place, "restore move", "move", inodes)


def _measure_point(tools, arguments, point: Point) -> dict:
    results = measure.Results()
    failure = ""
    with _stage(tools, arguments, point, results) as place:
        filesystem = machine.filesystem_of(place.root)
        place.watch_memory = True
        # Ten million files do not fit into memory together with everything else: no pass over them before each step.
        place.warms = place.facts["files"] <= 1_000_000 and place.facts["bytes"] < machine.memory_bytes() // 4
        try:
            _play(place, point)
        except StepFailed as failed:
            failure = str(failed)
        facts = place.facts
    steps = {step: samples[0].seconds for step, samples in results.samples.items()}
    told = results.samples.get("capture", [measure.Sample(0)])[0].numbers
    return {"name": point.name, "files": facts["files"], "bytes": facts["bytes"], "steps": steps, "failure": failure,
            "anonymous": max((sample.numbers.get("anonymous", 0) for samples in results.samples.values()
                              for sample in samples), default=0),
            "catalog_bytes": told.get("catalog_bytes_per_file", 0) * facts["files"], "filesystem": filesystem}


def _lines(points: list) -> list:
    by_files = {point["files"]: point for point in points
                if not point["failure"] and point["files"] > 1 and "one directory" not in point["name"]}
    told = []
    base, largest = by_files.get(200_000), by_files.get(_LARGEST)
    if base and largest:
        ratio = (largest["steps"]["capture"] / largest["files"]) / (base["steps"]["capture"] / base["files"])
        told.append({"what": "capture, time per file at 10 million / at 200,000", "value": f"{ratio:.2f}",
                     "limit": _TIME_LIMIT, "verdict": "met" if ratio <= _TIME_LIMIT else "MISSED"})
    else:
        told.append({"what": "capture, time per file at 10 million / at 200,000", "value": "", "limit": _TIME_LIMIT,
                     "verdict": "not measured: --scale 200k,10m"})
    told += _judge_at("peak anonymous memory", by_files, "anonymous", _MEMORY_LIMIT, lambda value, files: value,
                      lambda value: f"{value / 2**20:.1f} MiB")
    told += _judge_at("catalog bytes per file", by_files, "catalog_bytes", _CATALOG_LIMIT,
                      lambda value, files: value / files, lambda value: f"{value:.0f}")
    return told


def _judge_at(what: str, by_files: dict, field: str, limit: float, of, show) -> list:
    if not by_files:
        return []
    files = max(by_files)
    value = of(by_files[files][field], files)
    return [{"what": f"{what} at {files:,} files", "value": show(value), "limit": show(limit),
             "verdict": ("met" if value <= limit else "MISSED")
                        + ("" if files >= _LARGEST else " (at this size; acceptance is at 10 million)")}]


def measured(tools, arguments, busy: bool) -> dict:
    """All points of --scale; the one of 200,000 files comes always, for the others to be compared with."""
    words = arguments.scale.split(",")
    if "10m" in words and _BASE not in words:
        words.insert(0, _BASE)
    record = {"machine": machine.facts(tools.holdfast), "busy": busy, "points": [],
              "wanted": {"threads": int(arguments.threads.split(",")[0])}}
    for word in words:
        point = parse(word)
        print(f"    {point.name}", flush=True)
        record["points"].append(_measure_point(tools, arguments, point))
        last = record["points"][-1]
        print("      " + (f"FAILED: {last['failure']}" if last["failure"] else
                          ", ".join(f"{step} {seconds:.1f} s" for step, seconds in last["steps"].items())), flush=True)
    record["filesystem"] = record["points"][0]["filesystem"]
    record["lines"] = _lines(record["points"])
    return record
