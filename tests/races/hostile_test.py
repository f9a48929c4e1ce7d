#!/usr/bin/env python3
"""Trees that their owners built to do harm: planted links, mounts, leases, depth, names, and prying eyes."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import fault_table  # noqa: E402
import linux_calls  # noqa: E402
import oracle  # noqa: E402
import run  # noqa: E402
import treegen  # noqa: E402

_USER = 61_003
# So many directories inside each other: a descriptor or a stack frame for each is more than a process has.
_LEVELS = 20_000 if fault_table.everything() else 1_000


class PlantedLinks(cases.VolumeCase):
    """A user gives files of others a name in their own tree, so that root's changes hit them (fs.protected_hardlinks
    forbids it, where it is on; names from before stay)."""

    _FIELDS = ("inode", "mode", "uid", "gid", "mtime", "xattrs", "sha256", "flags")

    def setUp(self):
        super().setUp()
        self.root = self.system()
        shadow = os.path.join(self.root, "etc/shadow")
        os.setxattr(shadow, "security.holdfast-test", b"label")
        with treegen.Dir(os.path.join(self.root, "home/bo")) as bo:
            bo.file("private", b"for bo's eyes\n", 0o600, (1001, 1001))
        self.planted = {"home/al/planted": shadow, "home/al/of-bo": os.path.join(self.root, "home/bo/private"),
                        "home/al/tool": os.path.join(self.root, "usr/bin/tool")}
        for name, victim in self.planted.items():
            os.link(victim, os.path.join(self.root, name))
        os.chmod(self.planted["home/al/tool"], 0o4755)
        self.victims = self.named(self.record(self.root))

    def named(self, record: dict) -> dict:
        return {name: {field: record[os.fsencode(name)].get(field) for field in self._FIELDS} for name in self.planted}

    def assert_untouched(self, *ignore):
        found = self.named(self.record(self.root))
        for name, fields in found.items():
            for field in set(self._FIELDS) - set(ignore):
                self.assertEqual(fields[field], self.victims[name][field], (name, field))

    def life(self, *restore):
        self.capture(self.root)
        self.assert_untouched()
        self.wipe(self.root)
        treegen.build_image(self.root)
        self.restore(self.root, *restore, expect=(0, 3))

    def test_restore_changes_no_inode_of_others(self):
        self.life()
        self.assert_untouched()
        found = os.stat(os.path.join(self.aside(self.root), "etc/shadow"))
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid), (0o600, 0))

    def test_nor_does_restore_by_move(self):
        self.life("--mode", "move")
        self.assert_untouched()

    def test_a_copy_has_the_owner_of_the_file_and_not_of_the_directory(self):
        self.life("--mode", "copy")
        self.assert_untouched("inode")

    def test_rollback_and_discard_leave_them_too(self):
        before = self.record(self.root)
        self.life()
        self.holdfast("rollback", self.root, "--yes")
        self.assert_nothing_moved(before, self.root)
        self.holdfast("discard", self.root, "--yes", "--lose-displaced")
        self.assert_untouched()

    def test_delete_leaves_them_too(self):
        self.capture(self.root)
        self.wipe(self.root, "--delete")
        self.restore(self.root)
        self.assert_untouched()


class PlantedStaging(cases.VolumeCase):
    """What an interrupted restore was building stands in a user's directory, under a name that he can read."""

    def test_a_directory_of_root_under_that_name_is_not_given_away(self):
        root, _ = self.captured_and_wiped()
        treegen.build_image(root)
        home = os.path.join(root, "home/al")
        with treegen.Dir(home) as mine, mine.dir("of-root", 0o700) as theirs:
            theirs.file("secret", b"root's own\n", 0o600)
        os.chown(home, 1000, 1000)
        self.holdfast("restore", root, expect=137, env={"HOLDFAST_FAILPOINT": "restore-put-in-place:1"})
        staged = []
        for directory, folders, _ in os.walk(root):
            folders[:] = [name for name in folders if name != cases.STORE]
            staged += [os.path.join(directory, name) for name in folders if name.startswith(".holdfast-restore-")]
        self.assertTrue(staged, "nothing was being built")
        for path in staged:
            os.rename(path, path + ".moved-by-user")
        os.rename(os.path.join(home, "of-root"), staged[0])
        secret = os.stat(os.path.join(staged[0], "secret")).st_ino
        self.restore(root, expect=(0, 3))
        after = oracle.record(root)
        found = [path for path, entry in after.items() if entry["inode"] == secret and entry["type"] == "file"]
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith(os.fsencode(cases.STORE) + b"/displaced/"), found)
        for path in (found[0], os.path.dirname(found[0])):
            self.assertEqual(after[path]["uid"], 0, path)
        fault_table.note("planted staging directory", "restore-link", "ext4", 1)


    def test_nor_is_one_that_the_user_gave_the_name_of_a_captured_directory(self):
        root, _ = self.captured_and_wiped()
        treegen.build_image(root)
        home = os.path.join(root, "home/al")
        with treegen.Dir(home) as mine, mine.dir("photos", 0o700) as theirs:
            theirs.file("secret", b"root's own\n", 0o600)
        os.chown(home, 1000, 1000)
        result = self.restore(root, expect=3)
        self.assertIn("home/al/photos", {problem["path"] for problem in result.problems})
        entry = oracle.record(root)[b"home/al/photos"]
        self.assertEqual((entry["uid"], entry["mode"]), (0, "0700"))
        self.assertTrue(os.path.exists(os.path.join(home, "photos/img-0.jpg")))


