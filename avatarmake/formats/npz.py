"""numpy's .npz, written so that the same arrays give the same bytes.

np.savez leaves a zip's headers to the Python that runs it: 3.11.7 writes others than 3.11.2.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


def write_npz(path: Path, arrays: dict[str, Any]) -> None:
    """What np.savez(path, **arrays) means: no compression, no time. Raises ValueError for Python objects."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, value in arrays.items():
            record = io.BytesIO()
            np.lib.format.write_array(record, np.asanyarray(value), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), record.getvalue())
