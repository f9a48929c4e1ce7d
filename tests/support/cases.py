"""What every integration test stands on: volumes, a canary outside, loud skips.

A test file ends with `cases.main()`. A class whose promises hold on several filesystems is written once,
as a mixin, and multiplied by `@cases.on("ext4", "xfs", ...)`.
"""

import os
import shutil
import subprocess
import sys
import unittest

import foreign
import loopfs
import oracle
import run
import treegen

STORE = ".holdfast"
MARKER = "HOLDFAST-DO-NOT-FORMAT.txt"
# Names at the top of ROOT that are not the users' and not the image's.
OURS = (STORE, MARKER, "lost+found")


def skips_forbidden() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("HOLDFAST_NO_SKIP") == "1"


def on(*filesystems):
    """Makes one test class per filesystem: LifecycleMixin -> LifecycleOnExt4, ...

    A sanitizer watches memory and threads, which hardly differ between filesystems: with one, the first is enough,
    and HOLDFAST_FILESYSTEMS=all (the nightly run) takes all of them.
    """
    if run.sanitizers() and os.environ.get("HOLDFAST_FILESYSTEMS") != "all":
        filesystems = filesystems[:1]

    def decorate(mixin):
        module = sys.modules[mixin.__module__]
        for filesystem in filesystems:
            name = mixin.__name__.removesuffix("Mixin") + "On" + filesystem.capitalize()
            made = type(name, (mixin, VolumeCase), {"filesystem": filesystem, "__module__": mixin.__module__,
                                                    "__doc__": mixin.__doc__})
            setattr(module, name, made)
        return mixin
    return decorate


