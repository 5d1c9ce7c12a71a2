"""The repository's state: which commit, and what of the working tree is not in it."""

import os
import subprocess
import tempfile
from pathlib import Path

from avatarmake import ROOT
from avatarmake.engine.revision import git
from avatarmake.errors import Exit, StageError

TAKEN_ALONG = ("assets.lock", "images.lock")  # a host's own; a pack has what matters of them


def commit() -> str:
    """HEAD's; "" outside git."""
    return git("rev-parse", "HEAD")


def modified() -> list[str]:
    """Files that are not as HEAD has them, or that it does not have."""
    lines = git("-c", "core.quotePath=false", "status", "--porcelain", "--no-renames").splitlines()
    return sorted({line.strip().partition(" ")[2].strip() for line in lines} - {*TAKEN_ALONG})


def changes() -> bytes:
    """What `git apply` makes of HEAD's tree this one, new files included. The user's index is left alone."""
    with tempfile.TemporaryDirectory() as scratch:
        objects = Path(git("rev-parse", "--path-format=absolute", "--git-path", "objects"))
        environment = os.environ | {
            "GIT_INDEX_FILE": f"{scratch}/index",
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        _git(environment, "read-tree", "HEAD")
        _git(environment, "add", "--all", "--", ".", *(f":(exclude){name}" for name in TAKEN_ALONG))
        plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--full-index", "--binary")
        return _git(environment, "diff", "--cached", *plain, "HEAD")


def way_to(revision: str, diff: str = "") -> str:
    """What to type for a checkout of `revision` beside this one; `diff`: a file of changes upon it."""
    place = f"../avatarmake-{revision[:12]}"
    get = "" if git("cat-file", "-t", f"{revision}^{{commit}}") else "git fetch --all && "
    return f"{get}git worktree add {place} {revision}" + (f" && git -C {place} apply {diff}" if diff else "")


def _git(environment: dict, *words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, env=environment)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise StageError(f"git {words[0]}: {said}", ROOT, exit=Exit.ENVIRONMENT)
    return done.stdout
