"""Arrays in few bytes, for page/evaluate.js to read: a description in JSON, then the numbers, as base64.

    uint32 length of the JSON | JSON {facts, arrays: name -> {kind, shape, at[, scale]}} | arrays

All little-endian, every part at a multiple of 4. `int16` are numbers in steps of a scale for each row. Nothing is
deflated: builds of zlib differ in what they write, and the same avatar gives the same page everywhere.
"""

import base64
import json
from typing import Any, NamedTuple

import numpy as np


class Packed(NamedTuple):
    """An array as it is stored. `scale` (rows,), where its numbers are steps of that size, else empty."""

    stored: np.ndarray
    scale: np.ndarray = np.zeros(0)


def exact(a: np.ndarray) -> Packed:
    """float32 or uint16, as they are."""
    return Packed(np.ascontiguousarray(a))


def halves(a: np.ndarray) -> Packed:
    """float16: within 0.05 % of each number."""
    return Packed(np.ascontiguousarray(a, np.float16))


def steps(a: np.ndarray) -> Packed:
    """(rows, ...) -> int16: within 1/65534 of the largest number of each row."""
    rows = a.reshape(len(a), -1).astype(np.float64)
    scale = np.abs(rows).max(1, initial=0) / 32767
    whole = np.rint(rows / np.where(scale, scale, 1)[:, None])
    return Packed(whole.astype(np.int16).reshape(a.shape), scale)


def pack(facts: dict[str, Any], arrays: dict[str, Packed]) -> str:
    """-> base64. The same values give the same text."""
    described, parts, at = {}, [], 0
    for name, (stored, scale) in arrays.items():
        data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        described[name] = {"kind": stored.dtype.name, "shape": list(stored.shape), "at": at}
        if len(scale):
            described[name]["scale"] = scale.tolist()
        parts.append(data + bytes(-len(data) % 4))
        at += len(parts[-1])
    text = json.dumps({"facts": facts, "arrays": described}).encode()
    text += b" " * (-len(text) % 4)
    content = len(text).to_bytes(4, "little") + text + b"".join(parts)
    return base64.b64encode(content).decode()
