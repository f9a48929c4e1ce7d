"""holdfast and the bare loops, as subjects of the stage.

A subject is a function that takes the stage through its steps once. Its name, its steps and the programs it
needs are in SUBJECTS and peers.SUBJECTS; the runner calls them in turn, round after round.
"""

import dataclasses
import json
import os
from typing import Callable

import measure
from stage import Stage


@dataclasses.dataclass(frozen=True)
class Subject:
    """A round of it, and what it measures."""
    name: str
    play: Callable[[Stage], None]
    steps: tuple
    needs: tuple = ()  # programs that are not ours
    cold_only: bool = False
    slow: bool = False  # takes minutes: see --slow-rounds


# The bare loops


def _loop_check(stage: Stage, run: measure.Run, **also) -> None:
    told = json.loads(run.stdout)
    for kind in ("directories", "files", "others"):
        if told[kind] != stage.facts[kind]:
            raise measure.CheckFailed(f"{told[kind]} {kind} where the corpus has {stage.facts[kind]}")
    for kind, wanted in also.items():
        if told[kind] != wanted:
            raise measure.CheckFailed(f"{kind} is {told[kind]} where it must be {wanted}")


def _bare(stage: Stage) -> None:
    threads = ("--threads", str(stage.wanted.threads))
    copy = os.path.join(stage.root, "bare-copy")
    stage.time("bare walk", stage.tools.loop("bare_walk"), *threads, stage.home,
               check=lambda run: _loop_check(stage, run, bytes=stage.facts["bytes"]))

    def linked(run):
        _loop_check(stage, run)
        stage.same_names(copy, linked=True)
    stage.time("bare link", stage.tools.loop("bare_link"), *threads, stage.home, copy, check=linked)

    def deleted(run):
        _loop_check(stage, run)
        stage.gone(copy)
    stage.time("bare delete", stage.tools.loop("bare_delete"), *threads, copy, where=copy, check=deleted)
    stage.time("bare hash", stage.tools.loop("bare_hash"), *threads, stage.home,
               check=lambda run: _loop_check(stage, run, sum=stage.digests["sum"]))


def _orders(stage: Stage) -> None:
    """How the order and the number of readers change a cold pass."""
    for readers, order in ((2, "walk"), (16, "walk"), (2, "inode"), (16, "inode")):
        stage.time(f"bare hash, {readers} readers, {order} order", stage.tools.loop("bare_hash"), "--threads",
                   str(readers), "--order", order, stage.home,
                   check=lambda run: _loop_check(stage, run, sum=stage.digests["sum"]))


# holdfast


def _command(stage: Stage, verb: str, *arguments) -> list:
    return [stage.tools.holdfast, verb, stage.root, *arguments, "--jobs", str(stage.wanted.threads), "--json"]


def _summary(run: measure.Run) -> dict:
    summary = json.loads(run.stdout.strip().rsplit(b"\n", 1)[-1])
    if summary.get("event") != "summary" or summary["exit_code"] != 0:
        raise measure.CheckFailed(f"summary: {summary}")
    return summary


def _told(summary: dict, **numbers) -> dict:
    return {"phases": {phase["name"]: phase["seconds"] for phase in summary.get("phases", [])}, "numbers": numbers}


def _expect(summary: dict, **wanted) -> None:
    for name, value in wanted.items():
        if summary.get(name) != value:
            raise measure.CheckFailed(f"{name} is {summary.get(name)!r} where it must be {value!r}")


def _check_capture(stage: Stage, run: measure.Run) -> dict:
    """Sealed, everything held and hashed, and every digest that of xxh128sum."""
    summary = _summary(run)
    _expect(summary, state="sealed", durable=True, files=stage.facts["files"], missed=0)
    with open(os.path.join(stage.store, "manifest.xxh128"), "rb") as manifest:
        stage.same_sum(manifest.read().splitlines())
    stage.same_names(os.path.join(stage.store, "tree", "home"), linked=True)
    size = os.stat(os.path.join(stage.store, "catalog", "data.mdb")).st_size
    return _told(summary, catalog_bytes_per_file=size / max(1, stage.facts["files"]))


def capture(stage: Stage, timed: bool = True) -> None:
    command = _command(stage, "capture", "--include", "home")
    if timed:
        stage.time("capture", *command, check=lambda run: _check_capture(stage, run))
    else:
        stage.do(*command)


