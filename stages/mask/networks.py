"""Networks that a user brings: BiSeNet names the parts of a face, RobustVideoMatting cuts out a person.

ONNX Runtime runs them, on a GPU where the installed build knows one. On the CPU with one thread: the worker processes
share the cores, and the bits do not depend on how many there are.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import Exit, StageError
from avatarmake.formats.images import LABELS

# Images that go to the parser together. On a CPU a batch saves nothing and costs 100 MB an image, so there they go one
# by one; on a GPU at once, where the file has an axis for that.
BATCH = 4
# colours as ImageNet's networks want them: (x / 255 - mean) / deviation
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
SCALE = 1 / (255 * DEVIATION)
OFFSET = -np.array([0.485, 0.456, 0.406], np.float32) / DEVIATION

SEGMENT = 64  # images whose alpha is computed in one go
WARM_UP = 8  # images before them that the recurrent network looks at first
STATES = ("r1", "r2", "r3", "r4")


class FaceParser:
    """BiSeNet: (N,3,512,512) normalised RGB in, logits of 19 classes (N,19,512,512) out, whatever follows them.

    An ONNX file (the export of yakhyo/face-parsing is so), or the weights of zllrunning/face-parsing.PyTorch, a .pth.
    """

    def __init__(self, path: Path, at_once: int = 0):
        """`at_once` images in a batch, if the file leaves that open; 0 = as suits the device."""
        self._path = path
        self._session = _open(path, "bisenet")
        images, logits = self._session.get_inputs(), self._session.get_outputs()
        size = (IMAGE_SIZE, IMAGE_SIZE)
        if len(images) != 1 or not (_fits(images[0], 3, *size) and _fits(logits[0], len(LABELS), *size)):
            raise self._wrong(", ".join(f"{x.name} {x.shape}" for x in [*images, *logits]))
        self._input, self._output = images[0], logits[0].name
        self._fixed = isinstance(images[0].shape[0], int)
        suits = BATCH if "CUDAExecutionProvider" in self._session.get_providers() else 1
        self._batch = images[0].shape[0] if self._fixed else at_once or suits

    def labels(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """Images (512,512,3) RGB -> as many maps (512,512) of the classes in images.LABELS, uint8."""
        maps = []
        for first in range(0, len(images), self._batch):
            some = np.stack(images[first : first + self._batch])
            blob = (some * SCALE + OFFSET).transpose(0, 3, 1, 2)
            if self._fixed:  # the last image is repeated until there are enough
                blob = blob[np.arange(self._batch).clip(max=len(blob) - 1)]
            blob = np.ascontiguousarray(blob, _dtype(self._input))
            logits = self._session.run([self._output], {self._input.name: blob})[0][: len(some)]
            if logits.shape != (len(some), len(LABELS), IMAGE_SIZE, IMAGE_SIZE):
                raise self._wrong(f"it gives {logits.shape} for {blob.shape}")
            maps += [one.argmax(0).astype(np.uint8) for one in logits]
        return maps

    def _wrong(self, what: str) -> StageError:
        expected = f"expected images (N,3,{IMAGE_SIZE},{IMAGE_SIZE}) in and logits of {len(LABELS)} classes out"
        return StageError(f"is no BiSeNet: {what}; {expected}", self._path, _again("bisenet"), Exit.MISSING_ASSET)


class VideoMatting:
    """RobustVideoMatting: an image and four states in, alpha and the states for the next image out.

    Inputs src (1,3,512,512) RGB in 0..1, r1i to r4i, downsample_ratio; outputs pha (1,1,512,512), r1o to r4o (and fgr).
    Its authors' advice for up to 512 pixels is to work at full size: ratio 1.
    """

    def __init__(self, path: Path):
        self._path = path
        self._session = _open(path, "robust_video_matting")
        inputs = {x.name: x for x in self._session.get_inputs()}
        outputs = {x.name for x in self._session.get_outputs()}
        if inputs.keys() != {"src", "downsample_ratio", *(f"{r}i" for r in STATES)} or not outputs >= set(self._wanted):
            raise self._wrong(f"inputs {', '.join(inputs)}, outputs {', '.join(sorted(outputs))}")
        self._dtype = _dtype(inputs["src"])
        self.restart()

    _wanted = ("pha", *(f"{r}o" for r in STATES))

    def restart(self) -> None:
        """Forget the images seen."""
        self._states = [np.zeros((1, 1, 1, 1), self._dtype)] * len(STATES)

    def alpha(self, image: np.ndarray) -> np.ndarray:
        """The next image (512,512,3) RGB -> (512,512) uint8."""
        feed = {f"{r}i": state for r, state in zip(STATES, self._states, strict=True)}
        feed["src"] = (image.transpose(2, 0, 1)[None] * np.float32(1 / 255)).astype(self._dtype)
        feed["downsample_ratio"] = np.ones(1, np.float32)
        alpha, *self._states = self._session.run(self._wanted, feed)
        if alpha.shape != (1, 1, IMAGE_SIZE, IMAGE_SIZE):
            raise self._wrong(f"pha is {alpha.shape}")
        return np.rint(alpha[0, 0].astype(np.float32).clip(0, 1) * 255).astype(np.uint8)

    def _wrong(self, what: str) -> StageError:
        what = f"is no RobustVideoMatting: {what}"
        return StageError(what, self._path, _again("robust_video_matting"), Exit.MISSING_ASSET)


class InOrder:
    """Alpha of any image of a video by a network that must see them in order.

    Each segment of 64 images is looked at from its beginning, after the last 8 before it (the first: after its own,
    backwards). So alpha depends on the video alone: neither on which process makes it, nor on a kill on the way.
    """

    def __init__(self, matting: VideoMatting, read: Callable[[int], np.ndarray], count: int):
        """`read` gives image 1 .. count."""
        self._matting, self._read, self._count = matting, read, count
        self._last, self._alpha = 0, None

    def alpha(self, number: int) -> np.ndarray:
        """-> (512,512) uint8. Cheapest when asked in ascending order."""
        first = (number - 1) // SEGMENT * SEGMENT + 1
        if not first <= self._last <= number:
            self._matting.restart()
            lead = range(first - WARM_UP, first) if first > 1 else range(min(1 + WARM_UP, self._count), 1, -1)
            for n in lead:
                self._matting.alpha(self._read(n))
            self._last = first - 1
        for n in range(self._last + 1, number + 1):
            self._alpha = self._matting.alpha(self._read(n))
        self._last = number
        return self._alpha


def _open(path: Path, asset: str):
    """-> onnxruntime.InferenceSession. Raises StageError when the file is no model."""
    import onnxruntime as ort

    model = str(path)
    if path.suffix == ".pth":
        from stages.mask import bisenet

        model = bisenet.model(path)
    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    known = ort.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in known]
    try:
        return ort.InferenceSession(model, options, providers)
    except Exception as e:  # its exceptions have no class in common but this
        what = f"cannot be loaded as an ONNX model: {str(e).splitlines()[0]}"
        raise StageError(what, path, _again(asset), Exit.MISSING_ASSET) from e


def _again(asset: str) -> str:
    return f"Type: make assets GET={asset}"


def _dtype(value) -> type:
    return np.float16 if value.type == "tensor(float16)" else np.float32


def _fits(value, *shape: int) -> bool:
    """Whether an input or output may be (any, *shape); sizes that the file leaves open may be anything."""
    known = value.shape[1:] if value.shape else []
    return len(known) == len(shape) and all(k == s for k, s in zip(known, shape, strict=True) if isinstance(k, int))
