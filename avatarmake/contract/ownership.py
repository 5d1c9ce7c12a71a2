"""What in a stage's directory is not ours: it is refused and named, or set aside; it is never deleted or overwritten.

Ours is what the receipt lists, by name AND digest, in a directory that we made. All else is somebody's: a file that was
put there, one of ours that was changed, a link (no stage makes any), a directory without a receipt, a list of files
that the receipt does not vouch for. Masks that a stage took over from others stay theirs (`made_by_others`).

Files are told by their whole content, each time. Size and time would be quicker and are not safe: `cp -p`, `tar` and
`rsync` bring old times with them, and a hard link to a file (convert makes some) changes its ctime, the one time that
nobody can set. It is done only when a directory is about to be replaced, which costs minutes anyway.
"""

import contextlib
import itertools
import os
import stat
from pathlib import Path

from avatarmake.contract.pipeline import IMPORTER, WRITER
from avatarmake.contract.receipts import RECEIPT, SUMS, is_file, listed, receipt, there, vouched
from avatarmake.errors import StageError
from avatarmake.files.digests import digest_path

NAMED = 3  # files that a refusal names, before it counts


def strangers(directory: Path, taken_over: bool = True) -> list[str]:
    """Names below a stage's directory that are not ours; "" for the directory itself where it is no real one.

    `taken_over`: what a stage took over from others counts as theirs.
    """
    try:
        kind = directory.lstat().st_mode
    except FileNotFoundError:
        return []
    if not stat.S_ISDIR(kind):
        return [""]
    names, ours = sorted(there(directory)), listed(directory)
    if ours and taken_over and receipt(directory).get("facts", {}).get("made_by_others"):
        ours = {}
    if names == [RECEIPT] and vouched(directory):  # what a killed sweep leaves last
        return []
    return [name for name in names if not _is_ours(directory, name, ours)]


def _is_ours(directory: Path, name: str, ours: dict[str, str]) -> bool:
    if name in (RECEIPT, SUMS):
        return bool(ours)
    path = directory / name
    return name in ours and is_file(path) and digest_path(path) == ours[name]


def refusal(directory: Path, names: list[str], keep: str = "") -> StageError:
    """What a user reads of strangers. `keep`: the option with which the stage takes them over, `FIX=1`."""
    again = _again(directory)
    aside = f"to set them aside: {again} OPTIONS=--force"
    if names == [""]:
        what = f"is a link to {os.readlink(directory)}" if directory.is_symlink() else "is not a directory"
        way_out = "Move it elsewhere (a link of data/<ID> or DATA= brings all of it to another disk)"
        return StageError(f"{what}, where a stage writes one of its own", directory, f"{way_out}, or {aside}")
    some = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    what = f"holds what its stage did not write, or was changed since: {some}"
    keep = f"To keep what is good of them: {again} {keep}. " if keep else ""
    return StageError(what, directory, f"{keep}Move them elsewhere, or {aside}")


def _again(directory: Path) -> str:
    """The command that writes it: data/roman/tracking, or one of several beside each other, data/roman/drives/anna."""
    name, parent = directory.name.removesuffix(".partial"), directory.parent
    if name not in WRITER and parent.name in WRITER:
        return f"make {WRITER[parent.name]} ID={parent.parent.name} BY={name}"
    if name == IMPORTER:
        return f"make import ID={parent.name}"
    return f"make {WRITER.get(name, '<stage>')} ID={parent.name}"


def set_aside(path: Path, corner: Path, name: str) -> None:
    """Move a file, link or directory below `corner`, by its name there."""
    place = corner / name
    place.parent.mkdir(parents=True, exist_ok=True)
    os.rename(path, place)


def new_corner(root: Path, name: str) -> Path:
    """A new, empty `.aside/<name>-<n>` in the subject's directory."""
    for n in itertools.count(1):
        corner = root / ".aside" / f"{name}-{n}"
        with contextlib.suppress(FileExistsError):
            corner.mkdir(parents=True)
            return corner
