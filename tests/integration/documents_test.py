#!/usr/bin/env python3
"""What the documents say of tests is there: files, classes and promises that docs/safety.md names."""

import ast
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402

_TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
_FILE = re.compile(r"`((?:integration|crash|races)/\w+_test\.py)`")
_PROMISE = re.compile(r"`([A-Z][A-Za-z0-9]*[a-z]\w*)(?:\.(test_\w+))?`")


def promises(path: str) -> dict:
    """{class: its test methods} of a test file."""
    with open(path, encoding="utf-8") as source:
        tree = ast.parse(source.read())
    return {node.name: {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            for node in tree.body if isinstance(node, ast.ClassDef)}


class Documents(unittest.TestCase):
    def test_tests_that_safety_names_exist(self):
        with open(os.path.join(_TESTS, "..", "docs", "safety.md"), encoding="utf-8") as document:
            lines = document.read().splitlines()
        named = 0
        for line in lines:
            known = {}
            for file in _FILE.findall(line):
                path = os.path.join(_TESTS, file)
                self.assertTrue(os.path.exists(path), file)
                known.update(promises(path))
                named += 1
            if not known:
                continue
            for name, method in _PROMISE.findall(line):
                self.assertIn(name, known, line)
                if method:
                    self.assertIn(method, known[name], line)
                named += 1
        self.assertGreater(named, 40)


if __name__ == "__main__":
    cases.main()
