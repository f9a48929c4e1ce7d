"""Safeties taken away one at a time, each with the tests that must notice.

A mutant is a piece of source that is found exactly once, and what stands there instead: when the source moves on, the
mutant no longer applies and says so, and is written anew.
"""


class Guard:
    """Promises of one test file; `env` makes a sampled test look where the mutant bites."""

    def __init__(self, test: str, *promises: str, env=None):
        self.test = test          # below tests/
        self.promises = promises  # Class or Class.test_method
        self.env = env or {}


class Mutant:
    def __init__(self, name: str, without: str, file: str, old: str, new: str, *guards: Guard):
        self.name = name
        self.without = without    # the safety, in words
        self.file = file
        self.old = old
        self.new = new
        self.guards = guards


ALL = (
    Mutant(
        "no-hold-check", "no look whether the mirror holds a file before wipe --delete unlinks it",
        "storecore/ops/old_system.cpp",
        "        if (held && held->same_inode(stat)) return true;\n",
        "        return true;\n",
        Guard("integration/wipe_test.py", "WipeOnExt4.test_delete_keeps_files_that_the_mirror_does_not_hold"),
    ),
    Mutant(
        "no-wipe-plan", "wipe moves what is in ROOT now, not what its plan names",
        "storecore/ops/wipe.cpp",
        "  const auto plan = load_wipe_plan(*store_, store_->record().wipe_number);\n"
        "  if (!plan) return std::unexpected(plan.error());\n"
        "  std::set<std::string, std::less<>> left;\n",
        "  const auto plan = make_wipe_plan(*store_, checks_.keep, checks_.borders);\n"
        "  if (!plan) return std::unexpected(plan.error());\n"
        "  std::set<std::string, std::less<>> left;\n",
        Guard("integration/wipe_crash_test.py", "KilledWipeOnExt4.test_after_an_image_was_put_on"),
    ),
    Mutant(
        "open-by-path", "a directory is looked at, then opened by its path, through whatever stands there by then",
        "storecore/walk/dir_node.cpp",
        "  auto fd = open_dir_at(parent, name_.c_str());\n",
        "  const auto looked = stat_at(parent, name_);\n"
        "  if (!looked || !looked->is_directory()) return catalog::sys_error(ENOTDIR);\n"
        "  auto fd = open_dir_path(\"/proc/self/fd/\" + std::to_string(parent.get()) + \"/\" + name_);\n",
        Guard("races/windows_test.py",
              "Windows.test_a_directory_that_is_swapped_with_a_symlink_all_the_time_leads_nowhere"),
    ),
    Mutant(
        "no-checksum", "the catalog is mapped without a look at its checksum",
        "storecore/store/catalog_file.cpp",
        "    if (sum->bytes != record.catalog_bytes || sum->xxh3 != record.catalog_xxh3)\n",
        "    if (false && (sum->bytes != record.catalog_bytes || sum->xxh3 != record.catalog_xxh3))\n",
        Guard("integration/damage_test.py", "DamageOnExt4.test_a_damaged_sealed_catalog_is_found_by_its_checksum"),
    ),
    Mutant(
        "no-barrier", "nothing is flushed before a name goes",
        "storecore/store/store.cpp",
        "  auto synced = syncfs_fd(dir_.get());\n"
        "  const char* call = \"syncfs\";\n"
        "  if (synced) {\n",
        "  catalog::SysStatus synced{};\n"
        "  const char* call = \"syncfs\";\n"
        "  if (false) {\n",
        Guard("crash/power_test.py", "PowerCutOnBtrfs.test_right_after_success_loses_nothing_that_was_reported"),
    ),
    Mutant(
        "sync-retried", "a failed sync is tried again, and believed",
        "storecore/store/store.cpp",
        "  auto synced = syncfs_fd(dir_.get());\n",
        "  auto synced = syncfs_fd(dir_.get());\n"
        "  if (!synced) synced = syncfs_fd(dir_.get());\n",
        Guard("crash/disk_errors_test.py",
              "FailedBarrierOnExt4.test_ends_the_run_and_the_next_ones_until_the_volume_is_mounted_anew"),
    ),
)
