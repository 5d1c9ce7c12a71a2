"""FLAME's content in whatever it was saved: its own pickle, an .npz, or the zip that its page gives."""

import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from avatarmake.errors import StageError
from avatarmake.formats import npy, zips
from avatarmake.head_model.flame import pickles

LARGEST = pickles.LARGEST
OURS = ("generic_model.pkl", "flame2023.pkl", "FLAME_masks.pkl")  # of the pickles in FLAME's zips


def read(path: Path) -> dict[str, Any]:
    """What the file holds by name; use pickles.array and pickles.dense on its values. Raises StageError."""
    with path.open("rb") as f:
        if f.read(len(zips.ZIP)) != zips.ZIP:
            return pickles.read(path)
    try:
        with zips.opened(path) as archive:
            arrays = [name for name in archive.namelist() if name.endswith(".npy")]
            if not arrays:
                return pickles.loaded(zips.read(archive, _pickle(archive.namelist(), path), LARGEST), path)
            raw = {name: zips.read(archive, name, LARGEST) for name in arrays}
            return {name.removesuffix(".npy"): _value(content, name, path) for name, content in raw.items()}
    except zipfile.BadZipFile as e:
        what = f"is a zip (an .npz is one too) that cannot be read ({e})"
        raise StageError(what, path, pickles.AGAIN) from e


def _value(raw: bytes, name: str, path: Path) -> Any:
    """A member of an .npz: an array, or one object that numpy has pickled, a sparse matrix say."""
    try:
        _, _, dtype, start = npy.header(raw)
        if not dtype.hasobject:
            return npy.array(raw)
    except ValueError as e:
        raise StageError(f"its {name} is {e}", path, pickles.AGAIN) from e
    held = pickles.noted(raw[start:], path)
    state = held.state if isinstance(held, pickles.Note) else None
    alone = isinstance(state, tuple) and state and isinstance(state[-1], list) and len(state[-1]) == 1
    return state[-1][0] if alone else held


def _pickle(names: list[str], path: Path) -> str:
    """The model among the members of a zip."""
    found = [name for name in names if name.endswith(".pkl") and not name.startswith("__MACOSX")]
    wanted = [name for name in found if PurePosixPath(name).name in (path.name, *OURS)]
    for some in (wanted, found):
        if len(some) == 1:
            return some[0]
    held = f"{len(found)} pickles: {', '.join(found[:6])}" if found else f"no pickle, but {', '.join(names[:6])}"
    raise StageError(f"is a zip of {held}", path, "Unpack FLAME's generic model from it, and put that here")
