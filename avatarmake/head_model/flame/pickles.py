"""Reads FLAME's pickles without running anything that they name.

FLAME's files are Python 2 pickles that hold numpy arrays, a scipy sparse matrix and chumpy objects. A pickle is a
program; here it can only take notes: each name it may use stands for a `Note`, which keeps what it was called with and
what state it was given, and does nothing. The arrays are read from the notes afterwards, by code of ours that knows the
layout of numpy's, scipy's and chumpy's state and checks sizes before it believes them. Every other name is refused, and
said.
"""

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from avatarmake.errors import StageError

LARGEST = 1 << 30  # bytes: FLAME 2020 has 53 million
NAMES = re.compile(
    r"numpy(\._?core)?\.(multiarray|numeric) (_reconstruct|scalar|_frombuffer)|numpy (ndarray|dtype)|_codecs encode"
    r"|(copy_reg|copyreg) _reconstructor|(__builtin__|builtins) (object|set|bytes)"
    r"|scipy\.sparse(\._?[a-z]+)? [a-z]{3}_(matrix|array)|chumpy(\.[a-z_]+)* [A-Za-z_]+"
)
NUMBERS = re.compile(r"[<>|=]?(b1|i[1248]|u[1248]|f[248])")  # the element types that an array may have


class Note:
    """What a pickle said about one object."""

    name = ""  # "module attribute"

    def __new__(cls, *args):
        note = super().__new__(cls)
        note.args, note.state = args, None
        return note

    def __setstate__(self, state):
        self.state = state


class Refused(pickle.UnpicklingError):
    """The pickle names something that it has no business with."""


# Python's own reader, not the C one: that one lets a file of ten bytes ask for memory without end (LONG_BINPUT)
class Reader(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> type[Note]:
        called = f"{module} {name}"
        if called == "collections OrderedDict":
            return dict
        if not NAMES.fullmatch(called):
            raise Refused(f"{module}.{name}")
        return type("Note", (Note,), {"name": called})

    def persistent_load(self, pid):
        raise Refused("an object outside of the file")

    def get_extension(self, code):
        raise Refused(f"extension {code}")


def read(path: Path) -> dict[str, Any]:
    """The dict that the pickle at `path` holds; use `array`, `dense` on its values. Raises StageError."""
    if path.stat().st_size > LARGEST:
        raise StageError(f"has {path.stat().st_size} bytes, which no file of FLAME has", path, AGAIN)
    return loaded(path.read_bytes(), path)


def loaded(content: bytes, path: Path) -> dict[str, Any]:
    """The same of a pickle's bytes; `path` is where they come from, for messages."""
    found = noted(content, path)
    if not isinstance(found, dict):
        raise StageError(f"holds a {type(found).__name__}, expected FLAME's dict", path, AGAIN)
    return found


def noted(content: bytes, path: Path) -> Any:
    """What a pickle holds, whatever it is, its objects as notes. Raises StageError."""
    try:
        return Reader(io.BytesIO(content), encoding="latin1").load()
    except Refused as e:
        what = f"asks for {e}, which no file of FLAME has any use for; nothing of it was run"
        raise StageError(what, path, "Do not use this file. " + AGAIN) from e
    except (Exception, MemoryError) as e:  # a torn pickle fails in as many ways as there are bytes in it
        what = f"cannot be read as a pickle, it ends or breaks off within ({type(e).__name__})"
        if 0 < content.count(b"\n") == content.count(b"\r\n"):
            what = "was copied as a text: each of its line ends is Windows's, which no pickle has"
        raise StageError(what, path, AGAIN) from e


AGAIN = "Download it again from https://flame.is.tue.mpg.de"


def array(value: Any) -> np.ndarray:
    """The array that a value of the dict stands for. Raises ValueError: what it is instead."""
    if isinstance(value, np.ndarray):  # of an .npz
        return value
    if isinstance(value, Note):
        for kinds, make in KINDS:
            if re.fullmatch(kinds, value.name):
                return make(value)
        if value.args and isinstance(value.args[0], type) and value.name.endswith("_reconstructor"):
            return array(_rebuilt(value))
        raise ValueError(f"is a {value.name.replace(' ', '.')}, and not an array")
    if isinstance(value, int | float | list | tuple):
        return _plain(value)
    raise ValueError(f"is a {type(value).__name__}, and not an array")


def dense(value: Any) -> np.ndarray:
    """(rows, columns) of an array or of a scipy sparse matrix (csc, csr)."""
    if isinstance(value, Note) and value.name.endswith("_reconstructor"):
        value = _rebuilt(value)
    if not (isinstance(value, Note) and value.name.startswith("scipy")):
        return array(value)
    state = value.state if isinstance(value.state, dict) else {}
    shape = state.get("_shape", state.get("shape"))
    shape = tuple(int(array(n)) for n in shape) if isinstance(shape, tuple) else ()  # a number may be one of numpy's
    if len(shape) != 2:
        raise ValueError("is a sparse matrix without a shape")
    if not re.search(" cs[cr]_", value.name):
        raise ValueError(f"is a {value.name.replace(' ', '.')}; of sparse matrices, csc and csr are read")
    if not 0 < shape[0] * shape[1] < LARGEST // 8:
        raise ValueError(f"is a sparse matrix of {shape[0]} x {shape[1]}")
    data, indices, starts = (array(state.get(k)).ravel() for k in ("data", "indices", "indptr"))
    by_column = " csc" in value.name
    lines, across = (shape[1], shape[0]) if by_column else shape
    counts = np.diff(starts)
    sound = len(starts) == lines + 1 and starts[0] == 0 and (counts >= 0).all() and starts[-1] == len(data)
    if not (sound and len(indices) == len(data) and ((indices >= 0) & (indices < across)).all()):
        raise ValueError("is a sparse matrix whose parts do not fit each other")
    out = np.zeros((lines, across))
    np.add.at(out, (np.repeat(np.arange(lines), counts), indices), data)
    return out.T if by_column else out


# --- what the notes say --------------------------------------------------------------------------------------------


def _rebuilt(note: Note) -> Note:
    """copy_reg._reconstructor(class, ...): an object of that class, in older protocols."""
    made = note.args[0]()
    made.state = note.state
    return made


def _array(note: Note) -> np.ndarray:
    """numpy's _reconstruct, then its state: version, shape, dtype, whether columns come first, bytes."""
    state = note.state if isinstance(note.state, tuple) else ()
    if len(state) not in (4, 5):
        raise ValueError("is an array without content")
    shape, kind, by_column, data = state[-4:]
    return _shaped(_bytes(data), _dtype(kind), shape, by_column)


def _from_buffer(note: Note) -> np.ndarray:
    """numpy's _frombuffer(bytes, dtype, shape, order): how protocol 5 writes arrays."""
    data, kind, shape, order = note.args
    return _shaped(_bytes(data), _dtype(kind), shape, order == "F")


def _scalar(note: Note) -> np.ndarray:
    kind, data = note.args
    return _shaped(_bytes(data), _dtype(kind), (), False)


def _shaped(data: bytes, kind: np.dtype, shape: Any, by_column: Any) -> np.ndarray:
    if not (isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape) and len(shape) < 5):
        raise ValueError("is an array without a shape")
    if math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"should have {' x '.join(map(str, shape))} numbers and has {len(data)} bytes")
    return np.frombuffer(data, kind).reshape(shape, order="F" if by_column else "C")


