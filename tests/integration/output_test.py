#!/usr/bin/env python3
"""What people and scripts read: escaped names, NUL lists, quiet pipes, help, progress."""

import base64
import json
import os
import pty
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

COMMANDS = ("capture", "seal", "verify", "wipe", "rollback", "restore", "discard", "status", "ls", "find", "repair")
# Nothing below a blank but the line break; no DEL; no C1; no bidi controls.
_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


class _Output(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        where = self.filesystem if os.geteuid() == 0 else "folder"
        self.root = self.volume(filesystem=where).path

    def text(self, *arguments, **options):
        return self.holdfast(*arguments, json_output=False, **options)


class Names(_Output):
    """Names from hostile users: no escape sequence, no forged line reaches a terminal."""

    def setUp(self):
        super().setUp()
        with treegen.Dir(self.root) as top, top.dir("home") as home:
            for name in treegen.AWKWARD_NAMES:
                home.file(name, b"x")
        os.mkfifo(os.path.join(self.root, "home", "p"))
        treegen.build_everything(os.path.join(self.root, "home", "more"), root=os.geteuid() == 0)

    def assert_printable(self, result):
        for stream in (result.stdout.decode("utf-8"), result.stderr):
            found = _FORBIDDEN.search(stream)
            self.assertIsNone(found, f"{found!r} in the output\n{result.describe()}")

    def test_text_is_escaped(self):
        for arguments in (("capture", self.root, "--everything", "-v"), ("ls", self.root), ("ls", self.root, "--long"),
                          ("ls", self.root, "--skipped"), ("find", self.root, "--name", "*"),
                          ("find", self.root, "--duplicates"), ("verify", self.root, "-v"), ("status", self.root)):
            self.assert_printable(self.text(*arguments))
        os.unlink(os.path.join(os.fsencode(self.root), b".holdfast/tree/home", b"escape\x1b[31mred\x07"))
        result = self.text("verify", self.root, expect=4)
        self.assert_printable(result)
        self.assertIn("escape\\x1b[31mred\\x07", result.text + result.stderr)

    def test_each_escape(self):
        self.text("capture", self.root, "--everything")
        lines = self.text("ls", self.root).text.split("\n")
        for shown in ("home/new\\nline", "home/tab\\tand\\rreturn", "home/\\x01\\x02\\x7f",
                      "home/invalid-\\xff\\xfe-utf8", "home/back\\\\slash", "home/back\\\\nslash-n", "home/snow-\u2603-\u00e4", "home/-rf",
                      "home/bidi-\\xe2\\x80\\xaegnp.exe", "home/c1-\\xc2\\x85-control"):
            self.assertIn(shown, lines)

    def test_json_names_are_exact(self):
        self.holdfast("capture", self.root, "--everything")
        seen = set()
        for entry in self.holdfast("ls", self.root).listed:
            if "path_b64" in entry:
                seen.add(base64.b64decode(entry["path_b64"]))
            else:
                seen.add(entry["path"].encode("utf-8"))
        for name in treegen.AWKWARD_NAMES:
            self.assertIn(b"home/" + name, seen)

    def test_nul_ends_names(self):
        self.text("capture", self.root, "--everything")
        names = self.text("ls", self.root, "-0").stdout.split(b"\0")
        self.assertEqual(names[-1], b"")
        for name in treegen.AWKWARD_NAMES:
            self.assertIn(b"home/" + name, names)
        found = self.text("find", self.root, "-0", "--name", "new*line").stdout.split(b"\0")
        self.assertIn(b"home/new\nline", found)


class Streams(_Output):
    """Results on stdout, all else on stderr; a closed pipe is no drama."""

    def setUp(self):
        super().setUp()
        with treegen.Dir(self.root) as top, top.dir("home") as home:
            for index in range(3000):
                home.file(f"file-with-a-name-that-takes-some-room-{index}")
        self.text("capture", self.root, "--everything")

    def test_a_closed_pipe_is_quiet(self):
        for arguments in (("ls", self.root), ("ls", self.root, "--json"), ("find", self.root, "--name", "*")):
            process = subprocess.Popen([run.binary(), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, env=run.environment())
            self.addCleanup(run.end, process)
            process.stdout.read(10)
            process.stdout.close()
            errors = process.stderr.read()
            process.stderr.close()
            code = process.wait(30 * run.patience())
            self.assertEqual(errors, b"")
            self.assertIn(code, (0, 141))

    def test_a_full_device_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([run.binary(), "ls", self.root], stdout=full, stderr=subprocess.PIPE, check=False,
                                  env=run.environment())
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr)

    def test_every_command_ends_with_a_next_line(self):
        for arguments in (("status", self.root), ("verify", self.root), ("wipe", self.root, "--dry-run")):
            last = self.text(*arguments).text.rstrip("\n").split("\n")[-1]
            self.assertTrue(last.startswith("next:"), last)

    def test_quiet_says_nothing_when_all_is_well(self):
        result = self.text("verify", self.root, "-q")
        self.assertEqual((result.text, result.stderr), ("", ""))

    def test_an_error_has_verb_place_cause_and_cure(self):
        result = self.text("wipe", self.root, expect=5)
        self.assertRegex(result.stderr, r"^holdfast: wipe: .*\n")
        self.assertIn("hint:", result.stderr)
        self.assertEqual(result.text.strip().split("\n")[0].startswith("holdfast:"), False)

    def test_log_file_is_written_and_no_symlink_followed(self):
        log = os.path.join(self.scratch.path, "run.log")
        self.text("verify", self.root, "--log-file", log)
        self.assertGreater(os.path.getsize(log), 0)
        trap = os.path.join(self.scratch.path, "trap.log")
        os.symlink(os.path.join(self.canary, "precious"), trap)
        self.text("verify", self.root, "--log-file", trap, expect=(1, 2))
        self.assertTrue(os.listdir(self.store_path(self.root, "log")))


class Help(_Output):
    def test_every_command_has_help_with_exit_codes_and_an_example(self):
        for command in COMMANDS:
            text = self.text(command, "--help").text
            self.assertIn("holdfast " + command, text)
            self.assertRegex(text.lower(), r"exit codes?")
            self.assertRegex(text.lower(), r"example")
            self.assertIn("--json", text)
            self.assertFalse(any(len(line) > 100 for line in text.split("\n")), command)

    def test_the_short_help_fits_a_screen(self):
        for command in COMMANDS:
            lines = self.text(command, "-h").text.rstrip("\n").split("\n")
            self.assertLessEqual(len(lines), 40, command)
            self.assertFalse(any(len(line) > 80 for line in lines), command)

    def test_help_of_the_program_names_every_command(self):
        text = self.text("--help").text
        for command in COMMANDS:
            self.assertIn(command, text)
        self.assertRegex(self.text("--version").text, r"^holdfast [0-9]+\.[0-9]+\.[0-9]+\n")

    def test_what_is_not_there_yet_is_not_in_the_help(self):
        for word in ("--map-user", "--map-group", "--numeric-ids"):
            for command in COMMANDS:
                self.assertNotIn(word, self.text(command, "--help").text)
        self.text("audit", self.root, expect=2)
        self.text("restore", self.root, "--map-user", "a=b", expect=2)

    def test_a_mistyped_word_gets_a_hint(self):
        self.assertIn("restore", self.text("retsore", self.root, expect=2).stderr)
        self.assertIn("--everything", self.text("capture", self.root, "--everythin", expect=2).stderr)


class Progress(_Output):
    def setUp(self):
        super().setUp()
        treegen.build_users(self.root)

    def test_json_lines_on_stderr(self):
        result = self.holdfast("capture", self.root, "--everything", "--progress", "json")
        lines = [json.loads(line) for line in result.stderr.split("\n") if line.startswith("{")]
        self.assertTrue(lines, result.describe())
        for line in lines:
            fields = {"phase", "files", "bytes", "total_files", "total_bytes", "percent", "eta_s"}
            self.assertLessEqual(fields, set(line))
        self.assertLessEqual({"link", "hash"}, {line["phase"] for line in lines})

    def test_json_lines_in_a_file(self):
        path = os.path.join(self.scratch.path, "progress.jsonl")
        result = self.text("capture", self.root, "--everything", "--progress", "none", "--progress-file", path)
        self.assertNotIn("\r", result.stderr)
        with open(path, encoding="utf-8") as file:
            self.assertTrue([json.loads(line) for line in file])

    def test_none_and_a_pipe_show_no_bar(self):
        for arguments in (("--progress", "none"), ()):
            result = self.text("capture", self.root, "--everything", *arguments)
            self.assertNotIn("\r", result.text + result.stderr)
            self.assertNotIn("\x1b", result.text + result.stderr)

    def on_terminal(self, *arguments, **extra) -> bytes:
        """What a terminal on stderr receives from a run whose links take 5 ms each."""
        slow = [run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=linkat,pread64",
                "-e", "inject=linkat,pread64:delay_enter=5000"]
        leader, follower = pty.openpty()
        try:
            environment = run.environment(traced=True, extra={"TERM": "xterm", **extra})
            process = subprocess.Popen([*slow, run.binary(), *arguments], stdout=subprocess.DEVNULL, stderr=follower,
                                       stdin=subprocess.DEVNULL, env=environment)
            os.close(follower)
            follower = -1
            received = b""
            while True:
                try:
                    block = os.read(leader, 65536)
                except OSError:
                    break
                if not block:
                    break
                received += block
            self.assertEqual(process.wait(60 * run.patience()), 0)
            return received
        finally:
            os.close(leader)
            if follower >= 0:
                os.close(follower)

    def test_a_bar_on_a_terminal(self):
        self.need_program("strace")
        received = self.on_terminal("capture", self.root, "--everything", "--jobs", "1")
        self.assertIn(b"\r", received)
        self.assertIn(b"link", received)
        self.assertIn(b"files", received)
        plain = self.on_terminal("verify", self.root, NO_COLOR="1")
        self.assertNotRegex(plain, rb"\x1b\[[0-9;]*m")


if __name__ == "__main__":
    cases.main()
