"""The frames that training never saw: rendered and measured as train's are, but for the fit, which is our avatar's."""

import json
from pathlib import Path

from avatarmake.contract.progress import progress
from avatarmake.files.whole import whole
from avatarmake.formats import images
from stages.flashavatar.trainer import WHITE, Trainer
from stages.train import evaluation

BLACK = (0.0, 0.0, 0.0)


def evaluate(out: Path, trainer: Trainer) -> dict:
    """Every held-out frame to test/, their figures to evaluation.json, which is returned."""
    (out / "test").mkdir(exist_ok=True)
    result = {
        "trainer": "FlashAvatar",
        "resolution": trainer.schedule.resolution,
        "gaussians": len(trainer.gaussians.get_xyz),
        "iterations": trainer.steps,
        "train_frames": len(trainer.split.train),
        "note": trainer.split.note,
        "splits": {name: _split(out, trainer, getattr(trainer.split, name)) for name in ("last", "blocks")},
    }
    with whole(out / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    return result


def _split(out: Path, trainer: Trainer, frames: tuple[int, ...]) -> dict:
    dataset, size = trainer.dataset, trainer.schedule.resolution
    measures = []
    for i in progress(frames, label="flashavatar: unseen frames", unit="frames"):
        rendered, dark = trainer.pictures_of(i, size, WHITE, BLACK)
        images.write_png(out / "test" / f"{dataset.numbers[i]:05d}.png", rendered)
        measures.append(evaluation.measure(rendered, trainer.frames.picture(i, size), dark))
    return evaluation.summary([dataset.numbers[i] for i in frames], measures)
