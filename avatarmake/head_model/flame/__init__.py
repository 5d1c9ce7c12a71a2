"""HEAD_MODEL=flame: the user's licensed FLAME (2020 or 2023), as a HeadModel.

Its pickle is read once (pickles.py, nothing of it is run) and kept as an .npz in the cache, together with what FLAME
itself does not have: eyelids, MediaPipe's landmarks, texture coordinates and regions. Each of these comes from the
public file where the user has it, else it is computed from the geometry; `HeadModel.sources` says which.
"""

import contextlib
import hashlib
import os
import zipfile
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from avatarmake import assets
from avatarmake.files.digests import digest_files, digest_path
from avatarmake.files.whole import whole
from avatarmake.head_model.flame.assembly import assembled
from avatarmake.head_model.flame.model import read_model
from avatarmake.head_model.model import HeadModel


def load() -> HeadModel:
    """The model of the assets folder. Raises StageError: missing asset, or bad input naming file and array."""
    model = assets.need_one(assets.FLAME)
    files = {what: [assets.find(name) for name in names] for what, names in assets.ABOUT_FLAME.items()}
    complete = {what: tuple(paths) for what, paths in files.items() if all(paths)}
    stamps = tuple((p, p.stat().st_mtime_ns, p.stat().st_size) for p in (model, *sum(complete.values(), ())))
    return _load(stamps, model, tuple(complete.items()))


@lru_cache(maxsize=1)
def _load(stamps: tuple, model: Path, public: tuple) -> HeadModel:
    public = dict(public)
    kept = _kept(
        model.name, digest_path(model), {what: [digest_path(p) for p in paths] for what, paths in public.items()}
    )
    if kept and (found := _read(kept)):
        return found
    head = assembled(read_model(model), public, model.name)
    if kept:
        _write(kept, head)
    return head


def _kept(name: str, model: str, public: dict) -> Path | None:
    """Where the result is kept: named after all that it depends on, these sources included."""
    cache = os.environ.get("AVATARMAKE_CACHE")
    if not cache:
        return None
    here = Path(__file__).parent.parent
    code = digest_files(sorted(p for p in here.rglob("*") if p.suffix in (".py", ".csv")), here)
    key = hashlib.sha256(repr((name, model, sorted(public.items()), code)).encode()).hexdigest()
    return Path(cache) / f"flame-{key[:20]}.npz"


def _read(path: Path) -> HeadModel | None:
    """None where there is none, or where it is torn."""
    try:
        with path.open("rb") as file, np.load(file) as npz:  # by itself it leaves a torn file open
            held = {name: npz[name] for name in npz.files}
        parts: dict = {"regions": {}, "sources": {}}
        for name, array in held.items():
            group, _, item = name.partition("/")
            if item:
                parts[group][item] = array if group == "regions" else str(array)
            else:
                parts[name] = str(array) if name == "name" else array
        return HeadModel(**parts)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, head: HeadModel) -> None:
    """Whole or not at all, and by several processes at once. A cache that cannot be written is no error."""
    flat = {}
    for f in fields(head):
        value = getattr(head, f.name)
        flat |= {f"{f.name}/{k}": v for k, v in value.items()} if isinstance(value, dict) else {f.name: value}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            np.savez(temporary, **flat)
