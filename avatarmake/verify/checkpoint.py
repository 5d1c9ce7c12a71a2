"""How large a checkpoint's arrays are, as JSON: `python -m avatarmake.verify.checkpoint FILE`, where numpy is."""

import json
import sys
from pathlib import Path

import numpy as np

from avatarmake.formats import torch_archive


def sizes(value: object, name: str = "") -> dict[str, float]:
    """Root mean square of every array of floating-point numbers in nested dictionaries and lists, by its path."""
    if isinstance(value, np.ndarray):
        fits = np.issubdtype(value.dtype, np.floating) and value.size
        return {name: float(np.sqrt(np.mean(np.square(value, dtype=np.float64))))} if fits else {}
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found: dict[str, float] = {}
    for key, part in inner:
        found |= sizes(part, f"{name}.{key}" if name else str(key))
    return found


if __name__ == "__main__":
    print(json.dumps(sizes(torch_archive.load(Path(sys.argv[1])))))
