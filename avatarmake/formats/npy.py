"""The .npy format, from bytes: what np.load(allow_pickle=False) does, in half the time, and without believing sizes.

Source of the format: numpy.lib.format. Headers are parsed once, because they repeat from file to file.
"""

import io
import math
from functools import lru_cache

import numpy as np

MAGIC = b"\x93NUMPY"


def array(raw: bytes) -> np.ndarray:
    """The array, a copy; bytes behind it are of no matter. Raises ValueError for what is no array of plain numbers."""
    shape, fortran_order, dtype, start = header(raw)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which could run code")
    count = math.prod(shape)
    there = (len(raw) - start) // max(dtype.itemsize, 1)
    if count > there:
        raise ValueError(f"an array of {count} numbers, of which {there} are there")
    return np.frombuffer(raw, dtype, count, start).reshape(shape, order="F" if fortran_order else "C").copy()


def header(raw: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, type, and where the content begins. Raises ValueError."""
    if raw[:6] != MAGIC or len(raw) < 12:
        raise ValueError("no .npy array")
    version = raw[6]
    size = 2 if version == 1 else 4
    end = 8 + size + int.from_bytes(raw[8 : 8 + size], "little")
    return *_parsed(version, raw[8:end]), end


@lru_cache(256)
def _parsed(version: int, text: bytes) -> tuple[tuple, bool, np.dtype]:
    """numpy evaluates the header as a Python literal, which takes longer than reading an array."""
    readers = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of .npy")
    try:
        shape, fortran_order, dtype = readers[version](io.BytesIO(text))
    except Exception as e:  # of the literal, in as many ways as it can be wrong
        raise ValueError(f"a header that cannot be read: {e}") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"a shape of {shape}")
    return shape, fortran_order, dtype
