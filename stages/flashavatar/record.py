"""What a training shows of itself on its way: points of the curve, and previews, as train's."""

from pathlib import Path

import numpy as np

from avatarmake.formats import images
from stages.flashavatar.trainer import Trainer
from stages.train import evaluation

PREVIEWS = (50, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000)
SOME = 8  # unseen frames of which a point tells, about


def point(trainer: Trainer, losses: list[float], errors: list[float]) -> dict:
    """One entry of curve.json: psnr_train of frames just trained, the other figures of a few unseen ones."""
    held, size = trainer.split.held_out, trainer.schedule.resolution
    some = held[:: max(len(held) // SOME, 1)]
    pairs = [(trainer.picture_of(i, size), trainer.frames.picture(i, size)) for i in some]
    measures = [evaluation.measure(*pair) for pair in pairs]
    entry = {
        "step": trainer.steps,
        "resolution": size,
        "loss": float(np.mean(losses)),
        "psnr_train": round(evaluation.psnr(float(np.mean(errors))), 3),
    }
    for name in ("psnr_full", "psnr_head", "psnr_inner"):
        known = [m[name] for m in measures if m[name] is not None]
        entry[name] = round(float(np.mean(known)), 3) if known else None
    return entry


def preview(out: Path, trainer: Trainer) -> None:
    """previews/<step>.jpg: truth | avatar, of an unseen frame in the middle where there is one."""
    frames = trainer.split.blocks or trainer.split.last or trainer.split.train
    i, size = frames[len(frames) // 2], trainer.schedule.resolution
    truth = trainer.frames.picture(i, size).pixels.transpose(1, 2, 0)
    both = np.concatenate([truth, trainer.picture_of(i, size)], 1)
    images.write_jpeg(out / "previews" / f"{trainer.steps}.jpg", both)
