"""What an image and a .frame say of themselves, with the standard library: the host has neither Pillow nor numpy."""

import pickle
import struct
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from avatarmake.errors import StageError
from avatarmake.formats import zips
from avatarmake.formats.memo import bounded

LARGEST = 1 << 24  # bytes of a frame's pickle, which has three thousand
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type -> channels; 3 is a palette, whose values are no levels
JPEG_SIZES = {*range(0xFFC0, 0xFFD0)} - {0xFFC4, 0xFFC8, 0xFFCC}  # the markers SOF0 to SOF15


def image_format(path: Path) -> tuple[int, int, int]:
    """-> width, height, channels of 8 bits (0: it has others), from the header alone. Raises StageError."""
    try:
        with path.open("rb") as f:
            start = f.read(26)
            if start.startswith(b"\x89PNG\r\n\x1a\n"):
                width, height, depth, colour = struct.unpack(">IIBB", start[16:])
                return width, height, PNG_CHANNELS.get(colour, 0) if depth == 8 else 0
            if start.startswith(b"\xff\xd8"):
                return _jpeg_format(f)
    except (struct.error, OSError) as e:
        raise StageError(f"is truncated or cannot be read ({e})", path) from e
    raise StageError("is neither JPEG nor PNG", path)


def _jpeg_format(f: BinaryIO) -> tuple[int, int, int]:
    """Segment by segment to the one that gives the size (ITU-T T.81, B.1.1.4 and B.2.2)."""
    f.seek(2)
    while True:
        marker, length = struct.unpack(">HH", f.read(4))
        if marker in JPEG_SIZES:
            depth, height, width, channels = struct.unpack(">BHHB", f.read(6))
            return width, height, channels if depth == 8 else 0
        f.seek(length - 2, 1)


def frame_values(path: Path) -> dict[str, Any]:
    """A .frame that convert wrote: nested dicts, arrays as flat tuples of numbers. Runs nothing. Raises StageError."""
    try:
        with zips.opened(path) as archive:
            return _plain(_Reader(BytesIO(bounded(zips.read(archive, "archive/data.pkl", LARGEST)))).load())
    except Exception as e:  # a torn pickle fails in as many ways as there are bytes in it
        raise StageError(f"cannot be read: {e}", path, f"Run: make convert ID={path.parents[2].name}") from e


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else getattr(value, "numbers", value)


class _Array:
    """Stands for numpy's array: its state is all that is wanted."""

    numbers: tuple = ()

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: tuple) -> None:
        _, _, code, _, raw = state
        self.numbers = struct.unpack(f"<{len(raw) // struct.calcsize(code.letter)}{code.letter}", raw)


class _Dtype:
    """Stands for numpy's dtype."""

    def __init__(self, code: str, *_: Any):
        self.letter = {"f4": "f", "i8": "q"}[code]

    def __setstate__(self, state: tuple) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError("its numbers are not little-endian")


class _Reader(pickle.Unpickler):
    """Knows what torch_archive.dump writes of arrays, and nothing else."""

    known = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): lambda text, codec: text.encode("latin1"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which convert never writes")
        return self.known[module, name]
