"""Which frames are on the device when, and where."""

import numpy as np
import pytest
import torch

pytest.importorskip("numba_cuda", reason="needs numba-cuda, which has no wheel for this system")

from stages.train.cuda import frames
from stages.train.cuda.frames import Frames
from stages.train.dataset import Dataset


def holds(kept: Frames, dataset: Dataset, shown: list[int], slots: list[int]) -> bool:
    pairs = list(zip(shown, slots, strict=True))
    pictures = [np.array_equal(kept.pictures[s, :3], dataset.picture(i, 32).pixels) for i, s in pairs]
    return all(pictures) and all(np.array_equal(kept.meshes[s], dataset.vertices(i)) for i, s in pairs)


def test_where_there_is_room_a_frame_is_read_once(small, monkeypatch):
    dataset, read = Dataset(*small), []
    kept = Frames(dataset, 32, torch.device("cpu"), 4)
    before = dataset.read_picture
    monkeypatch.setattr(dataset, "read_picture", lambda i, size: read.append(i) or before(i, size))
    lots = [[0, 1, 2, 1], [5, 1, 0, 7], [7, 29]]
    slots = [kept.slots(lot) for lot in lots]
    assert sorted(read) == [0, 1, 2, 5, 7, 29] and len(kept.pictures) == 30
    assert all(holds(kept, dataset, *both) for both in zip(lots, slots, strict=True))
    kept.close()


def test_where_there_is_not_the_last_lot_stays_untouched_while_the_next_comes(small, monkeypatch):
    monkeypatch.setattr(frames, "BESIDE", 0)
    dataset = Dataset(*small)
    kept = Frames(dataset, 32, torch.device("cpu"), 3)
    assert len(kept.pictures) == 6
    rng, last, there = np.random.default_rng(0), [], []
    for _ in range(40):
        lot = rng.integers(0, 30, 3).tolist()
        kept.ahead(rng.integers(0, 30, 3).tolist())  # of another lot: what was begun in vain does no harm
        slots = kept.slots(lot)
        assert holds(kept, dataset, lot, slots) and holds(kept, dataset, last, there)
        last, there = lot, slots
    kept.close()
