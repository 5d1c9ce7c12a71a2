"""The small avatar that frames are held against: train's, at 256 px, of the training frames alone.

What it never sees are the frames that `train` keeps to be judged by (stages/train/split.py). Their cameras are found as
all others are, by their own pictures, as a tracker does; nothing of them comes to a weight of this avatar, nor by it to
another frame's camera.
"""

from avatarmake.contract.progress import progress
from stages.refine import RefineConfig
from stages.train import TrainConfig, posture
from stages.train.avatar import Avatar, fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer

SIZE = 256  # pixels: at 128 a Gaussian is smoothed so much that a head seems further away


def begun(dataset: Dataset, config: RefineConfig, state: dict | None = None) -> Trainer:
    """A trainer at its first step, or one that has finished, of its `state`."""
    dataset.check(SIZE)
    backend, parts = choose("cpu"), split(len(dataset))
    if state is None:
        dataset.hold_body(seconds := posture.seconds(dataset, parts.train))
        avatar = fresh(dataset, parts.train, config.gaussians, config.seed, backend, seconds)
    else:
        avatar = Avatar.restored(state, backend)
        dataset.hold_body(avatar.seconds)
    schedule = Schedule(config.iterations, SIZE, warmup=0.0, seed=config.seed)
    trainer = Trainer(avatar, dataset, parts, schedule, TrainConfig.mouth_weight)
    if state is not None:
        trainer.restore(state)
    return trainer


def train(trainer: Trainer) -> None:
    steps = range(trainer.steps, trainer.schedule.iterations)
    for _ in progress(steps, label="refine: a small avatar", unit="steps"):
        trainer.step()
