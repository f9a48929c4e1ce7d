#!/usr/bin/env python3
"""The benchmark itself: it runs, and a subject that does less than it should does not count."""

import json
import os
import stat
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(_HERE, "..", "support"))
sys.path.insert(0, os.path.join(_HERE, "..", "..", "bench"))
import cases  # noqa: E402
import lines  # noqa: E402
import measure  # noqa: E402
import run  # noqa: E402
import stage  # noqa: E402
import subjects  # noqa: E402


class TheBenchmark(cases.VolumeCase):
    filesystem = "folder"

    def stage(self, holdfast: str = "") -> stage.Stage:
        bare = os.environ.get("HOLDFAST_BENCH_DIR", "")
        if not os.access(os.path.join(bare, "bare_walk"), os.X_OK):
            self.skip_loudly("no bare loops (HOLDFAST_BENCH_DIR)")
        place = stage.Stage(stage.Tools(holdfast or run.binary(), bare),
                            stage.Wanted(files=300, on=self.scratch.path), measure.Results())
        self.addCleanup(place.close)
        return place

    def impostor(self, summary: dict) -> str:
        """Says what it is told to say, and does nothing."""
        path = os.path.join(self.scratch.path, "impostor")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\necho '{json.dumps(summary)}'\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def test_a_life_is_measured_and_leaves_the_corpus_as_it_was(self):
        place = self.stage()
        for subject in subjects.SUBJECTS:
            if not subject.cold_only:
                subject.play(place)
                place.reset()
                for step in subject.steps:
                    self.assertTrue(place.results.counts(step), step)
        self.assertEqual(place.untouched(), [])

    def test_a_capture_that_holds_nothing_does_not_count(self):
        place = self.stage(self.impostor({"event": "summary", "exit_code": 0, "state": "sealed", "durable": True,
                                          "files": 300, "missed": 0}))
        with self.assertRaises(stage.StepFailed):
            subjects.capture(place)
        self.assertFalse(place.results.counts("capture"))

    def test_a_verify_that_misses_files_does_not_count(self):
        place = self.stage()
        subjects.capture(place)
        place.tools.holdfast = self.impostor({"event": "summary", "exit_code": 0, "entries": 1, "ok": 1, "corrupt": 0,
                                              "missing": 0, "modified": 0, "files": 299})
        with self.assertRaises(stage.StepFailed):
            subjects.verify(place, "verify")
        self.assertIn("files is 299", place.results.failures["verify"])

    def test_a_copy_with_a_changed_byte_does_not_count(self):
        place = self.stage()
        copy = os.path.join(place.root, "copy")
        place.do("cp", "-a", place.home, copy)
        place.same_names(copy, linked=False)
        for directory, _, names in os.walk(copy):
            for name in names:
                path = os.path.join(directory, name)
                if os.stat(path).st_size > 0:
                    times = os.stat(path)
                    with open(path, "r+b") as file:
                        byte = file.read(1)
                        file.seek(0)
                        file.write(bytes([byte[0] ^ 1]))
                    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        with self.assertRaises(measure.CheckFailed):
            place.same_names(copy, linked=False)

    def test_no_ratio_is_made_of_a_failed_or_missing_step(self):
        line = lines.Line("a / b", ("a",), ("b",), 0.5)
        results = measure.Results()
        for seconds in (1.0, 2.0, 3.0, 2.0, 2.0):
            results.add("a", measure.Sample(seconds))
            results.add("b", measure.Sample(4.1))
        self.assertEqual(lines.judge(line, results, False)["verdict"], "met")
        results.samples["a"][3].seconds = results.samples["a"][4].seconds = 2.5
        self.assertEqual(lines.judge(line, results, False)["verdict"], "MISSED")
        results.fail("b", "for a test")
        judged = lines.judge(line, results, False)
        self.assertEqual((judged["verdict"], judged.get("ratio")), ("FAILED: b", None))
        del results.samples["b"], results.failures["b"]
        self.assertEqual(lines.judge(line, results, False)["verdict"], "b: not measured")


if __name__ == "__main__":
    cases.main()
