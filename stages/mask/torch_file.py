"""Reads a PyTorch state dict, {name: array}, without PyTorch and without running anything that the file names.

Since 1.6 torch.save writes zips (stages/torch_archive.py); 79999_iter.pth, of 2019, is what it wrote before
(torch/serialization.py): pickles of a magic number, the protocol, the system, the dict and a list of keys; then for
each key its storage, the count of its numbers in eight bytes and the numbers.

In the dict's pickle a tensor is a call of _rebuild_tensor_v2(storage, offset, size, stride, ...), and a storage the
persistent id ("storage", type, key, device, count, None). A pickle is a program; here the few names that it may use
stand for plain dicts and tuples of ours, and every other is refused, and said.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avatarmake.errors import Exit, StageError
from avatarmake.formats import torch_archive

AGAIN = "Remove it, then type: make assets GET=bisenet_torch"
LARGEST = 1 << 28  # bytes: 79999_iter.pth has 53 million,
LARGEST_PICKLE = 1 << 20  # of which numbers are all but some ten thousand; each byte may make an object of a hundred
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # how a file before 1.6 begins
PROTOCOL = 1001  # and what comes next


class Storage(NamedTuple):
    """Where the numbers of tensors are: of which type, under which key, how many."""

    type: str
    key: str
    count: int


class Tensor(NamedTuple):
    """What _rebuild_tensor_v2 was called with; offset and stride count numbers."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    requires_grad: bool = False
    hooks: Any = None
    metadata: Any = None


NAMES = {
    "collections.OrderedDict": dict,
    "torch._utils._rebuild_tensor_v2": Tensor,
    "torch.BFloat16Storage": torch_archive.BFLOAT16,
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
}
TYPES = {kind for kind in NAMES.values() if isinstance(kind, str)}
ITEM = {kind: 2 if kind == torch_archive.BFLOAT16 else np.dtype(kind).itemsize for kind in TYPES}  # bytes of a number


class Refused(pickle.UnpicklingError):
    """The pickle names something that it has no business with."""


# Python's own reader, not the C one: that one lets a file of ten bytes ask for memory without end (LONG_BINPUT)
class Reader(pickle._Unpickler):
    # torch.save writes protocol 2; of the later codes, BYTEARRAY8 makes room for bytes that may not be there
    dispatch = {ord(o.code): pickle._Unpickler.dispatch[ord(o.code)] for o in pickletools.opcodes if o.proto <= 2}

    def __init__(self, content: bytes):
        self.file = io.BytesIO(content[:LARGEST_PICKLE])
        self.end = len(self.file.getbuffer())
        super().__init__(self.file, encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if self.file.tell() == self.end:  # half a name is nobody's fault
            raise EOFError("it ends within a name")
        if known := NAMES.get(f"{module}.{name}"):
            return known
        torch_archive.refuse_kind(module, name)
        raise Refused(f"{module}.{name}")

    def get_extension(self, code: int) -> None:
        raise Refused(f"extension {code}")

    def persistent_load(self, pid: Any) -> Storage:
        word, kind, key, _, count, *view = pid
        if word != "storage" or kind not in TYPES or not isinstance(key, str) or any(view):
            raise ValueError("it refers to something else than a storage")
        if not isinstance(count, int) or count < 0:
            raise ValueError("a storage has no count of numbers")
        storage = Storage(kind, key, count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key} is of two kinds")
        return storage

    def _without_state(self) -> None:
        """BUILD would set attributes. A state dict has `_metadata`, versions of layers, which nobody here looks at."""
        self.stack.pop()

    dispatch[pickle.BUILD[0]] = _without_state


def read(path: Path) -> dict[str, np.ndarray]:
    """The state dict at `path`, in its order. Raises StageError."""
    if path.stat().st_size > LARGEST:
        raise _wrong(f"has {path.stat().st_size} bytes, 79999_iter.pth has 53 million", path)
    content = path.read_bytes()
    zipped = content.startswith(b"PK")
    if not zipped and not content.startswith(MAGIC):
        raise _wrong(f"is not what torch.save writes: it begins with {content[:16]!r}", path)
    try:
        found = torch_archive.load(path) if zipped else _of_pickles(content)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
        for name, array in found.items():
            if not isinstance(name, str) or not isinstance(array, np.ndarray):
                raise ValueError(f"{name!r} is a {type(array).__name__}, expected names of tensors")
        return dict(found)
    except StageError as e:
        raise StageError(e.what, path, f"{e.next}. {AGAIN}".removeprefix(". "), Exit.MISSING_ASSET) from e
    except Refused as e:
        what = f"asks for {e}, which no weights have any use for; nothing of it was run"
        raise StageError(what, path, "Do not use this file elsewhere either. " + AGAIN, Exit.MISSING_ASSET) from e
    except (Exception, MemoryError) as e:  # a torn file fails in as many ways as there are bytes in it
        what = f"is no whole state dict of PyTorch ({type(e).__name__}: {str(e)[:200]})"
        raise _wrong(what, path) from e


def _wrong(what: str, path: Path) -> StageError:
    return StageError(what, path, AGAIN, Exit.MISSING_ASSET)


def _of_pickles(content: bytes) -> Any:
    reader = Reader(content)
    _, protocol, system, found, keys = (reader.load() for _ in range(5))
    if protocol != PROTOCOL or not system["little_endian"]:
        raise ValueError("its protocol or its order of bytes is another")
    at, storages = reader.file.tell(), {}
    for key in keys:
        storage = reader.storages[key]
        if int.from_bytes(content[at : at + 8], "little") != storage.count:
            raise ValueError(f"storage {key} has not the {storage.count} numbers that its tensors count on")
        size = storage.count * ITEM[storage.type]
        raw = memoryview(content)[at + 8 : at + 8 + size]
        if len(raw) < size:
            raise ValueError(f"storage {key} breaks off")
        storages[storage] = torch_archive.numbers(raw, storage.type)
        at += 8 + size
    if not isinstance(found, dict):
        return found
    return {name: _array(name, tensor, storages) for name, tensor in found.items()}


def _array(name: str, tensor: Any, storages: dict[Storage, np.ndarray]) -> np.ndarray:
    """A tensor as a view of its storage; it may not have more numbers than that, nor reach beyond."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} is a {type(tensor).__name__}, and not a tensor")
    numbers = storages[tensor.storage]
    offset, size, stride = tensor[1:4]
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    outside = min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(numbers))
    if outside or math.prod(size) > len(numbers):
        raise ValueError(f"{name} reaches beyond its storage")
    steps = [s * numbers.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)
