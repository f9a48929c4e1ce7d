"""The table of acceptance: which ratio of which medians, and how large it may be."""

import dataclasses

import measure

_FILES = 200_000
_ROUNDS = 5
LINK = ("capture", "link")


@dataclasses.dataclass(frozen=True)
class Line:
    """Sums of steps, each a step or (step, phase), and the largest ratio that is accepted."""
    what: str
    above: tuple
    below: tuple
    limit: float
    cold: bool = False

    @property
    def steps(self) -> list:
        return [measure.step_of(part) for part in self.above + self.below]


LINES = (
    Line("link phase with catalog / bare walk + link", (LINK,), ("bare link",), 1.25),
    Line("whole capture / (bare link + bare hash)", ("capture",), ("bare link", "bare hash"), 1.25),
    Line("link phase / cp -al", (LINK,), ("cp -al",), 0.50),
    Line("whole capture / (cp -al, then xargs xxh128sum)", ("capture",), ("cp -al", "xargs xxh128sum"), 0.50),
    Line("whole capture / restic backup", ("capture",), ("restic backup",), 0.08),
    Line("whole capture / borg create", ("capture",), ("borg create",), 0.08),
    Line("cold hash pass / naive, two readers in walk order", (("seal", "hash"),),
         ("bare hash, 2 readers, walk order",), 0.35, cold=True),
    Line("second capture, nothing changed / bare walk + statx", ("second capture",), ("bare walk",), 1.6),
    Line("restore move, quick verify / bare walk + statx", ("restore move",), ("bare walk",), 1.5),
    Line("restore link, quick verify / bare walk + link", ("restore link",), ("bare link",), 1.35),
    Line("restore move / rsync -a from a copy", ("restore move",), ("rsync -a from a copy",), 0.02),
    Line("restore move / restic restore", ("restore move",), ("restic restore",), 0.02),
    Line("wipe (moved aside, refreshed, sealed) / rm -rf", ("wipe",), ("rm -rf",), 0.35),
    Line("moving aside alone / rm -rf", (("wipe", "move"),), ("rm -rf",), 0.02),
    Line("wipe --delete / rm -rf", ("wipe --delete",), ("rm -rf",), 0.9),
    Line("verify, full / bare hash", ("verify",), ("bare hash",), 1.15),
)

# For the curious, without a limit: what else was measured, beside the bound or beside a peer that does the like.
COMPARED = (
    ("bare walk", "find"), ("bare link", "cp -al"), ("bare delete", "rm -rf"), ("bare hash", "xargs xxh128sum"),
    ("capture", "cp -a"), ("capture", "rsync --link-dest"), ("capture", "ostree commit"),
    ("restore link", "ostree checkout -H"), ("restore move", "borg extract"), ("verify --quick", "bare walk"),
    ("discard", "rm -rf"),
)


def reservations(record: dict) -> list:
    """Why the verdicts of a record are not those of acceptance; empty when they are."""
    wanted, found = record["wanted"], []
    if record["facts"]["files"] < _FILES:
        found.append(f"{record['facts']['files']:,} files, not {_FILES:,}")
    if record["rounds"] < _ROUNDS:
        found.append(f"{record['rounds']} rounds, not {_ROUNDS}")
    if wanted["threads"] != 2:
        found.append("another number of threads than 2")
    if record["filesystem"]["type"] != "ext4":
        found.append(f"{record['filesystem']['type']}, not ext4")
    if record["busy"]:
        found.append(f"the machine was busy (load {record['machine']['load_at_start']:.1f})")
    return found


def judge(line: Line, results: measure.Results, cold: bool) -> dict:
    """The line with its ratio and a word: met, MISSED, FAILED, or why there is none."""
    told = {"what": line.what, "limit": line.limit}
    if line.cold and not cold:
        return told | {"verdict": "only cold"}
    for step in line.steps:
        if step in results.failures:
            return told | {"verdict": f"FAILED: {step}"}
        if step in results.missing:
            return told | {"verdict": f"{results.missing[step]} is not installed"}
        if not results.counts(step):
            return told | {"verdict": f"{step}: not measured"}
    ratio = measure.ratio(results, line.above, line.below)
    rounds = min(len(results.samples[step]) for step in line.steps)
    verdict = "met" if ratio.value <= line.limit else "MISSED"
    return told | {"ratio": ratio.value, "low": ratio.low, "high": ratio.high,
                   "verdict": verdict if rounds >= _ROUNDS else f"{verdict} ({rounds} rounds)"}
