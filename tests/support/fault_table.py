#!/usr/bin/env python3
"""The table of what fault tests did: fault x phase x filesystem, runs, losses.

    fault_table.py FILE...     adds up what tests noted and prints the table; exit 1 if anything was lost

A test calls note(); the line goes to standard output and, if HOLDFAST_FAULT_TABLE names a file, to it.
"""

import json
import os
import sys


def note(fault: str, phase: str, filesystem: str, runs: int, losses: int = 0, seed=None) -> None:
    """`runs`: faults that did strike, not attempts."""
    row = {"fault": fault, "phase": phase, "filesystem": filesystem, "runs": runs, "losses": losses}
    if seed is not None:
        row["seed"] = seed
    line = json.dumps(row, sort_keys=True)
    print(f"FAULTS: {line}", flush=True)
    path = os.environ.get("HOLDFAST_FAULT_TABLE")
    if path:
        with open(path, "a", encoding="utf-8") as table:  # one write a line: tests may append side by side
            table.write(line + "\n")


def everything() -> bool:
    """All points, or a sample of them: HOLDFAST_FAULTS=all is the nightly run."""
    return os.environ.get("HOLDFAST_FAULTS") == "all"


def seed() -> int:
    """Of this run: HOLDFAST_SEED names one. The sample is always the same; everything draws anew each night."""
    text = os.environ.get("HOLDFAST_SEED")
    if text:
        return int(text)
    return int.from_bytes(os.urandom(4), "big") if everything() else 1


def main() -> int:
    sums = {}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as table:
            for line in table:
                row = json.loads(line)
                key = (row["fault"], row["phase"], row["filesystem"])
                runs, losses = sums.get(key, (0, 0))
                sums[key] = (runs + row["runs"], losses + row["losses"])
    print(f"{'fault':<28} {'phase':<16} {'filesystem':<10} {'runs':>7} {'losses':>7}")
    for (fault, phase, filesystem), (runs, losses) in sorted(sums.items()):
        print(f"{fault:<28} {phase:<16} {filesystem:<10} {runs:>7} {losses:>7}")
    faults = sorted({key[0] for key in sums})
    for fault in faults:
        runs = sum(value[0] for key, value in sums.items() if key[0] == fault)
        losses = sum(value[1] for key, value in sums.items() if key[0] == fault)
        print(f"{fault:<28} {'all':<16} {'all':<10} {runs:>7} {losses:>7}")
    return 1 if any(losses for _, losses in sums.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
