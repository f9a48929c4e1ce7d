"""Phases on a fault disk: led up once, run with a fault as often as a test likes, and what must hold afterwards."""

import os
import random
import threading

import cases
import fault_table
import faultdisk
import linux_calls
import loopfs
import oracle
import phases
import run
import treegen

_WORKERS = ("--jobs", "4")
# Started anew on a volume where it is done already: nothing left to do, refused, or no store any more.
CODES_WHEN_DONE = {"rollback": (0, 5), "discard": (0, 10)}
# 12: an unsealed catalog has no checksum, and its map can no longer be read.
IO_ERRORS = (1, 12)


class Neighbour(threading.Thread):
    """Somebody else on the volume: calls fsync on every directory there is, again and again."""

    def __init__(self, root: str):
        super().__init__()
        self.root = root
        self._stop_now = threading.Event()

    def run(self):
        while not self._stop_now.wait(0.001):
            for directory, _, _ in os.walk(self.root):
                if self._stop_now.is_set():
                    return
                try:
                    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME)
                except OSError:
                    continue
                try:
                    os.fsync(fd)
                except OSError:  # the power is gone, or the directory
                    pass
                finally:
                    os.close(fd)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stop_now.set()
        self.join()


def with_flags(phase: phases.Phase) -> phases.Phase:
    """The phase on a volume that also holds immutable and append-only files: their flags are cleared on the way."""
    def lead_up(case, root):
        with treegen.Dir(os.path.join(root, "home/al")) as home:
            home.file("frozen", b"immutable\n").flags("frozen", linux_calls.FLAG_IMMUTABLE)
            home.file("appended.log", b"append-only\n").flags("appended.log", linux_calls.FLAG_APPEND)
            with home.dir("frozen-directory") as frozen:
                frozen.file("inside", b"in an immutable directory\n")
            home.flags("frozen-directory", linux_calls.FLAG_IMMUTABLE)
        with treegen.Dir(root) as top:
            with top.dir("opt") as opt:
                opt.file("package", b"in an immutable directory at the top\n")
                opt.file("frozen-conf", b"immutable\n").flags("frozen-conf", linux_calls.FLAG_IMMUTABLE)
            top.flags("opt", linux_calls.FLAG_IMMUTABLE)
        phase.lead_up(case, root)
    return phases.Phase(phase.name, phase.command, phase.done, lead_up, phase.good_codes, phase.deletes_old)


class Stand:
    """A phase on a filesystem: its golden image on a fault disk, and what an undisturbed run leaves."""

    def __init__(self, case: "StandCase", filesystem: str, phase: phases.Phase):
        self.case = case
        self.phase = phase if filesystem == "ntfs" else with_flags(phase)
        self.filesystem = filesystem
        self.golden = phases.Golden(case, filesystem, self.phase)
        self.before = self.golden.before
        self.volume = case.faulty_volume(filesystem, f"{filesystem}-{phase.name}", self.golden.image)
        self.lost = 0
        self.undisturbed = self._undisturbed()

    def _undisturbed(self) -> dict:
        self.volume.start()
        result = self.command()
        self.case.assertIn(result.code, self.phase.good_codes, result.describe())
        return phases.whole(self.volume.path)

    def command(self, **options) -> run.Result:
        """The phase's command, any exit code."""
        return self.case.holdfast(*self.phase.arguments(self.volume.path), *_WORKERS, expect=None, timeout=120,
                                  **options)

    def comparable(self, entries: dict) -> dict:
        """Without times that no two runs agree on.

        Directories of the mirror lose what is moved out of them. And the store's own directory, made in ROOT, moves
        ROOT's mtime, which the mirror's top has too: it is given back at once, and a cut can come in between.
        """
        tree = os.path.join(cases.STORE, "tree")
        mirror = oracle.below(entries, tree)
        for path, fields in mirror.items():
            if "move" in self.phase.command or path == os.fsencode(tree):
                fields.pop("mtime")
        return entries | mirror

    def state(self) -> str:
        status = self.case.holdfast("status", self.volume.path, expect=(0, 3, 10))
        return "" if status.code == 10 else status.summary["state"]

    def close(self):
        self.volume.close()
        os.unlink(self.golden.image)


class StandCase(cases.VolumeCase):
    def faulty_volume(self, filesystem: str, name: str, image: str) -> faultdisk.FaultyVolume:
        try:
            volume = faultdisk.FaultyVolume(filesystem, self.scratch.path, name, image)
        except loopfs.Unavailable as reason:
            self.skip_loudly(f"{filesystem}: {reason}")
        self.addCleanup(volume.close)
        return volume

    def dice(self) -> random.Random:
        """Seeded for this test; the seed is in its output."""
        self.seed = fault_table.seed()
        print(f"seed {self.seed} (HOLDFAST_SEED)", flush=True)
        return random.Random(f"{self.seed} {self.id()}")

    # What must hold after the power came back.

    def check_after(self, stand: Stand, result: run.Result, codes=IO_ERRORS):
        """Nothing without a name; what was reported done is done; what was not is an I/O error, and no other."""
        after = phases.whole(stand.volume.path)
        lost = phases.losses(stand.phase, stand.before, after)
        stand.lost += len(lost)
        self.assertEqual(lost, [], f"content lost\n{result.describe()}")
        if result.code in stand.phase.good_codes:
            self.assertIn(stand.state(), stand.phase.done, f"was reported done\n{result.describe()}")
            self.assert_as_undisturbed(stand, after, f"was reported done\n{result.describe()}")
        else:
            self.assertIn(result.code, codes, result.describe())

    def assert_as_undisturbed(self, stand: Stand, after: dict, message: str):
        differences = phases.differences_at_the_end(stand.comparable(stand.undisturbed), stand.comparable(after))
        if differences:
            shown = "\n".join(differences[:40])
            self.fail(f"{message}\n{len(differences)} differences\n{shown}")

    def run_again(self, stand: Stand):
        """The same command brings it to the same end."""
        phase = stand.phase
        done = stand.state() in phase.done
        codes = phase.good_codes + (CODES_WHEN_DONE.get(phase.name, ()) if done else ())
        again = stand.command()
        self.assertIn(again.code, codes, again.describe())
        self.assertIn(stand.state(), phase.done, again.describe())
        self.assert_as_undisturbed(stand, phases.whole(stand.volume.path), f"run again\n{again.describe()}")
        if "" not in phase.done:
            self.holdfast("verify", stand.volume.path)

    def check_filesystem(self, stand: Stand):
        stand.volume.unmount()
        self.assertEqual(faultdisk.fsck(stand.filesystem, stand.volume.disk.file), "")
