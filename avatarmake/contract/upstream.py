"""The patched copy of an upstream project that a stage runs: made on the host, read-only to the stage."""

import os
from pathlib import Path

from avatarmake.errors import Exit, StageError

STAMP = "patched.json"  # in the copy: what it was made of; its content is part of the stage's key


def folder(name: str) -> Path:
    """Where the patched copy is. Raises StageError where the engine has made none."""
    place = os.environ.get("AVATARMAKE_UPSTREAM", "")
    if not place or not (Path(place) / STAMP).exists():
        what = f"the patched copy of {name} is not there"
        raise StageError(what, place, "Type: make patches", Exit.MISSING_ASSET)
    return Path(place)
