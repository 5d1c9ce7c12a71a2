"""The frames that training never saw: rendered, measured, and some of them fitted."""

import json
from pathlib import Path

from avatarmake.contract.progress import progress
from avatarmake.files.whole import whole
from avatarmake.formats import images
from stages.train import evaluation, fitting
from stages.train.avatar import WHITE
from stages.train.trainer import Trainer

BLACK = (0.0, 0.0, 0.0)
FITTED = 8  # frames of a split at most: each costs as much as fitting.STEPS steps of training


def evaluate(out: Path, trainer: Trainer) -> dict:
    """Every held-out frame to test/, their figures to evaluation.json, which is returned."""
    (out / "test").mkdir(exist_ok=True)
    result = {
        "resolution": trainer.schedule.resolution,
        "gaussians": len(trainer.avatar.surface.spacing),
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
    numbers, measures = [dataset.numbers[i] for i in frames], {}
    for i in frames:
        rendered = trainer.picture_of(i, size)
        images.write_png(out / "test" / f"{dataset.numbers[i]:05d}.png", rendered)
        measures[i] = evaluation.measure(rendered, dataset.picture(i, size), trainer.picture_of(i, size, BLACK))
    some = frames[:: -(-len(frames) // FITTED) or 1]
    fitted = [_as_fitted(trainer, i) for i in progress(some, label="train: as fitted", unit="frames")]
    return evaluation.summary(numbers, list(measures.values())) | {
        "fit": {
            "frames": [dataset.numbers[i] for i in some],
            "as_tracked": evaluation.means([measures[i] for i in some]),
            "as_fitted": evaluation.means(fitted),
        }
    }


def _as_fitted(trainer: Trainer, i: int) -> dict:
    """The figures of a frame whose pose and code its own picture told."""
    dataset, size = trainer.dataset, trainer.schedule.resolution
    found = fitting.fit(trainer.avatar, dataset, i, trainer.codes[i], *trainer.camera_of(i), size)
    rendered, dark = (trainer.picture_of(i, size, ground, found) for ground in (WHITE, BLACK))
    return evaluation.measure(rendered, dataset.picture(i, size), dark)
