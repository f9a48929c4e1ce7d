#!/usr/bin/env python3
"""The built-in rules (storecore/rules/builtin) are well formed, have the effect they were written for, and are documented.

`Order` is the order of precedence of docs/rules.md once more, written from that document alone: nothing here needs the program.
"""

import collections
import itertools
import os
import re
import sys
import tomllib
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
_RULES = os.path.join(_SOURCE, "storecore", "rules", "builtin")
_DOCUMENT = os.path.join(_SOURCE, "docs", "builtin-rules.md")

_KEYS = {"title": str, "kind": str, "detect": list, "include": list, "exclude": list, "always_exclude": list, "warning": str}
_KINDS = {"user", "system", "application", "documents"}
_EFFECTS = ("include", "exclude", "always_exclude")

# The person for whom the variables are resolved. The home is not below /home, so that what is said of home/* does not stand in for
# the rules of homes.
_HOME = "people/al"
_VARIABLES = {"home": _HOME, "config": _HOME + "/.config", "data": _HOME + "/.local/share", "cache": _HOME + "/.cache",
              "state": _HOME + "/.local/state", "desktop": _HOME + "/Desktop", "documents": "data7/al/Documents",
              "downloads": _HOME + "/Downloads", "music": _HOME + "/Music", "pictures": _HOME + "/Pictures",
              "videos": _HOME + "/Videos", "templates": _HOME + "/Templates", "public": _HOME + "/Public"}

Rule = collections.namedtuple("Rule", "effect parts directories_only component file source")


def components() -> dict:
    """{name: (file, component)}"""
    found = {}
    for file in sorted(os.listdir(_RULES)):
        with open(os.path.join(_RULES, file), "rb") as source:
            for name, component in tomllib.load(source)["component"].items():
                if name in found:
                    raise AssertionError(f"{name} is in {found[name][0]} and in {file}")
                found[name] = (file, component)
    return found


def expand(pattern: str) -> str:
    return re.sub(r"^\{(\w+)\}", lambda match: _VARIABLES[match[1]], pattern)


def fault(pattern: str) -> str:
    """What is wrong with a pattern by the rules of docs/rules.md, or nothing."""
    variable = re.match(r"\{([^}]*)\}(/|$)", pattern)
    if variable and variable[1] not in _VARIABLES:
        return "unknown variable"
    rest = pattern[variable.end():] if variable else pattern
    if "{" in rest or "}" in rest:
        return "a variable anywhere but at the beginning, or a brace"
    if pattern.startswith(("!", "/")) or "\0" in pattern or not pattern:
        return "begins with ! or /, or is empty"
    for component in rest.rstrip("/").split("/") if rest else []:
        if component in ("", ".", ".."):
            return "an empty component, . or .."
        if "**" in component and component != "**":
            return "** beside something else"
        if re.search(r"(?<!\\)(?:\\\\)*\\$", component):
            return "ends a name in a backslash"
        plain = re.sub(r"\\.", "", component)
        if "[" in re.sub(r"\[[!^]?\]?[^]]*\]", "", plain):
            return "a [ without its ]"
    return ""


def to_rule(effect: str, pattern: str, name: str, file: str) -> Rule:
    expanded = expand(pattern)
    return Rule(effect, tuple(expanded.rstrip("/").split("/")), expanded.endswith("/"), name, file, pattern)


def rules(wanted=lambda name, file: True) -> list:
    return [to_rule(effect, pattern, name, file) for name, (file, component) in components().items() if wanted(name, file)
            for effect in _EFFECTS for pattern in component.get(effect, [])]


def is_literal(part: str) -> bool:
    return not re.search(r"[*?\[]", re.sub(r"\\.", "", part))


def _to_regex(part: str) -> str:
    text, at = "", 0
    while at < len(part):
        if part[at] == "*":
            text += "[^/]*"
        elif part[at] == "?":
            text += "[^/]"
        elif part[at] == "[":
            end = part.index("]", at + 2)
            text += "[" + part[at + 1:end].replace("!", "^", 1 if part[at + 1] == "!" else 0) + "]"
            at = end
        else:
            at += part[at] == "\\"
            text += re.escape(part[at])
        at += 1
    return text


