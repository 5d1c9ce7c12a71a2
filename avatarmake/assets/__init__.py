"""Files that a user brings or fetches because we may not ship them: weights, licensed models.

`assets.toml` beside this module lists them: what each is for, where it comes from, under which licence. A stage names
those that its options read (`Stage.assets`), so that their content is part of its key. Standard library only: the host
reads it too.
"""

import os
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from avatarmake import ROOT
from avatarmake.errors import Exit, StageError

MANIFEST = Path(__file__).with_name("assets.toml")
# What HEAD_MODEL=flame is made of: the first of the models that is there, and what public files say about it
FLAME = ("flame2020", "flame2023")
ABOUT_FLAME = {
    "landmarks": ("mediapipe_landmark_embedding",),
    "eyelids": ("flame_left_eyelid", "flame_right_eyelid"),
    "regions": ("flame_masks",),
    "uv": ("head_template",),
}
HEAD_MODEL = (*FLAME, *(name for names in ABOUT_FLAME.values() for name in names))


@dataclass(frozen=True)
class Asset:
    """One entry of the manifest."""

    name: str
    file: str  # its place below the assets folder
    purpose: str  # what it is for, one line
    stages: tuple[str, ...]  # which stages read it
    licence: str
    page: str  # where a person reads about it, registers, accepts the licence
    url: str = ""  # where the bytes are; empty: only by hand from `page`
    member: str = ""  # the file within the archive that `url` is; empty: `url` is the file itself
    size: int = 0  # bytes of `file`, 0: not known
    sha256: str = ""  # of `file`, empty: not known
    gated: str = ""  # the account that it asks for (`flame`), or empty
    accept: str = ""  # the licence that a person has to agree to before the download, by its short name, or empty
    terms: str = ""  # where that licence's text is


def folder() -> Path:
    """The assets folder: where a container or the local engine says, else ASSETS, else assets/ of the checkout."""
    return Path(os.environ.get("AVATARMAKE_ASSETS") or os.environ.get("ASSETS") or ROOT / "assets").absolute()


@cache
def manifest() -> dict[str, Asset]:
    """All entries by name, in the manifest's order."""
    return listed(MANIFEST)


def listed(path: Path) -> dict[str, Asset]:
    """The entries of a manifest. Raises StageError where it is not what it should be."""
    kinds = {f.name: f.type if f.type in (str, int) else tuple for f in fields(Asset)}
    try:
        found = tomllib.loads(path.read_text())
        entries = {name: {**entry, "stages": tuple(entry["stages"])} for name, entry in found.items()}
        made = {name: Asset(name, **entry) for name, entry in entries.items()}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, UnicodeDecodeError, RecursionError) as e:
        raise StageError(f"is damaged ({e!r})", path, "Restore it from git") from None
    for name, asset in made.items():
        for field, kind in kinds.items():
            if not isinstance(getattr(asset, field), kind):
                raise StageError(f"is damaged: {field} of {name} is no {kind.__name__}", path, "Restore it from git")
    return made


def find(name: str) -> Path | None:
    """The file of an asset, or None where the user has none."""
    path = folder() / manifest()[name].file
    return path if path.exists() else None


def need_one(names: tuple[str, ...]) -> Path:
    """The first of several that is there. Raises StageError about the first where none is."""
    return next((path for name in names if (path := find(name))), None) or need(names[0])


def need(name: str) -> Path:
    """The file of an asset. Raises StageError: what to fetch, from where, under which licence, where to put it."""
    if path := find(name):
        return path
    asset = manifest()[name]
    how = f"Type: make assets GET={name}. Or by hand, from" if asset.url else "Put it there, from"
    raise StageError(
        f"{asset.purpose}: is not there (licence: {asset.licence})",
        folder() / asset.file,
        f"{how} {asset.page}",
        Exit.MISSING_ASSET,
    )