class Mounts(cases.VolumeCase):
    """Mounts that lead back into the store, into ROOT, or appear while a command runs."""

    def setUp(self):
        super().setUp()
        self.root = self.system()
        self.before = self.record(self.root)

    def path(self, *parts) -> str:
        return os.path.join(self.root, *parts)

    def test_the_store_and_root_bound_into_the_tree(self):
        self.capture(self.root)
        for name, source in (("store-again", self.store_path(self.root)), ("root-again", self.root)):
            os.mkdir(self.path("home/al", name))
            self.bind(source, self.path("home/al", name))
        again = self.capture(self.root, expect=(0, 3))
        self.assertLessEqual({"home/al/store-again", "home/al/root-again"}, again.paths_of("skipped"), again.describe())
        self.holdfast("verify", self.root)
        self.wipe(self.root, expect=(0, 3))
        # What leads to a mount stays; everything else is aside, and the store is whole.
        self.assertEqual(sorted(os.listdir(self.path("home/al"))), ["root-again", "store-again"])
        self.holdfast("verify", self.root)
        self.holdfast("wipe", self.root, "--yes", "--delete", expect=(0, 3))
        self.holdfast("verify", self.root)
        self.restore(self.root, expect=(0, 3))
        for name in ("store-again", "root-again"):
            cases.run_tool("umount", self.path("home/al", name))
            os.rmdir(self.path("home/al", name))
        self.assert_selected_same(self.before, self.root, ("nlink", "mtime"))

    def mounted_meanwhile(self, injection: str, is_open, place: str, *arguments):
        """Mounts another volume at `place` while the command waits in a system call."""
        self.need_program("strace")
        other = self.volume("other", filesystem="ext4", megabytes=32)
        treegen.build_users(other.path)
        untouched = oracle.record(other.path)

        def act():
            run.wait_until(is_open, 20, "the window")
            time.sleep(0.1)
            self.bind(other.path, place)
        actor = threading.Thread(target=act)
        actor.start()
        result = self.holdfast(*arguments, "--jobs", "1", expect=(0, 3), prefix=[
            run.strace(), "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + injection.split(":")[0], "-e",
            "inject=" + injection])
        actor.join(60)
        self.assert_same(untouched, oracle.record(other.path), ("atime",), "another volume was touched")
        return result

    def assert_all_content_is_somewhere(self):
        # What is below the mount shows when it is gone.
        for line in reversed(open("/proc/self/mountinfo", encoding="utf-8").read().splitlines()):
            place = line.split(" ")[4]
            if place.startswith(self.root + "/"):
                cases.run_tool("umount", place)
        found = {fields.get("sha256") for fields in oracle.record(self.root).values()}
        lost = [path for path, fields in self.before.items() if "sha256" in fields and fields["sha256"] not in found]
        self.assertEqual(lost, [])

    def test_a_mount_over_a_directory_while_capture_walks(self):
        self.mounted_meanwhile("getdents64:delay_exit=200000",
                               lambda: os.path.isdir(self.store_path(self.root, "tree/home/al")),
                               self.path("home/al/work"), "capture", self.root, *treegen.INCLUDES)
        self.holdfast("verify", self.root)
        self.assert_all_content_is_somewhere()

    def test_a_mount_inside_what_wipe_is_about_to_move(self):
        self.capture(self.root)
        self.mounted_meanwhile("renameat2:delay_enter=200000", lambda: os.path.isdir(self.aside(self.root)),
                               self.path("home/al/work"), "wipe", self.root, "--yes")
        self.holdfast("verify", self.root)
        self.holdfast("wipe", self.root, "--yes", "--delete", expect=(0, 3))
        self.holdfast("verify", self.root)

    def test_a_mount_in_another_namespace_loses_its_place_and_no_data(self):
        other = self.volume("other", filesystem="ext4", megabytes=32)
        treegen.build_users(other.path)
        untouched = oracle.record(other.path)
        self.capture(self.root)
        elsewhere = subprocess.Popen(  # pylint: disable=consider-using-with
            ["unshare", "--mount", "sh", "-c", f"mount --bind {other.path} {self.path('usr/lib')} && echo ready && read line"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=linux_calls.die_with_parent)
        self.addCleanup(run.end, elsewhere)
        self.assertEqual(elsewhere.stdout.readline(), "ready\n")
        self.wipe(self.root, "--delete")
        self.assert_empty_around_store(self.root)
        self.assert_same(untouched, oracle.record(other.path), ("atime",))
        self.restore(self.root)
        self.assert_selected_same(self.before, self.root)


class NothingHangs(cases.VolumeCase):
    """Whatever waits for ever when it is opened: a command that takes a minute here has failed."""

    def setUp(self):
        super().setUp()
        self.root = self.system()
        with treegen.Dir(os.path.join(self.root, "home/al")) as home:
            home.node("fifo", stat.S_IFIFO | 0o644)
            home.node("tty", stat.S_IFCHR | 0o666, os.makedev(5, 0)).node("tape", stat.S_IFCHR | 0o666, os.makedev(9, 0))
            home.node("watchdog", stat.S_IFCHR | 0o666, os.makedev(10, 130))
            home.node("floppy", stat.S_IFBLK | 0o666, os.makedev(2, 0))

    def lease(self, path: str) -> subprocess.Popen:
        """Another process holds a write lease and never lets go: a plain open() of root waits for 45 seconds."""
        holder = subprocess.Popen([  # pylint: disable=consider-using-with
            sys.executable, "-c",
            "import fcntl, os, signal, sys\n"
            "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
            "fd = os.open(sys.argv[1], os.O_RDWR)\n"
            "fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
            "print('leased', flush=True)\n"
            "sys.stdin.read()\n", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=linux_calls.die_with_parent)
        self.addCleanup(run.end, holder)
        self.assertEqual(holder.stdout.readline(), "leased\n")
        return holder

    def quickly(self, *arguments, expect=(0, 3)) -> run.Result:
        begun = time.monotonic()
        result = self.holdfast(*arguments, expect=expect, timeout=40)
        self.assertLess(time.monotonic() - begun, 30 * run.patience(), "it waited for something")
        return result

    def test_leases_fifos_and_devices(self):
        before = self.record(self.root)
        holders = [self.lease(os.path.join(self.root, name)) for name in ("home/al/letter.txt", "home/bo/work/paper-3")]
        self.quickly("capture", self.root, *treegen.INCLUDES)
        self.quickly("verify", self.root)
        self.quickly("wipe", self.root, "--yes")
        target = os.path.join(self.scratch.path, "copy")
        os.mkdir(target)
        self.quickly("restore", self.root, "--to", target, "--mode", "copy")
        self.quickly("restore", self.root, "--verify", "full")
        for holder in holders:  # this test's own reader respects leases
            run.end(holder)
        self.assert_selected_same(before, self.root)
        self.quickly("find", self.root, "--same-as", os.path.join(self.root, "home/al/letter.txt"), expect=(0, 1, 3))
        self.quickly("discard", self.root, "--yes")


class Deep(cases.VolumeCase):
    """Far deeper than PATH_MAX, than a stack of descriptors, and than any recursion."""

    def walk_down(self, path: str):
        """(levels, content at the bottom), holding two descriptors at a time."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        levels = 0
        try:
            while True:
                try:
                    below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
                except FileNotFoundError:
                    break
                os.close(fd)
                fd, levels = below, levels + 1
            bottom = os.open("bottom", os.O_RDONLY, dir_fd=fd)
            content = os.read(bottom, 100)
            os.close(bottom)
            return levels, content
        finally:
            os.close(fd)

    def test_a_whole_life_with_256_descriptors(self):
        root = self.volume(megabytes=2048, mkfs_options=("-N", str(6 * _LEVELS + 20_000), "-b", "1024")).path
        top = os.path.join(root, "home")
        os.mkdir(top)
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(_LEVELS):
            os.mkdir("d", 0o755, dir_fd=fd)
            below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        with treegen.Dir(fd=fd) as bottom:
            bottom.file("bottom", b"the very bottom\n")
        few = ["bash", "-c", "ulimit -n 256; exec \"$@\"", "few"]
        for command in (("capture", root, "--include", "home"), ("verify", root), ("wipe", root, "--yes"),
                        ("rollback", root, "--yes"), ("wipe", root, "--yes"), ("restore", root)):
            begun = time.monotonic()
            self.holdfast(*command, prefix=few)
            print(f"DEEP: {command[0]}, {_LEVELS} levels: {time.monotonic() - begun:.1f} s", flush=True)
        self.assertEqual(self.walk_down(top), (_LEVELS, b"the very bottom\n"))
        self.holdfast("discard", root, "--yes", prefix=few)
        self.assertEqual(self.walk_down(top), (_LEVELS, b"the very bottom\n"))
        self.assertNotIn(cases.STORE, os.listdir(root))


class Names(cases.VolumeCase):
    """Names that carry escape sequences, line breaks, direction marks and broken UTF-8 in everything that is said."""

    # Text for people: no control byte but the line break, no DEL, no C1, no direction marks.
    _IN_TEXT = re.compile("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
    # JSON and manifests carry valid UTF-8 as it is; a control byte, never.
    _IN_JSON = re.compile(rb"[\x00-\x09\x0b-\x1f]")

    def setUp(self):
        super().setUp()
        self.root = self.volume(megabytes=64).path
        with treegen.Dir(self.root) as top:
            for place in ("home", "other"):
                with top.dir(place) as where:
                    for name in treegen.AWKWARD_NAMES:
                        where.file(name, b"x" + name).symlink(b"l" + name[:254], name)
                        with where.dir(b"d" + name[:254]) as inner:
                            inner.file(name, b"inner")
                            inner.node(b"p" + name[:254], stat.S_IFIFO | 0o600)
            for name in treegen.AWKWARD_NAMES:
                top.file(b"top" + name[:252], b"t")

    def say(self, *arguments, expect=(0, 3)):
        """The same command in text and, told to do nothing where it can, in JSON."""
        text = self.holdfast(*arguments, json_output="--json" in arguments, expect=expect)
        for stream in (text.stdout.decode("utf-8"), text.stderr):
            found = (re.search("[\x00-\x09\x0b-\x1f]", stream) if "--json" in arguments
                     else self._IN_TEXT.search(stream))
            self.assertIsNone(found, f"{found!r} in the output of {arguments[0]}\n{text.describe()}")
        return text

    def test_no_command_lets_a_control_byte_through(self):
        root = self.root
        self.say("capture", root, "--include", "home", "-v")
        bad = os.path.join(os.fsencode(root), b"home", b"escape\x1b[31mred\x07")
        with open(bad, "wb") as file:
            file.write(b"changed")
        os.mkfifo(os.path.join(os.fsencode(root), b"home", b"new\x1b[2J\nfifo"))
        self.say("capture", root, "--json")
        os.unlink(os.path.join(os.fsencode(root), b"home", b"new\nline"))
        self.say("capture", root, "-v")
        for arguments in (("ls", root), ("ls", root, "--long"), ("ls", root, "--skipped"), ("ls", root, "--missed"),
                          ("find", root, "--duplicates"), ("find", root, "--name", "*"), ("status", root),
                          ("verify", root, "-v"), ("wipe", root, "--dry-run"), ("restore", root, "--dry-run")):
            self.say(*arguments, expect=(0, 3, 5))
            self.say(*arguments, "--json", expect=(0, 3, 5))
        self.say("wipe", root, "--yes", "-v", "--keep", os.fsdecode(b"other/bidi-\xe2\x80\xaegnp.exe"),
                 "--progress", "json")
        self.say("rollback", root, "--yes", "-v")
        self.say("wipe", root, "--yes", "--json")
        with treegen.Dir(root) as top, top.dir("home") as home:
            for name in treegen.AWKWARD_NAMES:
                home.file(name, b"of the image " + name)
                home.symlink(b"d" + name[:254], b"target\x1b]0;title\x07\n")
        self.say("restore", root, "-v", "--on-conflict", "fail", expect=5)
        self.say("restore", root, "-v", "--on-conflict", "both")
        self.say("restore", root, "--json")
        os.unlink(os.path.join(os.fsencode(root), b".holdfast/tree/home", b"escape\x1b[31mred\x07"))
        self.say("verify", root, "-v", expect=4)
        self.say("verify", root, "--json", expect=4)
        self.say("restore", root, os.fsdecode(b"no\x1b[31m\nsuch"), expect=2)
        self.say("discard", root, "--yes", "-v", expect=5)
        self.check_files()
        self.say("discard", root, "--yes", "--lose-files", "--lose-displaced", "-v")

    def check_files(self):
        """What the store itself has written: run logs, manifests, journals, selection, state."""
        store = self.store_path(self.root)
        looked = 0
        for area in ("log", "journal", "selection", "."):
            for name in os.listdir(os.path.join(store, area)):
                path = os.path.join(store, area, name)
                # manifest.xxh128 is xxh128sum's format, which carries names byte by byte.
                if not os.path.isfile(path) or name in ("ballast", "manifest.xxh128"):
                    continue
                with open(path, "rb") as file:
                    content = file.read()
                found = self._IN_JSON.search(content.rstrip(b"\0"))
                self.assertIsNone(found, f"{found!r} in {area}/{name}")
                looked += 1
        self.assertGreater(looked, 8)


class Privileged(cases.VolumeCase):
    """A store keeps setuid programs alive through an upgrade: whoever decides must know of them."""

    def test_setuid_and_capabilities_are_counted_and_named(self):
        root = self.system()
        with treegen.Dir(os.path.join(root, "home/al")) as home:
            home.file("old-sudo", b"#!/bin/true\n", 0o4755).file("old-wall", b"#!/bin/true\n", 0o2755)
            home.file("old-ping", b"#!/bin/true\n", 0o755)
            home.xattr("old-ping", "security.capability", linux_calls.encode_file_capability(1 << 13))
        captured = self.capture(root).summary
        self.assertEqual((captured["setuid"], captured["capabilities"]), (2, 1))
        # A second capture took nothing, and still says what the store holds.
        self.assertEqual(self.capture(root).summary["setuid"], 2)
        self.assertEqual(self.holdfast("status", root).summary["setuid"], 2)
        long = self.holdfast("ls", root, "--long", json_output=False).text
        self.assertRegex(long, r"(?m)^-rwsr-xr-x .* home/al/old-sudo$")
        self.wipe(root)
        restored = self.restore(root).summary
        self.assertEqual((restored["setuid"], restored["capabilities"]), (2, 1))
        log = b"".join(open(os.path.join(self.store_path(root, "log"), name), "rb").read()
                       for name in os.listdir(self.store_path(root, "log")))
        for words in (b"captured with mode 4755: home/al/old-sudo", b"captured with mode 2755: home/al/old-wall",
                      b"captured with file capabilities: home/al/old-ping", b"restored with mode 4755: home/al/old-sudo"):
            self.assertIn(words, log)


class NobodyElseSeesTheStore(cases.VolumeCase):
    """ROOT is open to everybody, with default ACLs and setgid that would open whatever is made in it."""

    def spy(self, root: str, report: int):
        """Never returns. Tries to get at anything below a store or a staging directory, as another user."""
        try:
            os.setgroups([])
            os.setgid(_USER)
            os.setuid(_USER)
            tries = 0
            fixed = [os.path.join(root, ".holdfast", part) for part in
                     ("tree", "tree/home", "tree/home/al", "state.json", "lock", "catalog/data.mdb", "aside", "aside/1",
                      "aside/1/home", "log", "manifest.jsonl", "README", "ballast", "selection", "journal")]
            running = True
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            while running:
                for path in [os.path.join(root, ".holdfast")] + fixed:
                    for call in (os.listdir if path.endswith(".holdfast") else os.stat,
                                 lambda name: os.close(os.open(name, os.O_RDONLY))):
                        tries += 1
                        try:
                            call(path)
                        except (PermissionError, FileNotFoundError, NotADirectoryError):
                            continue
                        os.write(report, f"reached {path}\n".encode())
                if tries % 3200 == 0:
                    os.write(report, b"tries 3200\n")
        except BaseException as error:  # pylint: disable=broad-exception-caught
            if not isinstance(error, SystemExit):
                os.write(report, f"spy: {error!r}\n".encode())
        finally:
            os._exit(0)

    def test_at_no_moment(self):
        root = self.system()
        os.chmod(self.scratch.path, 0o755)
        os.chown(root, 0, _USER)
        os.chmod(root, 0o3777 & ~0o1000 | 0o2000)
        acl = linux_calls.encode_acl([
            (linux_calls.ACL_USER_OBJ, 7), (linux_calls.ACL_USER, 7, _USER), (linux_calls.ACL_GROUP_OBJ, 7),
            (linux_calls.ACL_GROUP, 7, _USER), (linux_calls.ACL_MASK, 7), (linux_calls.ACL_OTHER, 7)])
        os.setxattr(root, "system.posix_acl_default", acl)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            linux_calls.die_with_parent()
            os.close(reader)
            self.spy(root, writer)
        os.close(writer)
        try:
            for _ in range(8 if fault_table.everything() else 2):
                self.capture(root)
                self.capture(root)
                self.wipe(root)
                self.holdfast("rollback", root, "--yes")
                self.wipe(root)
                treegen.build_image(root)
                self.restore(root, expect=(0, 3))
                self.holdfast("discard", root, "--yes", "--lose-displaced")
        finally:
            os.kill(child, signal.SIGTERM)
            with os.fdopen(reader, "r", encoding="utf-8") as answers:
                said = answers.read().splitlines()
            os.waitpid(child, 0)
        tries = 3200 * said.count("tries 3200")
        self.assertEqual([line for line in said if line != "tries 3200"][:5], [])
        self.assertGreater(tries, 3000, "the spy hardly ran")
        print(f"SPY: {tries} tries", flush=True)
        fault_table.note("another user looks", "all", "ext4", tries)


if __name__ == "__main__":
    cases.main()
