"""Pictures and meshes on the device: all of them where they fit, else those of the steps to come.

Pictures are decoded by threads ahead of time (Pillow and numpy let each other work) and go over from pinned memory on a
stream of their own, while the device is still at the steps before.
"""

from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from avatarmake.limits import cores
from stages.train.cuda.differentiable import planes_of
from stages.train.cuda.losses import PLANES
from stages.train.dataset import Dataset

SHARE = 0.6  # of the device's free memory, for pictures and meshes
BESIDE = 2e9  # bytes, where tensors are on the CPU: the simulator


class Frames:
    """Slots for frames: `pictures` (S,PLANES,H,W) uint8 and `meshes` (S,V,3) float32 at one resolution.

    `spans` is how many frames are asked for at once, at most. There is room for twice as many at least: while the
    device works on the one lot, the next is brought. The lot before must be done with by then.
    """

    def __init__(self, dataset: Dataset, resolution: int, device: torch.device, spans: int):
        self.dataset, self.resolution, self.device = dataset, resolution, device
        vertices = len(dataset.neutral())
        each = PLANES * resolution**2 + vertices * 12
        room = SHARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else BESIDE
        slots = min(len(dataset), max(int(room / each), 2 * spans))
        self.pictures = torch.zeros(slots, PLANES, resolution, resolution, dtype=torch.uint8, device=device)
        self.meshes = torch.zeros(slots, vertices, 3, device=device)
        self._slot: OrderedDict[int, int] = OrderedDict()  # by frame, who waited longest first
        self._coming: dict[int, Future] = {}
        self._pool = ThreadPoolExecutor(max(cores(), 1))
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None

    def ahead(self, frames: Iterable[int]) -> None:
        """Begin to decode those that are not there."""
        for i in dict.fromkeys(frames):
            if i not in self._slot and i not in self._coming:
                self._coming[i] = self._pool.submit(self._read, i)

    def slots(self, frames: list[int]) -> list[int]:
        """Where those frames are, once `wait` was called; brings what is not there.

        It takes the slots of frames that were asked for longest ago: not those of the call before, at which the device
        may still be.
        """
        self.ahead(frames)
        for i in frames:
            if i in self._slot:
                self._slot.move_to_end(i)
        for i in [i for i in dict.fromkeys(frames) if i not in self._slot]:
            self._bring(i, *self._coming.pop(i).result())
        return [self._slot[i] for i in frames]

    def wait(self) -> None:
        """What is launched from here on finds in its slots what was brought; only the device waits for that."""
        if self._side:
            torch.cuda.current_stream().wait_stream(self._side)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _read(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        both = planes_of(self.dataset.read_picture(i, self.resolution)), self.dataset.pose(slice(i, i + 1))[0]
        tensors = (torch.from_numpy(np.ascontiguousarray(x)) for x in both)
        return tuple(x.pin_memory() if self._side else x for x in tensors)

    def _bring(self, i: int, picture: torch.Tensor, mesh: torch.Tensor) -> None:
        slot = len(self._slot) if len(self._slot) < len(self.pictures) else self._slot.popitem(last=False)[1]
        self._slot[i] = slot
        if not self._side:
            self.pictures[slot], self.meshes[slot] = picture, mesh
            return
        with torch.cuda.stream(self._side):
            self.pictures[slot].copy_(picture, non_blocking=True)
            self.meshes[slot].copy_(mesh, non_blocking=True)
