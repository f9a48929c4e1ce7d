"""Runs the real program and reads what it says: exit code, JSON lines, text."""

import json
import os
import shutil
import signal
import subprocess
import time

_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:",
                    "UndefinedBehaviorSanitizer")
_SANITIZER_EXIT = 99


def binary() -> str:
    return os.path.abspath(os.environ.get("HOLDFAST")
                           or os.path.join(_REPOSITORY, "build", "dev", "cli", "holdfast"))


def test_program(name: str) -> str:
    """A helper written in C++ (forge, racer, faultdisk), beside the program of the same build."""
    return os.path.join(os.path.dirname(os.path.dirname(binary())), "tests", name)


def sanitizers() -> str:
    """What the binary was built with: "", "address,undefined" or "thread"."""
    return os.environ.get("HOLDFAST_SANITIZE", "")


def patience() -> float:
    """Factor for timeouts: sanitizers are slow."""
    return 6.0 if sanitizers() else 1.0


def environment(traced: bool = False, extra=None) -> dict:
    """The caller's environment without what would change the output. LeakSanitizer cannot run under ptrace."""
    result = dict(os.environ)
    for name in ("NO_COLOR", "HOLDFAST_FAILPOINT", "CLICOLOR_FORCE"):
        result.pop(name, None)
    leaks = 0 if traced else 1
    result["ASAN_OPTIONS"] = f"detect_leaks={leaks}:exitcode={_SANITIZER_EXIT}:" + result.get("ASAN_OPTIONS", "")
    result["UBSAN_OPTIONS"] = (f"print_stacktrace=1:halt_on_error=1:exitcode={_SANITIZER_EXIT}:"
                               + result.get("UBSAN_OPTIONS", ""))
    result["TSAN_OPTIONS"] = (f"exitcode={_SANITIZER_EXIT}:second_deadlock_stack=1:"
                              + result.get("TSAN_OPTIONS", ""))
    result.update(extra or {})
    return result


def _printable(text: str) -> str:
    """For logs: names under test hold escape sequences."""
    return "".join(letter if letter == "\n" or " " <= letter <= "~" else ascii(letter)[1:-1] for letter in text)


class Result:
    """One finished run."""

    def __init__(self, command, code: int, stdout: bytes, stderr: bytes, has_json: bool):
        self.command = command
        self.code = code
        self.stdout = stdout
        self.stderr = stderr.decode("utf-8", "backslashreplace")
        self.objects = []
        if has_json:
            for line in stdout.split(b"\n"):
                if line:
                    self.objects.append(json.loads(line))

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def summary(self) -> dict:
        found = [line for line in self.objects if line.get("event") == "summary"]
        if len(found) != 1 or self.objects[-1] is not found[0]:
            raise AssertionError(f"expected one summary as the last line\n{self.describe()}")
        return found[0]

    @property
    def problems(self) -> list:
        return [line for line in self.objects if line.get("event") == "problem"]

    @property
    def listed(self) -> list:
        """What ls and find print: objects that are no events."""
        return [line for line in self.objects if "event" not in line]

    def problems_of(self, kind: str) -> list:
        return [problem for problem in self.problems if problem.get("kind") == kind]

    def paths_of(self, kind: str) -> set:
        return {problem.get("path") for problem in self.problems_of(kind)}

    @property
    def volumes(self) -> list:
        """The summary of each volume; with one volume the summary itself."""
        return self.summary.get("volumes") or [self.summary]

    @property
    def reason_codes(self) -> set:
        """Every stable code that the run gave for saying no."""
        codes = set()
        for place in [self.summary] + self.volumes:
            for reason in place.get("reasons") or []:
                codes.add(reason["code"])
            error = place.get("error")
            if isinstance(error, dict):
                codes.add(error.get("reason_code") or error.get("code"))
            if place.get("reason_code"):
                codes.add(place["reason_code"])
        codes.discard(None)
        return codes

    def describe(self) -> str:
        words = " ".join(word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word)
                         for word in self.command)
        return (f"$ {words}\nexit {self.code}\n--- stdout (end)\n{_printable(self.text[-3000:])}\n"
                f"--- stderr (end)\n{_printable(self.stderr[-3000:])}")


class Holdfast:
    """The program under test. Calls assert the exit code: 0 unless `expect` says otherwise."""

    def __init__(self, cwd: str = "/"):
        self.cwd = cwd

    def command(self, *arguments, json_output: bool = True, prefix=(), program: str = "") -> list:
        command = [*prefix, program or binary(), *(os.fspath(argument) for argument in arguments)]
        if json_output:
            command.append("--json")
        return command

    def __call__(self, *arguments, expect=0, json_output: bool = True, prefix=(), env=None, user=None,
                 timeout: float = 300, cwd=None, program: str = "") -> Result:
        """`expect`: one code, several, or None for any. `user`: (uid, gid) to run as."""
        command = self.command(*arguments, json_output=json_output, prefix=prefix, program=program)
        traced = bool(prefix) and os.path.basename(os.fspath(prefix[0])) == "strace"
        identity = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=cwd or self.cwd,
                              env=environment(traced, env), timeout=timeout * patience(), **identity)
        code = 128 - done.returncode if done.returncode < 0 else done.returncode
        result = Result(command, code, done.stdout, done.stderr, False)
        self.check_sanitizers(result)
        expected = None if expect is None else ({expect} if isinstance(expect, int) else set(expect))
        if expected is not None and code not in expected:
            raise AssertionError(f"expected exit {sorted(expected)}, got {code}\n{result.describe()}")
        if json_output:
            try:
                result = Result(command, code, done.stdout, done.stderr, True)
            except json.JSONDecodeError as error:
                if expected is not None and code < 128:
                    raise AssertionError(f"not JSON lines: {error}\n{result.describe()}") from error
        if json_output and code < 128 and expected is not None and code != 2:
            if result.summary.get("exit_code") != code:
                raise AssertionError(f"summary's exit_code is not the exit code\n{result.describe()}")
        return result

    def start(self, *arguments, prefix=(), env=None, json_output: bool = True, **options) -> subprocess.Popen:
        """In the background; the caller waits for it."""
        command = self.command(*arguments, json_output=json_output, prefix=prefix)
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd=self.cwd, env=environment(bool(prefix), env),
                                **options)

    @staticmethod
    def check_sanitizers(result: Result) -> None:
        found = [result.stderr.find(mark) for mark in _SANITIZER_MARKS if mark in result.stderr]
        if found or result.code == _SANITIZER_EXIT:
            begin = max(0, min(found, default=0) - 200)
            report = _printable(result.stderr[begin:begin + 6000])
            raise AssertionError(f"a sanitizer complained\n{report}\n{result.describe()}")


def killed_at(holdfast: Holdfast, call: str, number: int, *arguments, timeout: float = 300) -> Result:
    """Runs with one thread and SIGKILL before the `number`th system call of that name.

    Exit 137 when it was killed, its own exit code when it made fewer such calls.
    """
    prefix = [strace(), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
              "-e", f"inject={call}:signal=KILL:when={number}"]
    return holdfast(*arguments, "--jobs", "1", expect=None, prefix=prefix, timeout=timeout)


def strace() -> str:
    return shutil.which("strace") or "/usr/bin/strace"


def wait_until(condition, seconds: float = 20, what: str = "condition") -> None:
    deadline = time.monotonic() + seconds * patience()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.01)


def end(process: subprocess.Popen) -> None:
    """Stops a process that this test started, whatever state it is in."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.communicate()