def second_capture(stage: Stage) -> None:
    def check(run):
        summary = _summary(run)
        _expect(summary, state="sealed", files=stage.facts["files"], hashed_files=0, linked=0)
        return _told(summary)
    stage.time("second capture", *_command(stage, "capture"), check=check)


def verify(stage: Stage, step: str, *arguments) -> None:
    def check(run):
        summary = _summary(run)
        _expect(summary, ok=summary["entries"], corrupt=0, missing=0, modified=0, files=stage.facts["files"])
        return _told(summary)
    stage.time(step, *_command(stage, "verify", *arguments), check=check,
               where=os.path.join(stage.store, "tree", "home"))


def wipe(stage: Stage, step: str = "", *arguments) -> None:
    """Without a step nobody times it."""
    def check(run):
        summary = _summary(run)
        _expect(summary, state="wiped", missed=0)
        stage.gone(stage.home)
        stage.counts_as_corpus(os.path.join(stage.store, "tree", "home"))
        aside = os.path.join(stage.store, "aside", "1", "home")
        if arguments:
            stage.gone(aside)
        else:
            stage.counts_as_corpus(aside)
        return _told(summary)
    command = _command(stage, "wipe", "--yes", *arguments)
    if step:
        stage.time(step, *command, check=check)
    else:
        stage.do(*command)


def restore(stage: Stage, step: str, mode: str, inodes: list) -> None:
    def check(run):
        summary = _summary(run)
        _expect(summary, state="restored", conflicts=0)
        stage.counts_as_corpus(stage.home)
        if stage.sample_inodes(stage.home) != inodes:
            raise measure.CheckFailed("a restored file is another inode")
        return _told(summary)
    command = _command(stage, "restore", "--mode", mode, "--verify", "quick")
    if step:
        stage.time(step, *command, check=check, where=os.path.join(stage.store, "tree", "home"))
    else:
        check(stage.do(*command))


def discard(stage: Stage, step: str = "") -> None:
    command = _command(stage, "discard", "--yes")

    def check(run):
        summary = _summary(run)
        stage.gone(stage.store)
        stage.counts_as_corpus(stage.home)
        return _told(summary)
    if step:
        stage.time(step, *command, check=check)
    else:
        check(stage.do(*command))


def _life_by_links(stage: Stage) -> None:
    inodes = stage.sample_inodes(stage.home)
    capture(stage)
    second_capture(stage)
    verify(stage, "verify")
    verify(stage, "verify --quick", "--quick")
    wipe(stage, "wipe")
    restore(stage, "restore link", "link", inodes)
    discard(stage, "discard")


def _life_by_moves(stage: Stage) -> None:
    inodes = stage.sample_inodes(stage.home)
    capture(stage, timed=False)
    wipe(stage)
    restore(stage, "restore move", "move", inodes)
    discard(stage)


def _life_with_deletion(stage: Stage) -> None:
    inodes = stage.sample_inodes(stage.home)
    capture(stage, timed=False)
    wipe(stage, "wipe --delete", "--delete")
    restore(stage, "", "move", inodes)
    discard(stage)


def _cold_hashing(stage: Stage) -> None:
    """The hash pass alone: links first, then what is in memory goes, then `seal`."""
    stage.do(*_command(stage, "capture", "--include", "home", "--hash", "later"))

    def check(run):
        summary = _summary(run)
        _expect(summary, state="sealed", files=stage.facts["files"])
        with open(os.path.join(stage.store, "manifest.xxh128"), "rb") as manifest:
            stage.same_sum(manifest.read().splitlines())
        return _told(summary)
    stage.time("seal", *_command(stage, "seal"), check=check)
    discard(stage)


HOLDFAST = (
    Subject("life by links", _life_by_links, ("capture", "second capture", "verify", "verify --quick", "wipe",
                                              "restore link", "discard")),
    Subject("life by moves", _life_by_moves, ("restore move",)),
    Subject("life with deletion", _life_with_deletion, ("wipe --delete",)),
)
SUBJECTS = (
    Subject("bare loops", _bare, ("bare walk", "bare link", "bare delete", "bare hash")),
    *HOLDFAST,
    Subject("orders", _orders, tuple(f"bare hash, {readers} readers, {order} order" for readers in (2, 16)
                                     for order in ("walk", "inode")), cold_only=True),
    Subject("cold hashing", _cold_hashing, ("seal",), cold_only=True),
)
