"""Applying a patch set to a folder of sources: ast-grep finds the places, we count them, then rewrite them.

The replacements are ast-grep's own, byte for byte; they are written here, and not by ast-grep, so that nothing is
touched before the count is right, and no place is left out because it lies within another.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from avatarmake import ROOT
from avatarmake.errors import Exit, StageError
from avatarmake.patches.series import Overlay, PatchSet, Rule

OK, DIFFERS, APPLIED, OVERLAP, BROKEN = "ok", "count differs", "already applied", "places overlap", "breaks the file"


@dataclass(frozen=True)
class Outcome:
    """What one step of a series came to. `detail` says where, for a state other than ok."""

    step: Rule | Overlay
    found: int
    state: str = OK
    detail: str = ""


def apply(patches: PatchSet, folder: Path, counted: bool = True) -> list[Outcome]:
    """Apply the series to the sources in `folder`, in place; one outcome a step, in order.

    A step that is not ok has changed nothing; those after it are tried all the same, so that all is said at once.
    Not `counted` (for rehearsals on small sources): any number of places will do, none where no file is there.
    """
    return [
        _overlay(step, folder) if isinstance(step, Overlay) else _rewrite(step, folder, counted)
        for step in patches.steps
    ]


def _overlay(overlay: Overlay, folder: Path) -> Outcome:
    target = folder / overlay.target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # never through a link
    shutil.copyfile(overlay.file, target)
    return Outcome(overlay, 1)


def _rewrite(rule: Rule, folder: Path, counted: bool) -> Outcome:
    files = sorted({p.relative_to(folder).as_posix() for glob in rule.files for p in folder.glob(glob) if p.is_file()})
    places = scan(rule.body, folder, files)
    if len(places) != rule.expect and (counted or files and not places):
        return _wrong_count(rule, folder, files, places)
    by_file: dict[str, list[dict]] = {}
    for place in places:
        by_file.setdefault(place["file"], []).append(place)
    new = {}
    for name, here in by_file.items():
        here.sort(key=lambda place: place["replacementOffsets"]["start"])
        for one, other in pairwise(here):
            if other["replacementOffsets"]["start"] < one["replacementOffsets"]["end"]:
                return Outcome(rule, len(places), OVERLAP, _where(one, other))
        new[name] = _replaced((folder / name).read_bytes(), here)
        if trouble := _trouble(new[name], name):
            return Outcome(rule, len(places), BROKEN, f"{name}: {trouble}")
    for name, content in new.items():
        (folder / name).write_bytes(content)
    return Outcome(rule, len(places))


def _wrong_count(rule: Rule, folder: Path, files: list[str], places: list[dict]) -> Outcome:
    if not files:
        return Outcome(rule, 0, DIFFERS, f"no file matches {', '.join(rule.files)}")
    if not places and rule.applied and (results := scan(rule.applied, folder, files)):
        return Outcome(rule, 0, APPLIED, _where(*results))
    return Outcome(rule, len(places), DIFFERS, _where(*places) or f"in {', '.join(rule.files)}")


def _where(*places: dict) -> str:
    return ", ".join(f"{place['file']}:{place['range']['start']['line'] + 1}" for place in places)


def _replaced(content: bytes, places: list[dict]) -> bytes:
    """`places` in order, apart from each other; offsets are in bytes."""
    for place in reversed(places):
        start, end = place["replacementOffsets"]["start"], place["replacementOffsets"]["end"]
        content = content[:start] + place["replacement"].encode() + content[end:]
    return content


def _trouble(content: bytes, name: str) -> str:
    """What Python says of a rewritten module: a deletion may have left an `if` empty."""
    if name.endswith(".py"):
        try:
            compile(content, name, "exec", dont_inherit=True)
        except SyntaxError as e:
            return f"line {e.lineno}: {e.msg}"
    return ""


def scan(body: dict, folder: Path, files: list[str]) -> list[dict]:
    """Where a rule matches, as ast-grep's JSON: file, range, replacement, replacementOffsets. StageError if invalid."""
    if not files:
        return []
    everything = [f"--no-ignore={kind}" for kind in ("hidden", "dot", "exclude", "global", "parent", "vcs")]
    words = [ast_grep(), "scan", "--json=stream", *everything, "--threads=1", "--inline-rules", json.dumps(body)]
    done = subprocess.run([*words, "--", *files], cwd=folder, capture_output=True, text=True)
    if done.returncode not in (0, 1):  # 1: a rule of severity error has matched
        raise StageError(f"ast-grep refuses it: {done.stderr.strip()}", f"rule {body['id']}", exit=Exit.INTERNAL)
    return [json.loads(line) for line in done.stdout.splitlines()]


def ast_grep() -> str:
    """The pinned one of the environment that runs this, or the host's."""
    for folder in (Path(sys.executable).parent, ROOT / ".venv" / "host" / "bin"):
        if os.access(folder / "ast-grep", os.X_OK):
            return str(folder / "ast-grep")
    advice = "The host's environment brings it: rm .venv/host/lock, then make doctor"
    raise StageError("ast-grep is not there", next=advice, exit=Exit.ENVIRONMENT)
