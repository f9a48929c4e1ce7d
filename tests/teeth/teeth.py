#!/usr/bin/env python3
"""Shows that the tests have teeth: each mutant of mutants.py is built, and its guards must fail on it.

    teeth.py --source DIR --work DIR [MUTANT...]

First the guards run on the unchanged program, where they must pass. Exit 1 if a mutant lives.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time

import mutants

_FOLDERS = ("CMakeLists.txt", "CMakePresets.json", "catalog", "storecore", "cli", "bench", "tests", ".clang-tidy")


def copy_sources(source: str, target: str) -> None:
    """Each file with a time of now: an object of an earlier mutant must not pass for newer."""
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for name in _FOLDERS:
        path = os.path.join(source, name)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(target, name), symlinks=True, copy_function=shutil.copy,
                            ignore=shutil.ignore_patterns("__pycache__"))
        elif os.path.exists(path):
            shutil.copy(path, os.path.join(target, name))


class Workshop:
    def __init__(self, work: str):
        self.source = os.path.join(work, "source")
        self.build_dir = os.path.join(work, "build")

    def run(self, *command) -> None:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-6000:]}")

    def configure(self) -> None:
        self.run("cmake", "-S", self.source, "-B", self.build_dir, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                 "-DHOLDFAST_WERROR=OFF")

    def build(self) -> None:
        self.run("cmake", "--build", self.build_dir, "--target", "holdfast", "test_programs")

    def guard(self, guard: mutants.Guard):
        """(promises that failed, all output)"""
        environment = dict(os.environ, HOLDFAST=os.path.join(self.build_dir, "cli", "holdfast"),
                           HOLDFAST_NO_SKIP="1", **guard.env)
        done = subprocess.run([sys.executable, "-B", os.path.join(self.source, "tests", guard.test), *guard.promises],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              env=environment, check=False)
        failed = sorted({line.split(": ", 1)[1] for line in done.stdout.splitlines()
                         if line.startswith(("FAIL: ", "ERROR: "))})
        if done.returncode not in (0, 1) or (done.returncode == 1) != bool(failed):
            sys.exit(f"{guard.test}: exit {done.returncode}\n{done.stdout[-6000:]}")
        return failed, done.stdout


@contextlib.contextmanager
def mutated(path: str, old: str, new: str):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        sys.exit(f"{path}: found {text.count(old)} times instead of once:\n{old}")
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
        yield
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--source", required=True, help="the repository")
    parser.add_argument("--work", required=True, help="a directory of its own for sources and builds")
    parser.add_argument("names", nargs="*", help="mutants; all of them when none is named")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in mutants.ALL if not arguments.names or mutant.name in arguments.names]
    unknown = set(arguments.names) - {mutant.name for mutant in chosen}
    if unknown:
        sys.exit(f"no such mutant: {' '.join(sorted(unknown))}")
    workshop = Workshop(os.path.abspath(arguments.work))
    copy_sources(os.path.abspath(arguments.source), workshop.source)
    workshop.configure()
    workshop.build()
    for mutant in chosen:
        for guard in mutant.guards:
            failed, output = workshop.guard(guard)
            if failed:
                sys.exit(f"{guard.test} fails on the unchanged program: {' '.join(failed)}\n{output[-6000:]}")
    alive = 0
    for mutant in chosen:
        path = os.path.join(workshop.source, mutant.file)
        begun = time.monotonic()
        with mutated(path, mutant.old, mutant.new):
            workshop.build()
            failed = [name for guard in mutant.guards for name in workshop.guard(guard)[0]]
        alive += not failed
        print(f"{mutant.name}: {'found' if failed else 'NOT FOUND'} ({time.monotonic() - begun:.0f} s): "
              f"{mutant.without}", flush=True)
        for name in failed:
            print(f"    {name}", flush=True)
    print(f"{len(chosen) - alive} passed, {alive} failed, 0 skipped")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