def _compiled(rule: Rule, cache={}) -> re.Pattern:
    if rule.parts not in cache:
        text = ""
        for number, part in enumerate(rule.parts):
            is_last = number + 1 == len(rule.parts)
            if part == "**":
                text += "[^/]+(?:/[^/]+)*" if is_last else "(?:[^/]+/)*"
            else:
                text += _to_regex(part) + ("" if is_last else "/")
        cache[rule.parts] = re.compile(text)
    return cache[rule.parts]


class Order:
    """Which rule decides. Rules are looked up by the components before their first wildcard."""

    def __init__(self, all_rules: list):
        self._below = collections.defaultdict(list)
        for rule in all_rules:
            plain = [re.sub(r"\\(.)", r"\1", part) for part in itertools.takewhile(is_literal, rule.parts)]
            self._below[tuple(plain)].append(rule)

    def _matches(self, components: list, is_directory: bool) -> list:
        path = "/".join(components)
        return [rule for count in range(len(components) + 1) for rule in self._below.get(tuple(components[:count]), ())
                if (is_directory or not rule.directories_only) and _compiled(rule).fullmatch(path)]

    def deciding(self, path: str):
        """The rule that decides for a path (a directory if it ends in a slash), or None."""
        components = path.rstrip("/").split("/")
        nearest = None
        for count in range(len(components), 0, -1):
            found = self._matches(components[:count], count < len(components) or path.endswith("/"))
            always = [rule for rule in found if rule.effect == "always_exclude"]
            if always:
                return always[0]
            if nearest is None and found:
                nearest = max(found, key=lambda rule: (is_literal(rule.parts[-1]), sum(map(is_literal, rule.parts)),
                                                       rule.effect == "exclude"))
        return nearest

    def takes(self, path: str) -> bool:
        rule = self.deciding(path)
        return rule is not None and rule.effect == "include"


def sample(rule: Rule) -> str:
    """A path that a pattern matches and that hardly any other does."""
    path = []
    for part in rule.parts:
        part = re.sub(r"\[(?![!^])(.)[^]]*\]", r"\1", part)
        path.append("any" if part == "**" else part.replace("*", "zq").replace("?", "z").replace("\\", ""))
    return "/".join(path) + ("/" if rule.directories_only else "")


