"""An avatar that has trained for a moment, on a subject that is drawn in seconds."""

import numpy as np
import pytest
import torch

from avatarmake.contract.layout import Subject
from stages.train.avatar import Avatar, fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer
from tests.train import subject as small


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Subject, Trainer]:
    """A subject with dataset/ and avatar/checkpoint.pt, and the trainer that wrote it."""
    subject = Subject(tmp_path_factory.mktemp("data"), "small")
    dataset = Dataset(*small.write(subject.root, 24, size=64, gaussians=2000))
    parts = split(len(dataset))
    trainer = Trainer(fresh(dataset, parts.train, 1500, 0, choose("cpu")), dataset, parts, Schedule(40, 64, 0.5, 0), 40)
    for _ in range(40):
        trainer.step()
    subject.directory("avatar").mkdir()
    state = trainer.state()
    del state["optimiser"]
    torch.save(state, subject.directory("avatar") / "checkpoint.pt")
    return subject, trainer


def torch_image(trainer: Trainer, i: int, rotation: np.ndarray, translation: np.ndarray, resolution: int) -> np.ndarray:
    """(4,H,W) of frame i over white, by the training's own evaluation."""
    avatar: Avatar = trainer.avatar
    with torch.no_grad():
        where = (torch.from_numpy(rotation), torch.from_numpy(translation))
        d = trainer.dataset
        return avatar.render(trainer.codes[i], d.vertices(i), *where, d.camera(resolution)).numpy()
