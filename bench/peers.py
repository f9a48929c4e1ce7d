"""What people use today, as subjects of the stage: each with the settings that make it fastest.

They do less (no catalog, nothing made durable) or other things (backups copy), which README.md says; here only time
counts. What each leaves behind is checked as holdfast's is.
"""

import os

import measure
from stage import Stage
from subjects import Subject


def _find(stage: Stage) -> None:
    def check(run):
        wanted = sum(stage.facts[kind] for kind in ("directories", "files", "others"))
        if (found := run.stdout.count(b"\0")) != wanted:
            raise measure.CheckFailed(f"find printed {found} entries of {wanted}")
    stage.time("find", "find", stage.home, "-mindepth", "1", "-printf", "%p %s %T@\\0", check=check)


def _links(stage: Stage) -> None:
    copy = os.path.join(stage.root, "copy")
    stage.time("cp -al", "cp", "-al", stage.home, copy, check=lambda run: stage.same_names(copy, linked=True))
    stage.time("rm -rf", "rm", "-rf", copy, where=copy, check=lambda run: stage.gone(copy))


def _link_dest(stage: Stage) -> None:
    copy = os.path.join(stage.root, "copy")
    stage.time("rsync --link-dest", "rsync", "-a", f"--link-dest={stage.home}/", f"{stage.home}/", f"{copy}/",
               check=lambda run: stage.same_names(copy, linked=True))
    stage.do(stage.tools.loop("bare_delete"), "--threads", "2", copy)


def _hashes(stage: Stage) -> None:
    def check(run):
        # Lines of several processes mix in one pipe, so their number and length are compared, not their text.
        found = {"bytes": len(run.stdout), "lines": run.stdout.count(b"\n")}
        if any(found[kind] != stage.digests[kind] for kind in found):
            raise measure.CheckFailed(f"{found} where one xxh128sum printed {stage.digests}")
    stage.time("xargs xxh128sum", "sh", "-c",
               'find "$1" -type f -print0 | xargs -0 -r -n 256 -P "$2" xxh128sum', "sh", stage.home,
               str(stage.wanted.threads), check=check)


def _copies(stage: Stage) -> None:
    copy, back = os.path.join(stage.root, "copy"), os.path.join(stage.root, "back")
    stage.time("cp -a", "cp", "-a", stage.home, copy, check=lambda run: stage.same_names(copy, linked=False))
    stage.time("rsync -a from a copy", "rsync", "-a", f"{copy}/", f"{back}/", where=copy,
               check=lambda run: stage.same_names(back, linked=False))
    for made in (copy, back):
        stage.do(stage.tools.loop("bare_delete"), "--threads", "2", made)


def _restic(stage: Stage) -> None:
    """No compression; without a cache, since the repository is local."""
    repository, back = os.path.join(stage.root, "restic"), os.path.join(stage.root, "back")
    environment = {"RESTIC_PASSWORD": "benchmark", "RESTIC_REPOSITORY": repository}
    options = ("--no-cache", "--quiet", "--compression", "off")
    stage.do("restic", "init", "--quiet", env=environment)
    stage.time("restic backup", "restic", *options, "backup", "home", cwd=stage.root, env=environment)
    stage.time("restic restore", "restic", *options, "restore", "latest", "--target", back, env=environment,
               where=repository, proves="restic backup",
               check=lambda run: stage.same_names(os.path.join(back, "home"), linked=False))
    for made in (repository, back):
        stage.do("rm", "-rf", made)


def _borg(stage: Stage) -> None:
    """No encryption, no compression, chunks of fixed size."""
    repository, back = os.path.join(stage.root, "borg"), os.path.join(stage.root, "back")
    environment = {"BORG_BASE_DIR": stage.private.path, "BORG_REPO": repository,
                   "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
    stage.do("borg", "init", "--encryption", "none", env=environment)
    stage.time("borg create", "borg", "create", "--compression", "none", "--chunker-params", "fixed,4194304",
               "::one", "home", cwd=stage.root, env=environment)
    os.mkdir(back)
    stage.time("borg extract", "borg", "extract", "::one", cwd=back, env=environment, where=repository,
               proves="borg create", check=lambda run: stage.same_names(os.path.join(back, "home"), linked=False))
    for made in (repository, back):
        stage.do("rm", "-rf", made)


def _ostree(stage: Stage) -> None:
    """Bare repository, no fsync: the checkout is hard links to objects."""
    repository, back = os.path.join(stage.root, "ostree"), os.path.join(stage.root, "back")
    repo = f"--repo={repository}"
    stage.do("ostree", repo, "init", "--mode=bare")
    stage.time("ostree commit", "ostree", repo, "commit", "--disable-fsync", "--branch=one",
               f"--tree=dir={stage.home}", "--subject=one")
    # Objects have no times: a checkout shows 1970.
    stage.time("ostree checkout -H", "ostree", repo, "checkout", "-H", "one", back, where=repository,
               proves="ostree commit", check=lambda run: stage.same_names(back, linked=False, times=False))
    for made in (repository, back):
        stage.do("rm", "-rf", made)


SUBJECTS = (
    Subject("find", _find, ("find",), ("find",)),
    Subject("links", _links, ("cp -al", "rm -rf"), ("cp", "rm")),
    Subject("xxh128sum", _hashes, ("xargs xxh128sum",), ("xxh128sum",)),
    Subject("rsync", _link_dest, ("rsync --link-dest",), ("rsync",), slow=True),
    Subject("copies", _copies, ("cp -a", "rsync -a from a copy"), ("cp", "rsync"), slow=True),
    Subject("restic", _restic, ("restic backup", "restic restore"), ("restic",), slow=True),
    Subject("borg", _borg, ("borg create", "borg extract"), ("borg",), slow=True),
    Subject("ostree", _ostree, ("ostree commit", "ostree checkout -H"), ("ostree",)),
)
