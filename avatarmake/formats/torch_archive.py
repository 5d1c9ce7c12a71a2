"""torch.save's zip archives without torch: written so that torch 1.6 to 2.x read them, read without running code.

The format: a zip of stored (uncompressed) records below one folder, `data.pkl` (pickle protocol 2), `version`,
`byteorder`, and `data/<key>` for the storage of each tensor. A pickle is a program; the reader here knows the handful
of names that plain arrays and tensors need, and refuses every other by name before it is looked up.
"""

import io
import math
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.core.multiarray import _reconstruct

from avatarmake.errors import StageError
from avatarmake.formats import zips
from avatarmake.formats.memo import bounded

LARGEST_RECORD = 1 << 30  # bytes
LARGEST = 1 << 26  # bytes of a pickle, and numbers in a tensor, which may be more than in its storage
FOLDER = "archive"  # torch's own name when it saves to a stream
BFLOAT16 = "bfloat16"  # the upper half of a float32, which numpy has no name for
STORAGES = {
    "BFloat16Storage": BFLOAT16,
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


KINDS = re.compile(
    r"torch(\.storage)? (\w+Storage|q?u?int\d+\w*|b?float\d+\w*|complex\d+)"
    r"|torch\._utils _rebuild_(\w*tensor\w*|device_tensor_from_numpy)"
)


def dump(value: Any, path: Path) -> None:
    """Write plain containers and numpy arrays. The same value gives the same bytes: no time, no compression."""
    text = io.BytesIO()
    pickle.Pickler(text, protocol=2).dump(value)  # 2: what torch's weights_only reader expects
    # numpy 2 moved the module and still answers to the old name; numpy 1 knows the old one only
    data = text.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, record in (("data.pkl", data), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(zipfile.ZipInfo(f"{FOLDER}/{name}"), record)


def load(path: Path) -> Any:
    """Read containers, numbers, numpy arrays, and tensors (as numpy arrays). Never runs what a file names.

    Raises StageError for a file that is no such archive, and for a pickle that names anything else.
    """
    try:
        with zips.opened(path) as archive:
            return _Reader(archive).load()
    except zipfile.BadZipFile as e:
        with path.open("rb") as f:
            old = f.read(2) in (b"\x80\x02", b"\x80\x03")
        what = "is in torch's format from before 1.6" if old else "is no torch archive, or is truncated"
        raise StageError(what, path, "Save it again with torch.save of torch 1.6 or later" if old else "") from e
    except StageError as e:
        raise StageError(e.what, path, e.next) from e
    except FileNotFoundError:
        raise
    except Exception as e:  # whatever a broken pickle makes the unpickler raise
        raise StageError(f"cannot be unpickled ({type(e).__name__}: {e})", path) from e


class _Reader(pickle.Unpickler):
    """An unpickler that knows arrays and tensors, and nothing else."""

    def __init__(self, archive: zipfile.ZipFile):
        names = archive.namelist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise StageError("has compressed records, and torch.save compresses none: they may be without end")
        pickles = [n for n in names if n.count("/") == 1 and n.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise StageError("holds no data.pkl: not written by torch.save")
        self._archive, self._folder = archive, pickles[0].rsplit("/", 1)[0]
        order = f"{self._folder}/byteorder"
        if order in names and zips.read(archive, order, LARGEST) != b"little":
            raise StageError("was written on a big-endian machine")
        super().__init__(io.BytesIO(bounded(zips.read(archive, pickles[0], LARGEST))), encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module, name))
        if known is None and module in ("torch", "torch.storage") and name in STORAGES:
            known = STORAGES[name]
        if known is None:
            refuse_kind(module, name)
            raise StageError(
                f"its pickle asks for {module}.{name}, which numbers have no use for; nothing of it was run",
                next="Do not load it elsewhere either; get the file again from where it was made",
            )
        return known

    def persistent_load(self, pid: Any) -> np.ndarray:
        """('storage', type, key, location, number of elements) -> the flat array."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or dtype not in STORAGES.values():
            raise StageError(f"refers to an unknown kind of record, {kind}")
        return numbers(zips.read(self._archive, f"{self._folder}/data/{key}", LARGEST_RECORD), dtype)[:count]


def numbers(raw: bytes, dtype: str) -> np.ndarray:
    """A storage's bytes as a flat array; bfloat16 comes as the float32 that it is the upper half of."""
    if dtype == BFLOAT16:
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, dtype)


def refuse_kind(module: str, name: str) -> None:
    """Raises StageError for a name of PyTorch's own for numbers that are not read here: float8, complex, quantised."""
    if KINDS.fullmatch(f"{module} {name}"):
        what = f"holds a kind of numbers that is not read here: {module}.{name}"
        raise StageError(what, next="Save it again as float32: torch.save({k: v.float() for k, v in weights.items()})")


def _array(subtype: Any, shape: tuple, code: Any) -> np.ndarray:
    return _reconstruct(np.ndarray, shape, code)


def _dtype(code: Any, *flags: Any) -> np.dtype:
    """Numbers only: an object array could hold anything."""
    dtype = np.dtype(code, *flags)
    if dtype.kind not in "biuf":
        raise StageError(f"holds an array of {dtype}, expected numbers")
    return dtype


def _scalar(dtype: np.dtype, raw: bytes) -> Any:
    return np.frombuffer(raw, dtype)[0]


def _encode(text: str, codec: str) -> bytes:
    """How protocol 2 writes bytes. Any other codec (zlib, say) is refused."""
    if codec != "latin1":
        raise StageError(f"its pickle asks for the codec {codec}")
    return text.encode("latin1")


def _tensor(storage: np.ndarray, offset: int, size: tuple, stride: tuple, *_: Any) -> np.ndarray:
    """A view of a storage, as a copy. Raises ValueError where it would reach outside."""
    if math.prod(size) > LARGEST:
        raise ValueError(f"a tensor of {math.prod(size)} numbers")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage)):
        raise ValueError("a tensor reaches outside its storage")
    steps = [s * storage.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


def _parameter(data: np.ndarray, *_: Any) -> np.ndarray:
    return data


_KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
