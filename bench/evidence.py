"""How far a right import is from wrong ones, by what stages/imported/evidence.py goes by.

    python -m bench.evidence data/ID/dataset ...

For each dataset: what it finds as it is, with a principal point that was left out, with K of half the size, and with
the parameters of the frame before and after; with the head model, and by the pose alone.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.contract.layout import checkpoint_file
from avatarmake.errors import StageError
from avatarmake.formats.descriptions import read_index
from avatarmake.formats.frame import FrameRecord, read_frame
from stages.imported import evidence

SHIFTS = (5, 10, 20, 40)  # px of the principal point
NEIGHBOURS = {"of the frame after": 1, "of the frame before": -1}


def wrongs(records: list[FrameRecord]) -> dict[str, list[FrameRecord]]:
    """What may be wrong -> the records with it."""
    last = len(records) - 1

    def with_k(change: np.ndarray, scale: float = 1) -> list[FrameRecord]:
        return [replace(r, intrinsics=np.diag([scale, scale, 1]) @ r.intrinsics + change) for r in records]

    moved = {f"principal point {px} px off": with_k(np.outer([px, 0, 0], [0, 0, 1])) for px in SHIFTS}
    late = {name: [records[min(max(i + s, 0), last)] for i in range(last + 1)] for name, s in NEIGHBOURS.items()}
    return {"as it is": records, **moved, "K of half the size": with_k(np.zeros((3, 3)), 0.5), **late}


def main(datasets: list[str]) -> None:
    for root in map(Path, datasets):
        index = read_index(root / "index.json", root.parent.name)
        records = [read_frame(checkpoint_file(root, i)) for i in range(len(index["images"]))]
        for head in (head_model.load(index["head_model"]), None):
            print(f"{root.parent.name}, {'with' if head else 'without'} the head model")
            for what, changed in wrongs(records).items():
                try:
                    said = f"stands: {evidence.gather(root / 'imgs', changed, head).facts}"
                except StageError as e:
                    said = f"refused: {e.what}"
                print(f"  {what}: {said}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
