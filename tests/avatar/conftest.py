"""An avatar that has trained for a moment."""

import numpy as np
import pytest
import torch

from avatarmake.contract.layout import Subject
from stages.train.trainer import Trainer
from tests.avatar import subject as small


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Subject, Trainer]:
    """A subject with dataset/ and avatar/checkpoint.pt, and the trainer that wrote it."""
    subject = Subject(tmp_path_factory.mktemp("data"), "small")
    return subject, small.trained(subject.root)


def torch_image(trainer: Trainer, i: int, rotation: np.ndarray, translation: np.ndarray, resolution: int) -> np.ndarray:
    """(4,H,W) of frame i over white, by the training's own evaluation."""
    with torch.no_grad():
        where = (torch.from_numpy(rotation), torch.from_numpy(translation))
        d = trainer.dataset
        return trainer.avatar.render(trainer.codes[i], d.vertices(i), *where, d.camera(resolution)).numpy()
