"""The phases of a store's life: how a volume comes to stand before one, its command, and what holds after it.

A fault test does the same phase thousands of times. So each is led up to once, on a *golden* image, and every
run gets a copy of that image (sparse, in memory: milliseconds). Inodes, birth times and the filesystem's UUID
are in the image, so a store recognises itself in each copy. One copy is mounted at a time: copies share a UUID.
"""

import os
import random
import shutil
import subprocess

import cases
import loopfs
import oracle
import treegen

# Big enough for the small tree with its store, small enough to be copied thousands of times.
_MEGABYTES = {"ext4": 48, "xfs": 300, "btrfs": 128, "ntfs": 64}
_MKFS = {"btrfs": ("-M",)}


class Phase:
    """One command in the state that it is meant for."""

    def __init__(self, name: str, command: tuple, done: tuple, lead_up, good_codes=(0,), deletes_old: bool = False):
        self.name = name
        self.command = command          # without ROOT, which comes behind the first word
        self.done = done                # states in which the phase has ended well; "" is: no store any more
        self.lead_up = lead_up          # lead_up(case, root): from a filled volume to just before the command
        self.good_codes = good_codes    # of an undisturbed run
        self.deletes_old = deletes_old  # afterwards nothing but what was selected has a name

    def arguments(self, root) -> list:
        return [self.command[0], root, *self.command[1:]]


def _nothing(case, root):
    del case, root


def _linked(case, root):
    case.capture(root, "--hash", "later")


def _sealed(case, root):
    case.capture(root)


def _edited(case, root):
    """Sealed, and users went on working: a new file, a changed one, one replaced by rename, one deleted."""
    case.capture(root)
    with treegen.Dir(os.path.join(root, "home/al")) as home:
        home.file("new-after-capture", b"written later\n" * 99)
        home.file("letter.txt", b"changed after the capture\n" * 10)
        home.file(".profile.tmp", b"# replaced by rename\n")
        os.rename(".profile.tmp", ".profile", src_dir_fd=home.fd, dst_dir_fd=home.fd)
        os.unlink("photos/img-0.jpg", dir_fd=home.fd)


def _imaged(case, root):
    _edited(case, root)
    case.wipe(root)
    treegen.build_image(root)


def _damage_catalog(case, root):
    """Random bytes in its place. Directories of a wiped store are immutable, its files are not."""
    with open(os.path.join(root, cases.STORE, "catalog", "data.mdb"), "r+b") as file:
        file.write(random.Random(1).randbytes(os.fstat(file.fileno()).st_size))
    del case


def _sealed_and_damaged(case, root):
    _sealed(case, root)
    _damage_catalog(case, root)


def _wiped_and_damaged(case, root):
    _edited(case, root)
    case.wipe(root)
    _damage_catalog(case, root)


def _restored(case, root):
    _imaged(case, root)
    case.restore(root, expect=(0, 3))


_ALL = (
    Phase("capture", ("capture", *treegen.INCLUDES), ("sealed",), _nothing),
    Phase("capture-again", ("capture",), ("sealed",), _edited),
    Phase("seal", ("seal",), ("sealed",), _linked),
    Phase("wipe", ("wipe", "--yes"), ("wiped",), _edited, (0, 3)),
    Phase("wipe-delete", ("wipe", "--yes", "--delete"), ("wiped",), _edited, (0, 3), deletes_old=True),
    Phase("rollback", ("rollback", "--yes"), ("sealed",), _imaged),
    Phase("restore-link", ("restore",), ("restored",), _imaged, (0, 3)),
    Phase("restore-move", ("restore", "--mode", "move"), ("restored",), _imaged, (0, 3)),
    Phase("restore-copy", ("restore", "--mode", "copy"), ("restored",), _imaged, (0, 3)),
    Phase("repair-sealed", ("repair",), ("sealed",), _sealed_and_damaged),
    Phase("repair-wiped", ("repair",), ("wiped",), _wiped_and_damaged),
    Phase("discard", ("discard", "--yes", "--lose-displaced"), ("",), _restored, deletes_old=True),
)
BY_NAME = {phase.name: phase for phase in _ALL}
NAMES = tuple(BY_NAME)


