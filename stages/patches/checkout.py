"""The user's checkout of an upstream project: is it there, at the right commit, unchanged; and a copy of its files."""

import io
import subprocess
import tarfile
from pathlib import Path

from stages.contract import ROOT
from stages.errors import Exit, StageError
from stages.patches.series import Upstream


def folder(upstream: Upstream) -> Path:
    return ROOT / upstream.checkout


def check(upstream: Upstream) -> None:
    """Raises StageError, with what to type, unless the checkout is the one that the patches are for."""
    place = folder(upstream)
    if not place.is_dir():
        clone = f"git clone {upstream.repository} {upstream.checkout}"
        advice = f"{_licence(upstream)}. Type: {clone} && {_take(upstream)}"
        raise _missing("the checkout of the upstream project is not there", place, advice)
    top = Path(_git(place, "rev-parse", "--show-toplevel").strip() or ".")
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
    words = ["git", "-C", str(folder(upstream)), *plain, "archive", "--format=tar", upstream.commit]
    done = subprocess.run([*words, "--", ".", *without], capture_output=True)
    if done.returncode:
        raise _missing(f"git archive: {done.stderr.decode(errors='replace').strip()}", folder(upstream), "")
    into.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(into, filter="data")


def _git(place: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(place), *words], capture_output=True, text=True)
    except FileNotFoundError as e:
        raise StageError("git is not there", next="On Debian: apt-get install git", exit=Exit.ENVIRONMENT) from e
    if done.returncode and "not a git repository" not in done.stderr:
        raise _missing(f"git: {done.stderr.strip()}", place, "")
    return done.stdout if done.returncode == 0 else ""


def _take(upstream: Upstream) -> str:
    return f"git -C {upstream.checkout} checkout {upstream.commit}"


def _licence(upstream: Upstream) -> str:
    return f"Its licence: {upstream.licence}"


def _missing(what: str, place: Path, advice: str) -> StageError:
    where = place.relative_to(ROOT) if place.is_relative_to(ROOT) else place
    return StageError(what, where, advice, Exit.MISSING_ASSET)
