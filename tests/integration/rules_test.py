#!/usr/bin/env python3
"""Capture by rules: what the built-in ones take without any option, whose things, and what explain says of each path."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402

PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:1001:1001:Alice:/home/alice:/bin/bash
bob:x:1002:1002::/home/bob b:/bin/sh
guest:x:1003:1003::/home/guest:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""

# path -> owner; what a machine's people would miss.
WANTED = {
    "home/alice/Documents/letter.odt": 1001,
    "home/alice/work/node_modules/only-copy.js": 1001,
    "home/alice/.bashrc": 1001,
    "home/alice/.ssh/id_ed25519": 1001,
    "home/alice/.config/user-dirs.dirs": 1001,
    "home/alice/.mozilla/firefox/x.default/places.sqlite": 1001,
    "home/alice/.cargo/config.toml": 1001,
    "home/bob b/a * b\nc": 1002,
    "home/guest/found": 1003,
    "home/gone/of-nobody-in-passwd": 1009,
    "root/.bashrc": 0,
    "etc/ssh/ssh_host_ed25519_key": 0,
    "etc/NetworkManager/system-connections/home.nmconnection": 0,
    "etc/sudoers.d/alice": 0,
    "usr/local/bin/tool": 0,
    "var/spool/cron/crontabs/alice": 1001,
    "srv/www/index.html": 0,
}
# What an image brings, and what nobody misses.
LEFT = {
    "home/alice/.cache/thumbnails/x.png": 1001,
    "home/alice/.cache/mozilla/firefox/x.default/cache2/entry": 1001,
    "home/alice/.local/share/Trash/files/old": 1001,
    "home/alice/.cargo/registry/cache/crate": 1001,
    "home/alice/.npm/_cacache/index": 1001,
    "etc/fstab": 0,
    "etc/machine-id": 0,
    "etc/hostname": 0,
    "usr/bin/true": 0,
    "usr/lib/library.so": 0,
    "var/lib/dpkg/status": 0,
    "boot/vmlinuz": 0,
}


def write(root: str, path: str, text: str, owner: int = 0) -> None:
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.lchown(full, owner, owner)


def build_machine(root: str) -> None:
    write(root, "etc/passwd", PASSWD)
    write(root, "etc/group", "root:x:0:\nalice:x:1001:\n")
    for files in (WANTED, LEFT):
        for path, owner in files.items():
            write(root, path, f"the content of {path}\n", owner)
    write(root, "home/alice/.config/user-dirs.dirs", 'XDG_DOCUMENTS_DIR="$HOME/Documents"\n', 1001)


class _OfRules(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.root = self.volume().path
        build_machine(self.root)

    def paths(self, root=None, **options) -> set:
        """What the catalog holds that is no directory."""
        listed = self.holdfast("ls", root or self.root, **options).listed
        return {line["path"] for line in listed if line["type"] != "directory"}

    def rules(self, name: str, text: str) -> str:
        path = os.path.join(self.scratch.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class WithoutAnyOption(_OfRules):
    def test_takes_what_people_would_miss_and_leaves_what_the_image_brings(self):
        captured = self.holdfast("capture", self.root)
        self.assertEqual(captured.summary["state"], "sealed")
        held = self.paths()
        self.assertEqual(set(WANTED) - held, set(), "wanted and not held")
        self.assertEqual(set(LEFT) & held, set(), "held, though nobody would miss it")
        self.assertNotIn("etc/passwd", held, "the image's accounts have the numbers of its services")

    def test_explain_agrees_with_the_capture_on_every_path(self):
        self.holdfast("capture", self.root)
        held = self.paths()
        there = sorted(path for path, entry in self.record(self.root).items()
                       if path not in (".", "") and entry["type"] != "directory")
        explained = {line["path"]: line["verdict"] for line in self.explained(there)}
        self.assertEqual(len(explained), len(there))
        self.assertEqual({path for path, verdict in explained.items() if verdict == "selected"}, held)

    def explained(self, paths: list, *options) -> list:
        lines = []
        for first in range(0, len(paths), 500):
            lines += self.holdfast("explain", self.root, *paths[first:first + 500], *options).listed
        return lines

    def test_explain_names_the_rule_its_file_and_line_before_there_is_a_store(self):
        cache, = self.explained(["home/alice/.cache/thumbnails/x.png"])
        self.assertEqual(cache["verdict"], "not_selected")
        decided = cache["matches"][0]
        self.assertEqual((decided["by"], decided["effect"], decided["user"]), ("rule", "exclude", "alice"))
        builtin = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "storecore", "rules", "builtin")
        with open(os.path.join(builtin, decided["file"]), encoding="utf-8") as file:
            line = file.read().splitlines()[decided["line"] - 1]
        self.assertIn("{cache}", line)
        self.assertIn("include", {match["effect"] for match in cache["matches"][1:]}, "the home, which it beats")
        text = self.holdfast("explain", self.root, "etc/fstab", json_output=False).text
        self.assertIn("etc/fstab: not selected\n  by always_exclude ", text)

    def test_life_of_a_store_made_by_rules(self):
        before = oracle.without_type(self.record(self.root), "socket")
        self.holdfast("capture", self.root)
        again = self.holdfast("capture", self.root)
        self.assertTrue(again.summary["nothing_to_do"])
        write(self.root, "home/alice/Documents/late.txt", "written after the capture\n", 1001)
        write(self.root, "home/alice/.cache/late.tmp", "written after the capture\n", 1001)
        self.wipe(self.root)
        self.assert_empty_around_store(self.root)
        write(self.root, "etc/passwd", PASSWD)
        write(self.root, "usr/bin/true", "the new image's\n")
        self.holdfast("restore", self.root)
        for path in (*WANTED, "home/alice/Documents/late.txt"):
            self.assertTrue(os.path.lexists(os.path.join(self.root, path)), path)
        for path in (*LEFT, "home/alice/.cache/late.tmp"):
            if path != "usr/bin/true":
                self.assertFalse(os.path.lexists(os.path.join(self.root, path)), path)
        homes = ("home",)
        wanted = {path: entry for path, entry in oracle.below(before, *homes).items() if path in WANTED}
        found = {path: entry for path, entry in oracle.below(self.record(self.root), *homes).items() if path in WANTED}
        self.assert_same(wanted, found, ("nlink",), "homes differ")


class WhoseThings(_OfRules):
    def test_a_user_who_is_left_out_is_left_out_whatever_other_rules_say(self):
        self.holdfast("capture", self.root, "--users", "!guest")
        held = self.paths()
        self.assertNotIn("home/guest/found", held)
        self.assertIn("home/alice/.bashrc", held)
        self.assertIn("home/gone/of-nobody-in-passwd", held)

    def test_one_user_by_number(self):
        self.holdfast("capture", self.root, "--users", "#1002")
        held = self.paths()
        self.assertIn("home/bob b/a * b\nc", held)
        self.assertNotIn("home/alice/.bashrc", held)

    def test_a_user_whom_nobody_has_is_an_error(self):
        result = self.holdfast("capture", self.root, "--users", "alcie", expect=2)
        self.assertIn("alcie", result.stderr)
        self.assertIn("alice", result.stderr)
        self.assertNotIn(cases.STORE, os.listdir(self.root))

    def test_a_home_that_is_the_whole_system_is_named_and_not_taken(self):
        write(self.root, "etc/passwd", PASSWD + "toor:x:1010:1010::/:/bin/sh\n")
        result = self.holdfast("capture", self.root)
        self.assertTrue(any("toor" in problem["reason"] for problem in result.problems_of("warning")), result.describe())
        self.assertNotIn("usr/bin/true", self.paths())

    def test_a_root_that_is_no_system_needs_a_selection(self):
        os.unlink(os.path.join(self.root, "etc", "passwd"))
        result = self.holdfast("capture", self.root, expect=2)
        self.assertIn("etc/passwd", result.stderr)
        self.holdfast("capture", self.root, "--include", "home")


class OwnRules(_OfRules):
    TAKES_DATA = '[component.data]\ntitle = "Data"\nkind = "documents"\ninclude = ["/boot"]\n'

    def test_a_rule_file_adds_to_the_built_in_ones(self):
        self.holdfast("capture", self.root, "--rules", self.rules("own.toml", self.TAKES_DATA))
        held = self.paths()
        self.assertIn("boot/vmlinuz", held)
        self.assertIn("home/alice/.bashrc", held)

    def test_or_stands_alone(self):
        self.holdfast("capture", self.root, "--no-builtin-rules", "--rules", self.rules("own.toml", self.TAKES_DATA))
        self.assertEqual(self.paths(), {"boot/vmlinuz"})

    def test_what_is_excluded_by_name_beats_all_rules(self):
        self.holdfast("capture", self.root, "--exclude", "*.odt")
        self.assertNotIn("home/alice/Documents/letter.odt", self.paths())

    def test_mistakes_are_named_with_file_line_and_column(self):
        for text, place in (("[component.x]\ntitle = \"X\"\nkind = \"application\"\ninclud = [\"/boot\"]\n", "own.toml:4:1"),
                            (self.TAKES_DATA + self.TAKES_DATA, "own.toml:5:"),
                            (self.TAKES_DATA.replace("/boot", "{hoem}/x"), "own.toml:4:12")):
            with self.subTest(place=place):
                result = self.holdfast("capture", self.root, "--rules", self.rules("own.toml", text), expect=2)
                self.assertIn(place, result.stderr)
                self.assertNotIn(cases.STORE, os.listdir(self.root))

    def test_a_component_that_exists_already_is_an_error(self):
        text = '[component.firefox]\ntitle = "F"\nkind = "application"\ninclude = ["{home}/f"]\n'
        result = self.holdfast("capture", self.root, "--rules", self.rules("own.toml", text), expect=2)
        self.assertIn("own.toml:1:", result.stderr)
        self.assertIn("firefox", result.stderr)

    def test_the_store_keeps_the_rules_it_was_made_with(self):
        own = self.rules("own.toml", self.TAKES_DATA)
        self.holdfast("capture", self.root, "--rules", own)
        os.unlink(own)
        self.assertTrue(self.holdfast("capture", self.root).summary["nothing_to_do"])
        explained, = self.holdfast("explain", self.root, "boot/vmlinuz").listed
        self.assertEqual(explained["matches"][0]["file"], "own.toml")
        refused = self.holdfast("capture", self.root, "--users", "all,!guest", expect=5)
        self.assertIn("other-selection", refused.reason_codes)
        self.holdfast("capture", self.root, "--users", "all,!guest", "--replace-selection")
        self.assertNotIn("home/guest/found", self.paths())
        self.assertNotIn("boot/vmlinuz", self.paths())

    def test_names_and_rules_exclude_each_other(self):
        own = self.rules("own.toml", self.TAKES_DATA)
        self.holdfast("capture", self.root, "--everything", "--rules", own, expect=2)
        self.holdfast("capture", self.root, "--include", "home", "--users", "alice", expect=2)
        self.holdfast("capture", self.root, "--no-builtin-rules", expect=2)


class OnSeveralVolumes(cases.VolumeCase):
    """A home on a subvolume of its own is taken by the rules of the system above it."""

    def test_rules_reach_into_a_volume_below(self):
        root = self.volume("volume", "btrfs").path
        os.makedirs(os.path.join(root, "home"))
        for path in ("home/alice", "home/alice/.cache", "home/alice/music"):
            subprocess.run(["btrfs", "-q", "subvolume", "create", os.path.join(root, path)], check=True)
        build_machine(root)
        write(root, "home/alice/music/song.ogg", "la la la\n", 1001)
        result = self.holdfast("capture", root, "--all-volumes")
        held = {os.path.relpath(os.path.join(volume["root"], line["path"]), root)
                for volume in result.volumes
                for line in self.holdfast("ls", volume["root"]).listed if line["type"] != "directory"}
        wanted = {path for path in WANTED if path.startswith("home/alice")} | {"home/alice/music/song.ogg"}
        self.assertEqual(wanted - held, set(), json.dumps(result.volumes, indent=1))
        self.assertEqual(set(LEFT) & held, set())


if __name__ == "__main__":
    cases.main()
