#!/usr/bin/env python3
"""Adds up ctest's reports: prints what failed and was skipped, and a last line "N passed, N failed, N skipped".

With CI=true or HOLDFAST_NO_SKIP=1 what was skipped has failed. An integration test is one program with many
promises: its own closing line counts them, if it came so far.
"""

import argparse
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

_CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
_SKIP = re.compile(r"^SKIP: .*$", re.MULTILINE)


def _skips_forbidden() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("HOLDFAST_NO_SKIP") == "1"


def _was_skipped(case) -> bool:
    """ctest says notrun of a program that is missing as well: that is no skip."""
    skipped = case.find("skipped")
    return skipped is not None and (skipped.get("message") or "").startswith(("SKIP_", "Disabled"))


def tally(path: str):
    passed = failed = skipped = 0
    build = path.rsplit("/", 1)[-1].removesuffix(".xml")
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        status = case.get("status")
        closing = _CLOSING.findall(output)
        for line in _SKIP.findall(output):
            print(f"{build}: {line}")
        if closing and status != "disabled":
            counts = [int(number) for number in closing[-1]]
            # It failed although all its promises held: a crash at the end, or a timeout.
            if status == "fail" and counts[1] == 0:
                counts[1] = 1
        elif status == "run":
            counts = [1, 0, 0]
        elif _was_skipped(case):
            counts = [0, 0, 1]
            print(f"{build}: skipped: {case.get('name')}")
        else:
            counts = [0, 1, 0]
        if counts[2] and _skips_forbidden():
            counts = [counts[0], counts[1] + counts[2], 0]
        if counts[1]:
            print(f"{build}: FAILED: {case.get('name')} ({counts[1]})")
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    return passed, failed, skipped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--failed-steps", type=int, default=0, help="failures outside of ctest")
    parser.add_argument("reports", nargs="*")
    arguments = parser.parse_args()
    sums = [0, arguments.failed_steps, 0]
    for report in arguments.reports:
        try:
            counts = tally(report)
        except (OSError, ElementTree.ParseError) as error:
            print(f"FAILED: no report to read: {error}")
            counts = (0, 1, 0)
        sums = [total + count for total, count in zip(sums, counts)]
    print(f"{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped")
    return 1 if sums[1] or not sums[0] else 0


if __name__ == "__main__":
    sys.exit(main())