class VolumeCase(unittest.TestCase):
    """A scratch directory, a canary, the program, and as many volumes as a test asks for."""

    filesystem = "ext4"
    large = False  # the volume goes to disk, not to memory
    maxDiff = 4000

    def setUp(self):
        if not os.access(run.binary(), os.X_OK):
            self.fail(f"no program at {run.binary()}: build it, or set HOLDFAST")
        self.scratch = loopfs.Scratch(self.large)
        self.addCleanup(self.scratch.remove)
        self._set_up_canary()
        self.holdfast = run.Holdfast(self.scratch.path)

    def skip_loudly(self, reason: str):
        if skips_forbidden():
            self.fail(f"skipped where skipping is a failure: {reason}")
        print(f"\nSKIP: {self.id()}: {reason}", flush=True)
        raise unittest.SkipTest(reason)

    def need_root(self):
        if os.geteuid() != 0:
            self.skip_loudly("needs root (loop devices, owners, device nodes)")

    def need_program(self, name: str):
        if shutil.which(name) is None:
            self.skip_loudly(f"{name} is not installed")

    # The canary: a directory outside every ROOT, to which symlinks in the trees could lead.

    def _set_up_canary(self):
        self.canary = os.path.join(self.scratch.path, "canary")
        os.mkdir(self.canary, 0o711)
        with treegen.Dir(self.canary) as canary:
            canary.file("precious", b"must never be touched", 0o640)
            canary.link("second-name", "precious")
            with canary.dir("inner", 0o1770) as inner:
                inner.file("file", b"nor this").times("file", 1_000_000_007)
            canary.times("inner", 1_000_000_000_000_000_007)
        self._canary_record = oracle.record(self.canary)
        # Cleanups run last to first: this one before the scratch directory goes.
        self.addCleanup(self._check_canary)

    def _check_canary(self):
        after = oracle.record(self.canary)
        self.assertEqual(oracle.compare(self._canary_record, after, ("atime",)), [], "the canary was touched")

    # Volumes

    def volume(self, name: str = "volume", filesystem: str = "", **options) -> loopfs.Volume:
        wanted = filesystem or self.filesystem
        if wanted != "folder":
            self.need_root()
        try:
            made = loopfs.Volume(wanted, self.scratch.path, name, **options)
        except loopfs.Unavailable as reason:
            self.skip_loudly(f"{wanted}: {reason}")
        self.addCleanup(made.close)
        return made

    def bind(self, source: str, target: str) -> loopfs.BindMount:
        self.need_root()
        os.makedirs(target, exist_ok=True)
        made = loopfs.BindMount(source, target)
        self.addCleanup(made.close)
        return made

    def system(self, name: str = "volume", filesystem: str = "", users: bool = True, **options) -> str:
        """A volume with an old system and users' files on it; gives ROOT."""
        root = self.volume(name, filesystem, **options).path
        treegen.build_old_system(root)
        if users:
            treegen.build_users(root)
        return root

    @staticmethod
    def empty_by_hand(root, *keep):
        """What somebody with rm does: everything but the store and `keep` goes."""
        for name in os.listdir(root):
            path = os.path.join(root, name)
            if name in OURS or name in keep:
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    # Steps that many tests share

    def capture(self, root, *arguments, **options) -> run.Result:
        selection = () if "--everything" in arguments or "--include" in arguments else treegen.INCLUDES
        return self.holdfast("capture", root, *selection, *arguments, **options)

    def wipe(self, root, *arguments, **options) -> run.Result:
        return self.holdfast("wipe", root, "--yes", *arguments, **options)

    def restore(self, root, *arguments, **options) -> run.Result:
        return self.holdfast("restore", root, *arguments, **options)

    def state(self, root) -> str:
        return self.holdfast("status", root).summary["state"]

    def captured_and_wiped(self, name: str = "volume", **options):
        """(ROOT, record of everything before) of a volume that waits for its image."""
        root = self.system(name, **options)
        before = self.record(root)
        self.capture(root)
        self.wipe(root)
        return root, before

    # Comparing

    @staticmethod
    def record(root, *exclude) -> dict:
        return oracle.record(root, exclude=exclude or OURS)

    def assert_same(self, before: dict, after: dict, ignore=(), message: str = ""):
        differences = oracle.compare(before, after, ignore)
        if differences:
            shown = "\n".join(differences[:40])
            self.fail(f"{message or 'trees differ'}: {len(differences)} differences\n{shown}")

    def assert_selected_same(self, before: dict, root, ignore=("nlink",), prefixes=treegen.SELECTED):
        """What was selected is in its place again. nlink counts names in the store."""
        wanted = oracle.without_type(oracle.below(before, *prefixes), "socket")
        found = oracle.below(self.record(root), *prefixes)
        self.assert_same(oracle.as_restored(wanted), oracle.as_restored(found), ignore, "selected files differ")

    def assert_empty_around_store(self, root, *also):
        """Nothing but ours at the top of ROOT, and what the test says must stay."""
        left = set(os.listdir(root)) - set(OURS) - set(also)
        self.assertEqual(left, set(), "names left at the top of ROOT")
        self.assertIn(STORE, os.listdir(root))

    def assert_nothing_moved(self, before: dict, root, ignore=("nlink", "atime")):
        """No name in ROOT was renamed or unlinked: same names, same inodes, same everything."""
        self.assert_same(before, self.record(root), ignore, "a refused command changed ROOT")

    def assert_refused(self, code: str, *arguments, root=None, before: dict = None, **options) -> run.Result:
        """Exit 5 with this reason code, and ROOT as it was."""
        recorded = before if before is not None else (self.record(root) if root else None)
        result = self.holdfast(*arguments, expect=5, **options)
        self.assertIn(code, result.reason_codes, result.describe())
        if root is not None:
            self.assert_nothing_moved(recorded, root)
        return result

    def store_path(self, root, *parts) -> str:
        return os.path.join(root, STORE, *parts)

    def aside(self, root, number: int = 1) -> str:
        return self.store_path(root, "aside", str(number))

    def assert_old_system_in_aside(self, before: dict, root, number: int = 1, ignore=("nlink", "atime")):
        """aside/N holds the whole former top level, inode by inode."""
        expected = oracle.without(before, "lost+found")
        found = oracle.record(self.aside(root, number))
        expected.pop(b"", None)
        found.pop(b"", None)
        self.assert_same(expected, found, ignore, f"aside/{number} is not the old system")


def foreign_snapshot(root, prefixes=treegen.SELECTED) -> dict:
    return foreign.testimony(root, prefixes)


def run_tool(*command, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr}")
    return done.stdout


class _LoudResult(unittest.TextTestResult):
    """One line per promise, also when output is kept in a log."""

    def getDescription(self, test):
        return test.id().removeprefix("__main__.")


class _Loader(unittest.TestLoader):
    """A mixin is a TestCase only through the classes that `on` makes of it."""

    def loadTestsFromTestCase(self, testCaseClass):
        if testCaseClass.__name__.endswith("Mixin") or testCaseClass.__name__.startswith("_"):
            return self.suiteClass([])
        return super().loadTestsFromTestCase(testCaseClass)


def _ids(tests) -> set:
    return {getattr(test, "test_case", test).id() for test in tests}


def main() -> None:
    os.umask(0o022)
    program = unittest.main(module="__main__", exit=False, testLoader=_Loader(), testRunner=unittest.TextTestRunner(
        stream=sys.stdout, verbosity=2, resultclass=_LoudResult, buffer=False))
    result = program.result
    # A promise with several broken sub-tests is one broken promise.
    broken = _ids(test for test, _ in result.failures + result.errors)
    failed, skipped = len(broken), len(_ids(test for test, _ in result.skipped) - broken)
    passed = result.testsRun - failed - skipped
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    if failed:
        sys.exit(1)
    if skipped and skipped == result.testsRun:
        sys.exit(77)
    sys.exit(0)
