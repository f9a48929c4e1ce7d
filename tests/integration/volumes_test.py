#!/usr/bin/env python3
"""Several volumes at once: a store each, one capture id, found again by their filesystems' UUIDs."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402
import loopfs  # noqa: E402
import oracle  # noqa: E402
import treegen  # noqa: E402


class SeveralRoots(cases.VolumeCase):
    def setUp(self):
        super().setUp()
        self.roots = [self.system("one", "ext4"), self.system("two", "btrfs"), self.system("three", "xfs")]

    def test_one_run_does_them_all(self):
        before = {root: self.record(root) for root in self.roots}
        captured = self.holdfast("capture", *self.roots, *treegen.INCLUDES)
        self.assertEqual(len(captured.volumes), 3)
        self.assertEqual(len({volume["capture_id"] for volume in captured.volumes}), 1)
        self.assertEqual([volume["root"] for volume in captured.volumes], self.roots)
        self.assertEqual([volume["fs_type"] for volume in captured.volumes], ["ext4", "btrfs", "xfs"])
        self.holdfast("verify", *self.roots)
        self.holdfast("wipe", *self.roots, "--yes")
        for root in self.roots:
            self.assert_empty_around_store(root)
            treegen.build_image(root, collide=False)
        for root in self.roots:
            self.holdfast("restore", root)
            self.assert_selected_same(before[root], root)
        self.holdfast("discard", *self.roots, "--yes")
        for root in self.roots:
            self.assertNotIn(cases.STORE, os.listdir(root))

    def test_wipe_acts_on_what_is_named_and_on_nothing_else(self):
        self.holdfast("capture", *self.roots, *treegen.INCLUDES)
        others = {root: self.record(root) for root in self.roots[1:]}
        self.wipe(self.roots[0])
        for root, before in others.items():
            self.assert_nothing_moved(before, root)
            self.assertEqual(self.state_of(root), "sealed")

    def state_of(self, root: str) -> str:
        for volume in self.holdfast("status", root).volumes:
            if volume["root"] == root:
                return volume["state"]
        self.fail(f"status does not tell of {root}")

    def test_the_worst_volume_decides_the_exit_code(self):
        with treegen.Dir(self.roots[1]) as top:
            top.dir("elsewhere").__exit__()
        result = self.holdfast("capture", *self.roots[:2], "--include", "home", "--include", "elsewhere", expect=3)
        codes = {volume["root"]: volume["exit_code"] for volume in result.volumes}
        self.assertEqual(codes, {self.roots[0]: 3, self.roots[1]: 0})


class AllVolumes(cases.VolumeCase):
    """A system with a data volume mounted inside, and things that are no fixed volumes."""

    def setUp(self):
        super().setUp()
        self.main = self.volume("main", "ext4")
        self.root = self.main.path
        treegen.build_old_system(self.root)
        treegen.build_users(self.root)
        self.data_place = os.path.join(self.root, "home", "data")
        os.mkdir(self.data_place)
        self.data = self.volume("data", "xfs")
        treegen.build_users(self.data.path)
        self.data.unmount()
        self.data.mount(at=self.data_place)
        memory = os.path.join(self.root, "home", "memory")
        os.mkdir(memory)
        self.memory = self.volume("memory", "tmpfs")
        treegen.build_users(self.memory.path)
        self.bind(self.memory.path, memory)

    def capture_all(self):
        return self.holdfast("capture", self.root, "--include", "home", "--all-volumes")

    def test_without_it_other_volumes_are_reported_and_not_entered(self):
        before = oracle.record(self.data_place)
        result = self.holdfast("capture", self.root, "--include", "home")
        self.assertLessEqual({"home/data", "home/memory"}, result.paths_of("skipped"), result.describe())
        reasons = " ".join(str(problem.get("reason")) for problem in result.problems_of("skipped"))
        self.assertIn("xfs", reasons)
        self.assertIn("tmpfs", reasons)
        self.assert_same(before, oracle.record(self.data_place), ("atime",))

    def test_a_store_at_each_top(self):
        result = self.capture_all()
        self.assertEqual({volume["root"] for volume in result.volumes}, {self.root, self.data_place})
        self.assertEqual(len({volume["capture_id"] for volume in result.volumes}), 1)
        self.assertTrue(os.path.isdir(os.path.join(self.data_place, cases.STORE, "tree")))
        self.assertFalse(os.path.exists(os.path.join(self.root, "home/memory", cases.STORE)))
        self.assertEqual(result.volumes[1]["fs_uuid"], loopfs.fs_uuid(self.data))

    def test_verify_finds_the_volume_where_it_is_now(self):
        self.capture_all()
        self.data.unmount()
        elsewhere = os.path.join(self.scratch.path, "elsewhere")
        self.data.mount(at=elsewhere)
        result = self.holdfast("verify", self.root)
        self.assertEqual({volume["root"] for volume in result.volumes}, {self.root, elsewhere})
        listed = self.holdfast("status", self.root).volumes
        self.assertEqual({volume["state"] for volume in listed}, {"sealed"})

    def test_an_absent_volume_is_an_entry_of_its_own(self):
        self.capture_all()
        self.data.unmount()
        for command in (("verify", "--quick"), ("status",)):
            result = self.holdfast(command[0], self.root, *command[1:], expect=3)
            self.assertEqual(len(result.volumes), 2, result.describe())
            absent = [volume for volume in result.volumes if volume["exit_code"] == 3]
            self.assertEqual([volume["fs_uuid"] for volume in absent], [loopfs.fs_uuid(self.data)])

    def test_a_volume_that_is_named_is_found(self):
        self.capture_all()
        self.data.unmount()
        elsewhere = os.path.join(self.scratch.path, "elsewhere")
        self.data.mount(at=elsewhere)
        self.holdfast("verify", self.root, "--volume", f"{loopfs.fs_uuid(self.data)}={elsewhere}")

    def test_wipe_leaves_the_mounted_volume_alone(self):
        self.capture_all()
        before = oracle.record(self.data_place, (cases.STORE,))
        self.wipe(self.root, expect=(0, 3))
        self.assert_empty_around_store(self.root, "home")
        self.assertLessEqual(set(os.listdir(os.path.join(self.root, "home"))), {"data", "memory"})
        self.assert_same(before, oracle.record(self.data_place, (cases.STORE,)), ("nlink", "atime"))
        self.assertTrue(os.path.ismount(self.data_place))

    def test_another_volume_in_its_place_is_not_taken_for_it(self):
        self.capture_all()
        self.data.unmount()
        impostor = self.volume("impostor", "xfs")
        treegen.build_users(impostor.path, seed=9)
        impostor.unmount()
        impostor.mount(at=self.data_place)
        self.holdfast("verify", self.root, expect=3)


class Subvolumes(cases.VolumeCase):
    """A btrfs subvolume has inode numbers and a store of its own."""

    filesystem = "btrfs"

    def test_nested_subvolumes_are_volumes_of_their_own(self):
        root = self.system()
        inner = os.path.join(root, "home", "inner")
        cases.run_tool("btrfs", "subvolume", "create", inner)
        treegen.build_users(inner, seed=5)
        result = self.holdfast("capture", root, "--include", "home")
        self.assertIn("home/inner", result.paths_of("skipped"))
        result = self.holdfast("capture", root, "--include", "home", "--all-volumes")
        self.assertEqual({volume["root"] for volume in result.volumes}, {root, inner})
        self.assertTrue(os.path.isdir(os.path.join(inner, cases.STORE, "tree")))
        self.holdfast("verify", root)

    def test_same_inode_numbers_with_other_content_are_not_mixed_up(self):
        root = self.system()
        cases.run_tool("btrfs", "subvolume", "snapshot", root, os.path.join(root, "home", "snap"))
        with open(os.path.join(root, "home/snap/home/al/letter.txt"), "wb") as file:
            file.write(b"the snapshot's own")
        before = self.record(root)
        self.holdfast("capture", root, "--include", "home")
        self.wipe(root, expect=(0, 3))
        self.restore(root, expect=(0, 3))
        after = self.record(root)
        self.assertEqual(after[b"home/al/letter.txt"]["sha256"], before[b"home/al/letter.txt"]["sha256"])


class Status(cases.VolumeCase):
    def test_without_root_it_finds_the_stores_of_all_mounted_volumes(self):
        root = self.system()
        self.capture(root, "--label", "ticket=4711")
        result = self.holdfast("status", expect=(0, 3, 5, 12))
        mine = [volume for volume in result.volumes if volume.get("root") == root]
        self.assertEqual(len(mine), 1, result.describe())
        self.assertEqual(mine[0]["labels"], {"ticket": "4711"})

    def test_it_follows_the_store_through_its_life(self):
        root = self.volume().path
        treegen.build_users(root)
        self.holdfast("status", root, expect=10)
        for command, state in ((("capture", *treegen.INCLUDES), "sealed"), (("wipe", "--yes"), "wiped"),
                               (("restore",), "restored")):
            self.holdfast(command[0], root, *command[1:])
            summary = self.holdfast("status", root).summary
            self.assertEqual(summary["state"], state)
            self.assertTrue(summary["next"])
        self.holdfast("discard", root, "--yes")
        self.holdfast("status", root, expect=10)


if __name__ == "__main__":
    cases.main()
