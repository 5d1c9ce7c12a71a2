"""FlashAvatar's own tree: imgs, alpha, parsing, and metrical-tracker's checkpoint, together or in its two folders.

Source: FlashAvatar (commit 2d4cb25) scene/__init__.py: NNNNN.frame is image NNNNN + 1; alpha and parsing are numbered
as the images; it reads K's focal lengths from 00000.frame and its principal point from nowhere.
"""

import json
import os
from pathlib import Path

from avatarmake.errors import Exit, StageError
from stages.imported import parameters
from stages.imported.found import Found, Mask, Shot, counted, numbered
from stages.imported.frame_files import FrameFiles

MARK = "avatarmake.json"  # what `make flashavatar-tree` leaves beside its folders
FOLDERS = ("imgs", "alpha", "parsing")
PICTURES = (".jpg", ".jpeg", ".png")
SUFFIXES = {"neckhead": "_neckhead", "mouth": "_mouth"}


def is_one(folder: Path) -> bool:
    both = (folder / "dataset").is_dir() and (folder / "metrical-tracker").is_dir()
    return os.path.lexists(folder / "imgs") or both


def read(folder: Path, subject: str) -> Found:
    home, checkpoint = _places(folder, subject)
    files, images = numbered(checkpoint, (".frame",)), numbered(home / "imgs", PICTURES)
    if not files:
        raise StageError("holds no .frame", checkpoint, "It is metrical-tracker's output/<name>/checkpoint")
    paired = [i for i in files if i + 1 in images]
    if not paired:
        what = f"none of its {len(images)} images belongs to one of {len(files)} .frame files: N.frame is image N + 1"
        raise StageError(what, home / "imgs")
    reader, masks = FrameFiles(), _masks(home)
    shots = [
        Shot(
            number=i,
            where=f"checkpoint/{files[i].name}",
            record=reader.read(files[i]),
            image=images[i + 1],
            masks={part: Mask(found[i + 1]) for part, found in masks.items() if i + 1 in found},
        )
        for i in sorted(paired)
    ]
    notes = parameters.padded(reader.sizes)
    if lost := files.keys() - set(paired):
        notes.append(f"{counted(lost, '.frame')} without an image: dropped")
    if stray := images.keys() - {i + 1 for i in paired}:
        notes.append(f"{counted(stray, 'image')} without a .frame: dropped")
    mark = _mark(home)
    return Found(
        "flashavatar",
        folder,
        shots,
        notes,
        head_model=mark.get("head_model", ""),
        head_model_digest=mark.get("head_model_digest", ""),
        fps=mark.get("fps"),
    )


def _masks(home: Path) -> dict[str, dict[int, Path]]:
    parsing = {part: numbered(home / "parsing", PICTURES, end) for part, end in SUFFIXES.items()}
    return {"alpha": numbered(home / "alpha", PICTURES), **parsing}


def _places(folder: Path, subject: str) -> tuple[Path, Path]:
    """The folder with imgs, and the one with the .frame files."""
    home = folder
    if not os.path.lexists(folder / "imgs"):
        homes = sorted(p for p in (folder / "dataset").iterdir() if os.path.lexists(p / "imgs"))
        named = [p for p in homes if p.name == subject] or homes
        if len(named) != 1:
            names = ", ".join(p.name for p in homes) or "none"
            what = f"whose data of these is not said: {names}"
            raise StageError(what, folder / "dataset", f"Name one: FROM={folder}/dataset/...", Exit.USAGE)
        home = named[0]
    beside = home.parent.parent / "metrical-tracker" / "output" / home.name / "checkpoint"
    for place in (*(home / name for name in FOLDERS), home / "checkpoint", beside):
        if place.is_symlink() and not place.exists():
            what = "is a link that leads nowhere from here: a container sees the folder FROM and no other"
            raise StageError(what, place, "Use copies (make flashavatar-tree COPY=1), or ENGINE=local")
    for checkpoint in (home / "checkpoint", beside):
        if checkpoint.is_dir():
            return home, checkpoint
    what = "has no checkpoint/ beside its imgs/, nor is there"
    raise StageError(f"{what} {beside}", home, "Put metrical-tracker's checkpoint/ there")


def _mark(home: Path) -> dict:
    """What `make flashavatar-tree` said of a tree that it made; nothing of another's."""
    try:
        said = json.loads((home / MARK).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    kinds = {"head_model": str, "head_model_digest": str, "fps": (int, float)}
    return {k: said[k] for k, kind in kinds.items() if isinstance(said, dict) and isinstance(said.get(k), kind)}