class BuiltinRules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.components = components()
        cls.rules = rules()
        cls.order = Order(cls.rules)

    def applications(self):
        return {name: component for name, (_, component) in self.components.items() if component["kind"] == "application"}

    def test_files_hold_components_of_known_keys_and_nothing_else(self):
        for file in sorted(os.listdir(_RULES)):
            self.assertRegex(file, r"^[a-z-]+\.toml$")
            with open(os.path.join(_RULES, file), "rb") as source:
                self.assertEqual(list(tomllib.load(source)), ["component"], file)
        for name, (file, component) in self.components.items():
            self.assertRegex(name, r"^[a-z0-9-]+$")
            self.assertLessEqual(set(component), set(_KEYS), name)
            for key, value in component.items():
                self.assertIs(type(value), _KEYS[key], f"{name}.{key}")
                self.assertTrue(value, f"{name}.{key} is empty")
                if isinstance(value, list):
                    self.assertTrue(all(isinstance(item, str) for item in value), f"{name}.{key}")
            self.assertIn(component.get("kind"), _KINDS, name)
            self.assertTrue(component.get("title"), name)
            self.assertTrue(set(component) & set(_EFFECTS), f"{name} says nothing")

    def test_patterns_are_valid(self):
        for name, (file, component) in self.components.items():
            for key in ("detect", *_EFFECTS):
                for pattern in component.get(key, []):
                    self.assertEqual(fault(pattern), "", f"{file}: {name}: {pattern}")

    def test_variables_are_used_where_there_is_one(self):
        for _, component in self.components.values():
            for key in ("detect", *_EFFECTS):
                for pattern in component.get(key, []):
                    self.assertNotRegex(pattern, r"^\{home\}/(\.config|\.cache|\.local/share|\.local/state)(/|$)")

    def test_titles_are_unique(self):
        titles = collections.Counter(component["title"] for _, component in self.components.values())
        self.assertEqual([title for title, count in titles.items() if count > 1], [])

    def test_sixty_applications_are_known_by_name(self):
        self.assertGreaterEqual(len(self.applications()), 60)
        for name, component in self.applications().items():
            self.assertTrue(component.get("include"), name)
            self.assertTrue(component.get("detect"), f"{name} would be named on every machine")

    def test_no_pattern_stands_twice_with_one_effect(self):
        found = collections.defaultdict(list)
        for rule in self.rules:
            found[rule.effect, rule.parts, rule.directories_only].append(rule.component)
        self.assertEqual({key: names for key, names in found.items() if len(names) > 1}, {})

    def test_no_pattern_is_included_and_excluded(self):
        included = {rule.parts for rule in self.rules if rule.effect == "include"}
        self.assertEqual([rule.source for rule in self.rules if rule.effect != "include" and rule.parts in included], [])

    def test_whatever_is_included_is_taken(self):
        left = [f"{rule.component}: {rule.source}: {self.order.deciding(sample(rule))}" for rule in self.rules
                if rule.effect == "include" and not self.order.takes(sample(rule))]
        self.assertEqual(left, [])

    def test_whatever_is_excluded_is_left(self):
        taken = [f"{rule.component}: {rule.source}: {self.order.deciding(sample(rule))}" for rule in self.rules
                 if rule.effect != "include" and self.order.takes(sample(rule))]
        self.assertEqual(taken, [])

    def test_every_exclude_has_an_effect(self):
        """Without it the path would be taken: by the application's own includes, else by any."""
        includes = [rule for rule in self.rules if rule.effect == "include"]
        orders = {name: Order([rule for rule in includes if rule.component == name]) for name in self.applications()}
        of_all = Order(includes)
        idle = [f"{rule.component}: {rule.source}" for rule in self.rules if rule.effect == "exclude" and rule.parts[0] != "**"
                and not orders.get(rule.component, of_all).takes(sample(rule))]
        self.assertEqual(idle, [])

    def test_applications_hold_without_the_rules_for_homes(self):
        order = Order(rules(lambda _, file: file not in ("users.toml", "documents.toml")))
        for rule in self.rules:
            if self.components[rule.component][1]["kind"] == "application":
                self.assertEqual(order.takes(sample(rule)), rule.effect == "include", f"{rule.component}: {rule.source}")

    def test_a_component_is_detected_by_whatever_it_includes(self):
        """Else its rules would be absent where its files are. What has a warning is detected by what the warning is about."""
        for name, (file, component) in self.components.items():
            detect = [expand(pattern).rstrip("/").split("/") for pattern in component.get("detect", [])]
            for parts in detect:
                self.assertTrue(all(map(is_literal, parts)), f"{name}: detect is a path, without wildcards")
            for key in _EFFECTS if detect and "warning" not in component else ():
                for pattern in component.get(key, []):
                    parts = expand(pattern).rstrip("/").split("/")
                    covered = any(parts[:len(place)] == place for place in detect)
                    # Names that begin like {config}/akonadi* have no place of their own above them.
                    self.assertTrue(covered or re.match(r"\{\w+\}/[^/]*[*?\[]", pattern), f"{file}: {name}: {pattern}")

    def test_warnings_are_for_what_is_there(self):
        for name, (_, component) in self.components.items():
            if "warning" in component:
                self.assertTrue(component.get("detect"), f"{name} would warn on every machine")
                self.assertLess(len(component["warning"]), 200, name)

    def test_few_patterns_are_compared_with_every_name(self):
        floating = [rule.source for rule in self.rules if "**" in rule.parts]
        self.assertLessEqual(len(floating), 8, floating)

    def test_a_component_is_of_people_or_of_the_system(self):
        """Presence is decided for each user where a variable stands, and once where none does: a component with both would be
        reported for every user as soon as the system has its part."""
        for name, (_, component) in self.components.items():
            kinds = {pattern.startswith("{") for key in ("detect", *_EFFECTS) for pattern in component.get(key, [])
                     if not pattern.startswith("**/")}
            self.assertEqual(len(kinds), 1, name)
            if component["kind"] == "system":
                self.assertEqual(kinds, {False}, name)

    def test_the_document_names_every_application(self):
        with open(_DOCUMENT, encoding="utf-8") as document:
            text = " ".join(document.read().split())
        for name, component in self.applications().items():
            self.assertIn(component["title"], text, name)
        for file in os.listdir(_RULES):
            self.assertIn(f"`{file}`", text)

    def test_warnings_are_in_the_document(self):
        with open(_DOCUMENT, encoding="utf-8") as document:
            text = " ".join(document.read().split())
        for name, (_, component) in self.components.items():
            if "warning" in component:
                self.assertIn(component["title"], text, name)