def _dtype(note: Any) -> np.dtype:
    """numpy's dtype("f8", align, copy), then its state: version, byte order, ..."""
    kind = note.args[0] if isinstance(note, Note) and note.name == "numpy dtype" and note.args else None
    order = note.state[1] if kind and isinstance(note.state, tuple) and len(note.state) > 1 else "|"
    word = f"{order}{kind}" if isinstance(kind, str) and kind[:1] not in "<>|=" else kind
    if not (isinstance(word, str) and NUMBERS.fullmatch(word)):
        raise ValueError("is an array of something else than numbers")
    return np.dtype(word)


def _bytes(data: Any) -> bytes:
    """Python 2 wrote str, Python 3 writes bytes; below protocol 3 `_codecs.encode(str, "latin1")`, or `bytes()`."""
    if isinstance(data, Note) and data.name == "_codecs encode":
        data = data.args[0] if data.args else None
    if isinstance(data, Note) and data.name.endswith(" bytes") and not data.args:
        data = b""
    if isinstance(data, str):
        return data.encode("latin1")
    if isinstance(data, bytes | bytearray):
        return bytes(data)
    raise ValueError("is an array of something else than numbers")


def _chumpy(note: Note) -> np.ndarray:
    """chumpy's Ch keeps its numbers in x."""
    return array(_part(note, "x"))


def _select(note: Note) -> np.ndarray:
    """chumpy's Select: a.ravel()[idxs], in the shape preferred_shape."""
    source, ids, shape = array(_part(note, "a")).ravel(), array(_part(note, "idxs")), _part(note, "preferred_shape")
    shape = tuple(array(shape).tolist()) if isinstance(shape, Note) else tuple(shape)
    if ids.dtype.kind not in "iu" or (ids < 0).any() or (ids >= len(source)).any() or math.prod(shape) != ids.size:
        raise ValueError("is a selection whose parts do not fit each other")
    return source[ids].reshape(shape)


def _transposed(note: Note) -> np.ndarray:
    """chumpy's transpose: a with its axes in the order `axes`, or reversed."""
    axes = note.state.get("axes") if isinstance(note.state, dict) else None
    return array(_part(note, "a")).transpose(axes)


def _reshaped(note: Note) -> np.ndarray:
    return array(_part(note, "a")).reshape(tuple(_part(note, "newshape")))


def _part(note: Note, name: str) -> Any:
    if not (isinstance(note.state, dict) and name in note.state):
        raise ValueError(f"is a {note.name.replace(' ', '.')} without its part {name}")
    return note.state[name]


def _plain(value: Any) -> np.ndarray:
    out = np.array(value)
    if out.dtype.kind not in "biuf":
        raise ValueError("is a list of something else than numbers")
    return out


KINDS = (
    (r"numpy\S* _reconstruct", _array),
    (r"numpy\S* _frombuffer", _from_buffer),
    (r"numpy\S* scalar", _scalar),
    (r"chumpy(\.ch)? Ch", _chumpy),
    (r"chumpy\.reordering Select", _select),
    (r"chumpy\.reordering transpose", _transposed),
    (r"chumpy\.reordering Reshape", _reshaped),
)