class Golden:
    """A volume that stands before a phase, kept as an image; copies of it are thrown away after each run."""

    def __init__(self, case: cases.VolumeCase, filesystem: str, phase: Phase):
        self.case = case
        self.filesystem = filesystem
        self.phase = phase
        volume = case.volume(f"golden-{filesystem}-{phase.name}", filesystem, megabytes=_MEGABYTES[filesystem],
                             mkfs_options=_MKFS.get(filesystem, ()))
        treegen.build_old_system(volume.path)
        treegen.build_users(volume.path)
        phase.lead_up(case, volume.path)
        self.before = oracle.record(volume.path, exclude=("lost+found",))
        volume.unmount()
        self.image = volume.image
        self._copies = 0

    def copy_image(self, target) -> None:
        subprocess.run(["cp", "--sparse=always", self.image, target], check=True)

    def copy(self) -> loopfs.Volume:
        """A mounted copy; the caller ends it by close() and drop()."""
        self._copies += 1
        name = f"copy-{self.filesystem}-{self.phase.name}-{self._copies}"
        image = os.path.join(self.case.scratch.path, name + ".img")
        self.copy_image(image)
        return loopfs.Volume(self.filesystem, self.case.scratch.path, name, image=image)

    @staticmethod
    def drop(volume: loopfs.Volume) -> None:
        volume.close()
        os.unlink(volume.image)
        shutil.rmtree(volume.path, ignore_errors=True)


def whole(root) -> dict:
    """Everything on the volume, the store and what is in it included."""
    return oracle.record(root, exclude=("lost+found",))


# Files of the store itself: written anew by every run, and no user's.
_STORE_DATA = tuple(os.fsencode(os.path.join(cases.STORE, name)) for name in (
    "README", "state.json", "ballast", "lock", "catalog", "manifest.xxh128", "manifest.jsonl", "selection",
    "journal", "log"))


def _is_of_users(path: bytes) -> bool:
    return not any(path == own or path.startswith(own + b"/") for own in _STORE_DATA) and \
        path != os.fsencode(cases.MARKER)


def of_users(entries: dict) -> dict:
    """The part of a record that is not the store's own data."""
    return {path: fields for path, fields in entries.items() if _is_of_users(path)}


def contents(entries: dict) -> dict:
    """{SHA-256: a path} of all content that has a name, where the name is not of the store's own data."""
    return {fields["sha256"]: path for path, fields in entries.items()
            if "sha256" in fields and _is_of_users(path)}


def lost_content(before: dict, after: dict, only=()) -> list:
    """What had a name before and has none at all now, anywhere on the volume; `only`: at or below these paths."""
    wanted = oracle.below(before, *only) if only else before
    found = contents(after)
    return sorted(oracle.printable(path) for digest, path in contents(wanted).items() if digest not in found)


# Where the selected files are in a record taken before a phase: in place, in the store, or both.
_HELD = tuple(treegen.SELECTED) + tuple(os.path.join(cases.STORE, "tree", path) for path in treegen.SELECTED)


def losses(phase: Phase, before: dict, after: dict) -> list:
    """Content without a name that must have one: all of it, or, after a phase that deletes, what was selected."""
    return lost_content(before, after, _HELD if phase.deletes_old else ())


# Fields that differ between two runs of the same phase on copies of the same image: new inodes and times of what
# is made anew, names in the store.
UNSTABLE_FIELDS = ("inode", "btime", "nlink", "blocks", "atime", "links")


def differences_at_the_end(undisturbed: dict, after: dict) -> list:
    """What a second run after a fault left other than an undisturbed run: users' view, and the mirror.

    Compared by path outside of the store and in tree/; numbers of runs differ elsewhere in it.
    """
    store = os.fsencode(cases.STORE)
    mirror = store + b"/tree"

    def view(entries: dict) -> dict:
        part = {}
        for path, fields in entries.items():
            if not path or path == store:
                continue
            if path.startswith(store + b"/") and not path.startswith(mirror):
                continue
            fields = dict(fields)
            if path == mirror:  # ROOT's own times are nobody's to restore from here
                fields.pop("mtime", None)
            if path == os.fsencode(cases.MARKER):
                fields.pop("sha256", None)
                for words in ("mtime", "size", "mode"):
                    fields.pop(words, None)
            part[path] = fields
        return part

    return oracle.compare(view(undisturbed), view(after), UNSTABLE_FIELDS)
