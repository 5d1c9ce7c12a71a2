"""The user's checkout of an upstream project: is it there, at the right commit, unchanged; and a copy of its files."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

from avatarmake import ROOT
from avatarmake.errors import Exit, StageError
from avatarmake.patches.series import Upstream
from avatarmake.patches.unpacking import unpack

HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")  # git sets them for its hooks


def folder(upstream: Upstream) -> Path:
    return ROOT / upstream.checkout


def check(upstream: Upstream) -> None:
    """Raises StageError, with what to type, unless the checkout is the one that the patches are for."""
    place = folder(upstream)
    if not place.is_dir():
        clone = f"git clone {upstream.repository} {upstream.checkout}"
        advice = f"Its licence: {upstream.licence}. Type: {clone} && {_take(upstream)}"
        raise _missing("the checkout of the upstream project is not there", place, advice)
    top = Path(_git(place, "rev-parse", "--show-toplevel").strip() or "/")
    if top.resolve() != place.resolve():  # or it would be our own repository that answers
        advice = f"Move it away and type: git clone {upstream.repository} {upstream.checkout} && {_take(upstream)}"
        raise _missing("is no git checkout of its own, so its commit cannot be told", place, advice)
    commit = _git(place, "rev-parse", "HEAD").strip()
    if commit != upstream.commit:
        words = f"is at commit {commit[:12]}; the patches are for {upstream.commit[:12]}"
        raise _missing(words, place, f"Type: {_take(upstream)}")
    if changed := _git(place, "status", "--porcelain", "--untracked-files=no"):
        names = [line[3:] for line in changed.splitlines()]
        said = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        advice = f"See them: git -C {upstream.checkout} diff. Put them away: git -C {upstream.checkout} stash"
        raise _missing(f"has changes of its own in {said}", place, advice)


def copy(upstream: Upstream, into: Path) -> None:
    """The commit's tracked files, less those that UPSTREAM leaves out. Weights that lie beside them stay behind."""
    without = [f":(exclude){path}" for path in upstream.without]
    plain = ("-c", "core.autocrlf=false", "-c", "core.eol=lf")  # the same bytes on every host
    done = _run(folder(upstream), *plain, "archive", "--format=tar", upstream.commit, "--", ".", *without)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        advice = f"Take a fresh one: git clone {upstream.repository} {upstream.checkout}"
        raise _missing(f"git archive: {said}", folder(upstream), advice)
    into.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        unpack(archive, into)


def _git(place: Path, *words: str) -> str:
    """What git prints; nothing where there is no repository. Raises StageError in git's own words."""
    done = _run(place, *words)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode and "not a git repository" not in said:
        raise _missing(f"git: {said}", place, "")
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _run(place: Path, *words: str) -> subprocess.CompletedProcess:
    """git on that repository, whatever a hook of ours that runs this has set, and in English."""
    environment = {name: value for name, value in os.environ.items() if name not in HOOKS} | {"LC_ALL": "C"}
    try:
        return subprocess.run(["git", "-C", str(place), *words], capture_output=True, env=environment)
    except FileNotFoundError as e:
        raise StageError("git is not there", next="On Debian: apt-get install git", exit=Exit.ENVIRONMENT) from e


def _take(upstream: Upstream) -> str:
    return f"git -C {upstream.checkout} checkout {upstream.commit}"


def _missing(what: str, place: Path, advice: str) -> StageError:
    where = place.relative_to(ROOT) if place.is_relative_to(ROOT) else place
    return StageError(what, where, advice, Exit.MISSING_ASSET)
