"""Masks as PNG files: two for every image, so the time that they take counts.

Pillow tries five filters on every row, and zlib looks for more than runs of one value, which is all that a mask is.
"""

import struct
from pathlib import Path

import numpy as np
from isal import isal_zlib

from avatarmake.files.whole import whole


def write_mask(path: Path, mask: np.ndarray) -> None:
    """(H,W) uint8 -> a grey PNG of 8 bits."""
    assert mask.dtype == np.uint8 and mask.ndim == 2, (mask.dtype, mask.shape)
    height, width = mask.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey
    rows = np.zeros((height, 1 + width), np.uint8)  # each row begins with its filter's number: none
    rows[:, 1:] = mask
    content = _chunk(b"IHDR", header) + _chunk(b"IDAT", isal_zlib.compress(rows, 1)) + _chunk(b"IEND", b"")
    with whole(path) as temporary:
        temporary.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", isal_zlib.crc32(kind + content))
