"""Arrays of other tools' .npz files, nothing of which is believed or run."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats import npy, zips

LARGEST = 1 << 26  # bytes of an array


def names(path: Path) -> set[str]:
    """Raises StageError for what is no .npz."""
    try:
        with zips.opened(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except zipfile.BadZipFile as e:
        raise StageError(f"is no readable .npz: {e}", path) from e


def arrays(path: Path, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Those of the wanted arrays that are there. Raises StageError for what is no .npz of numbers."""
    try:
        with zips.opened(path) as archive:
            there = set(archive.namelist())
            return {
                name: npy.array(zips.read(archive, f"{name}.npy", LARGEST)) for name in wanted if f"{name}.npy" in there
            }
    except (zipfile.BadZipFile, ValueError) as e:
        raise StageError(f"is no readable .npz: {e}", path) from e
