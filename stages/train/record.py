"""What a training shows of itself on its way: points of the curve, and previews. Of any trainer that has these parts:

steps, schedule (resolution, resolution_at), split, dataset, picture_of(i, resolution).
"""

from pathlib import Path

import numpy as np

from avatarmake.formats import images
from stages.train import evaluation

PREVIEWS = (50, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000)


def point(trainer, loss: float, mse: float) -> dict:
    """One entry of curve.json: psnr_train of frames just trained, the other figures of a few unseen ones."""
    resolution = trainer.schedule.resolution_at(trainer.steps - 1)
    held = trainer.split.held_out
    some = held[:: max(len(held) // 8, 1)]
    measures = [measure(trainer, i, resolution) for i in some]
    entry = {
        "step": trainer.steps,
        "resolution": resolution,
        "loss": loss,
        "psnr_train": round(evaluation.psnr(mse), 3),
    }
    for name in ("psnr_full", "psnr_head", "psnr_inner"):
        values = [m[name] for m in measures if m[name] is not None]
        entry[name] = round(float(np.mean(values)), 3) if values else None
    return entry


def measure(trainer, i: int, resolution: int) -> dict:
    return evaluation.measure(trainer.picture_of(i, resolution), trainer.dataset.picture(i, resolution))


def preview(out: Path, trainer) -> None:
    """previews/<step>.jpg: truth | avatar, of an unseen frame in the middle where there is one."""
    frames = trainer.split.blocks or trainer.split.last or trainer.split.train
    i, resolution = frames[len(frames) // 2], trainer.schedule.resolution
    truth = trainer.dataset.picture(i, resolution).pixels.transpose(1, 2, 0)
    both = np.concatenate([truth, trainer.picture_of(i, resolution)], 1)
    images.write_jpeg(out / "previews" / f"{trainer.steps}.jpg", both)
