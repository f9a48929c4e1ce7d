#!/usr/bin/env python3
"""Instructions a file, counted by callgrind, against recorded numbers: a regression shows on any machine.

Each command runs on a small tree and on a larger one; what it takes more, divided by the files that are more, is what a
file costs. System calls do not count, nor does waiting; one thread, tiny files. `HOLDFAST_RECORD=1` writes the numbers
of this build into instructions.json, which is then committed with the reason.
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

_RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")
_FEW, _MANY = 240, 1200
_PER_DIRECTORY = 12
# Compilers and libraries differ by some percent; an accidental extra pass or copy costs far more than this.
_MARGIN = 1.25


class InstructionsPerFile(cases.VolumeCase):
    filesystem = "folder"

    def counted(self, *arguments) -> tuple:
        """(instructions, summary) of one command, alone in its thread."""
        log = os.path.join(self.scratch.path, "callgrind.log")
        prefix = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}"]
        result = self.holdfast(*arguments, "--jobs", "1", prefix=prefix)
        with open(log, encoding="utf-8", errors="replace") as file:
            found = re.search(r"Collected : (\d+)", file.read())
        self.assertIsNotNone(found, "callgrind told no number")
        return int(found[1]), result.summary

    def fill(self, root: str, files: int) -> None:
        with treegen.Dir(root) as top, top.dir("home") as home:
            for start in range(0, files, _PER_DIRECTORY):
                with home.dir(f"folder-{start:05d}") as where:
                    for number in range(start, min(files, start + _PER_DIRECTORY)):
                        where.file(f"document-{number:06d}.x", b"%d" % number)

    def life(self, name: str, files: int) -> dict:
        """Instructions of each command; every result is checked, so that doing less is not taken for being fast."""
        root = self.volume(name).path
        self.fill(root, files)
        taken = {}
        taken["capture"], summary = self.counted("capture", root, "--include", "home")
        self.assertEqual((summary["state"], summary["hashed_files"]), ("sealed", files))
        taken["second capture"], summary = self.counted("capture", root)
        self.assertEqual((summary["files"], summary["hashed_files"], summary["linked"]), (files, 0, 0))
        taken["verify"], summary = self.counted("verify", root)
        self.assertEqual((summary["ok"], summary["hashed_files"]), (summary["entries"], files))
        taken["wipe"], summary = self.counted("wipe", root, "--yes")
        self.assertEqual(summary["state"], "wiped")
        taken["restore link"], summary = self.counted("restore", root)
        self.assertEqual((summary["state"], summary["linked"]), ("restored", files))
        taken["discard"], _ = self.counted("discard", root, "--yes")
        self.assertEqual(sum(len(names) for _, _, names in os.walk(os.path.join(root, "home"))), files)
        return taken

    def per_file(self) -> dict:
        few, many = self.life("few", _FEW), self.life("many", _MANY)
        return {command: round((many[command] - few[command]) / (_MANY - _FEW)) for command in many}

    def test_no_command_takes_more_instructions_a_file_than_recorded(self):
        self.need_program("valgrind")
        if run.sanitizers():
            self.skip_loudly("a sanitizer's instructions would be counted")
        build = os.environ.get("HOLDFAST_BUILD_TYPE", "")
        with open(_RECORD, encoding="utf-8") as file:
            records = json.load(file)
        record_anew = os.environ.get("HOLDFAST_RECORD") == "1" and build
        if not record_anew and build not in records:
            self.skip_loudly(f"no numbers on record for a build of type {build!r} (HOLDFAST_BUILD_TYPE)")
        found = self.per_file()
        if record_anew:
            records[build] = found
            with open(_RECORD, "w", encoding="utf-8") as file:
                json.dump(records, file, indent=2, sort_keys=True)
                file.write("\n")
        recorded = records[build]
        self.assertEqual(found.keys(), recorded.keys())
        print()
        for command, wanted in recorded.items():
            print(f"    {command:15} {found[command]:9,} instructions a file, "
                  f"{found[command] / wanted:5.2f} of the record", flush=True)
            with self.subTest(command):
                self.assertLess(found[command], wanted * _MARGIN)


if __name__ == "__main__":
    cases.main()