class WhatIsTaken(unittest.TestCase):
    """Paths of a machine that has everything, and what becomes of them."""

    @classmethod
    def setUpClass(cls):
        cls.order = Order(rules())

    def check(self, verdict: bool, paths: str):
        for path in filter(None, (line.strip() for line in paths.splitlines())):
            path = expand(path)
            self.assertEqual(self.order.takes(path), verdict, f"{path}: {self.order.deciding(path)}")

    def test_a_users_own_work_is_taken_whatever_its_folder_is_called(self):
        self.check(True, """
            {home}/thesis.tex
            {home}/src/tool/target/release/tool
            {home}/src/web/node_modules/left-pad/index.js
            {home}/src/c/build/config.mk
            {home}/src/py/.venv/bin/python
            {home}/src/py/__pycache__/a.pyc
            {home}/src/cache/cache.c
            {home}/core/core.c
            {home}/core.2024
            {home}/core.tex
            {home}/papers/lock
            {home}/papers/Trash/x
            {home}/papers/.cache/x
            {documents}/letter.odt
            home/gone/letter.odt
            home/old-backup.tar
            root/notes
            data/photos/1.jpg
            """)

    def test_what_nobody_misses_is_left(self):
        self.check(False, """
            {cache}/
            {cache}/thumbnails/large/a.png
            {cache}/pip/http/a
            {cache}/go-build/00/a
            {data}/Trash/files/a
            {home}/usb/.Trash-1000/files/a
            {home}/.thumbnails/normal/a
            {home}/.xsession-errors.old
            {home}/core.12345
            {documents}/.~lock.letter.odt#
            {home}/.npm/_cacache/index-v5/a
            {home}/.cargo/registry/src/a
            {home}/.rustup/toolchains/stable/bin/rustc
            {home}/go/pkg/mod/a@v1/a.go
            {home}/.gradle/caches/a
            {home}/.ccache/0/a
            {home}/miniconda3/pkgs/a
            {data}/baloo/index
            {config}/Unknown/GPUCache/a
            {config}/Unknown/SingletonLock
            {home}/.var/app/org.example.App/cache/a
            {home}/snap/tool/common/.cache/a
            home/gone/.cache/a
            root/.cache/a
            """)

    def test_settings_beside_caches_are_taken(self):
        self.check(True, """
            {home}/.cargo/config.toml
            {home}/.cargo/bin/tool
            {home}/.rustup/settings.toml
            {home}/go/src/a/a.go
            {home}/go/bin/a
            {home}/.gradle/gradle.properties
            {home}/.m2/settings.xml
            {home}/.m2/repository/local/private/1/private-1.jar
            {home}/.ivy2/local/a
            {home}/.npmrc
            {home}/.ccache/ccache.conf
            {home}/miniconda3/envs/a/bin/python
            {data}/pnpm/global/a
            """)

    def test_only_copies_inside_the_cache_folder_are_taken(self):
        self.check(True, """
            {cache}/JetBrains/IdeaIC2023.2/LocalHistory/changes.storageData
            {cache}/Google/AndroidStudio2022.3/LocalHistory/a
            {cache}/xournalpp/autosaves/a.xopp
            {cache}/inkscape/inkscape-autosave-1000-a.svg
            {cache}/rclone/vfs/drive/a
            {cache}/vim/undo/a
            {cache}/nvim/swap/a
            {cache}/zsh/history
            {cache}/keepassxc/keepassxc.ini
            {cache}/huggingface/token
            """)
        self.check(False, """
            {cache}/JetBrains/
            {cache}/JetBrains/IdeaIC2023.2/caches/a
            {cache}/rclone/webgui/a
            {cache}/nvim/luac/a
            {cache}/huggingface/hub/a
            """)

    def test_profiles_come_without_their_caches_and_locks(self):
        self.check(True, """
            {home}/.mozilla/firefox/profiles.ini
            {home}/.mozilla/firefox/ab.default/places.sqlite
            {home}/.mozilla/firefox/ab.default/storage/default/site/cache/a
            {home}/snap/firefox/common/.mozilla/firefox/ab.default/places.sqlite
            {config}/google-chrome/Local State
            {config}/google-chrome/Default/Login Data
            {config}/Signal/sql/db.sqlite
            {config}/Code/User/History/a
            {config}/Code/Backups/a
            {config}/libreoffice/4/user/uno_packages/cache/a
            {config}/libreoffice/4/user/backup/a.odt
            {data}/Steam/userdata/1/a
            {data}/Steam/steamapps/common/game/a
            {home}/.thunderbird/ab.default/ImapMail/a
            {home}/.gnupg/private-keys-v1.d/a.key
            """)
        self.check(False, """
            {home}/.mozilla/firefox/ab.default/cache2/entries/a
            {home}/.mozilla/firefox/ab.default/lock
            {home}/.mozilla/firefox/ab.default/.parentlock
            {home}/snap/firefox/common/.mozilla/firefox/ab.default/lock
            {home}/snap/firefox/common/.cache/mozilla/a
            {config}/google-chrome/SingletonLock
            {config}/google-chrome/Default/Code Cache/js/a
            {config}/Signal/GPUCache/a
            {config}/Code/CachedData/a
            {config}/libreoffice/4/.lock
            {data}/Steam/steamapps/shadercache/a
            {home}/.gnupg/pubring.kbx.lock
            """)

    def test_the_machines_identity_is_never_taken(self):
        self.check(False, """
            etc/fstab
            etc/crypttab
            etc/mdadm/mdadm.conf
            etc/mdadm.conf
            etc/hostname
            etc/machine-id
            var/lib/dbus/machine-id
            etc/default/grub
            etc/kernel/cmdline
            etc/systemd/system/mnt-disk.mount
            """)
        with_everything = Order(rules() + [to_rule("include", pattern, "given", "given") for pattern in ("etc", "etc/fstab")])
        self.assertFalse(with_everything.takes("etc/fstab"))
        self.assertTrue(with_everything.takes("etc/hosts"))

    def test_accounts_are_the_images(self):
        self.check(False, """
            etc/passwd
            etc/shadow
            etc/group
            etc/gshadow
            etc/subuid
            etc/subgid
            """)

    def test_backups_on_the_same_disk_are_left(self):
        self.check(False, """
            timeshift/snapshots/2024/localhost/home/al/a
            .snapshots/1/snapshot/etc/passwd
            home/.snapshots/1/a
            """)

    def test_what_an_administrator_made_is_taken(self):
        self.check(True, """
            etc/ssh/ssh_host_ed25519_key
            etc/NetworkManager/system-connections/Home.nmconnection
            etc/wpa_supplicant/wpa_supplicant-wlan0.conf
            etc/netplan/50-static.yaml
            etc/cups/printers.conf
            var/spool/cron/crontabs/al
            var/spool/cron/al
            var/spool/cron/atjobs/a0001
            etc/cron.d/backup
            etc/cron.daily/backup
            etc/systemd/system/backup.service
            etc/systemd/system/backup.timer
            etc/systemd/system/ssh.service.d/override.conf
            etc/sudoers.d/al
            etc/letsencrypt/live/example/privkey.pem
            etc/apache2/sites-available/mine.conf
            etc/apt/sources.list.d/vendor.list
            etc/udev/rules.d/99-mine.rules
            usr/local/bin/tool
            usr/local/share/ca-certificates/ours.crt
            opt/tool/a
            srv/a
            var/www/html/index.html
            var/mail/al
            var/lib/bluetooth/00:00/11:11/info
            var/lib/postgresql/15/main/PG_VERSION
            var/lib/libvirt/images/a.qcow2
            etc/libvirt/qemu/a.xml
            var/lib/docker/volumes/a/_data/a
            var/backups/mysql/dump.sql
            """)

    def test_what_the_image_brings_is_left(self):
        self.check(False, """
            usr/bin/ls
            boot/vmlinuz
            etc/ssh/sshd_config
            etc/hosts
            etc/cron.daily/logrotate
            etc/cron.d/.placeholder
            etc/systemd/system/multi-user.target.wants/ssh.service
            etc/systemd/system/display-manager.service
            etc/systemd/system/dbus-org.bluez.service
            etc/systemd/system/snap.lxd.daemon.service
            etc/sudoers.d/README
            etc/ssl/certs/ca-certificates.crt
            etc/ssl/private/ssl-cert-snakeoil.key
            etc/apache2/sites-enabled/000-default.conf
            etc/apt/sources.list
            etc/apt/sources.list.d/debian.sources
            etc/wpa_supplicant/functions.sh
            opt/google/chrome/chrome
            var/lib/docker/overlay2/a
            var/lib/dpkg/status
            var/lib/bluetooth/00:00/cache/11:11
            var/backups/dpkg.status.1.gz
            var/log/syslog
            """)


if __name__ == "__main__":
    cases.main()
