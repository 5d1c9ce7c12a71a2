"""How still a body is, told by its colours."""

import numpy as np
import pytest

from stages.train import posture
from stages.train.dataset import Dataset
from stages.train.split import split
from tests.train import subject


@pytest.mark.parametrize("seconds, said", [(0.0, "turn with the head"), (np.inf, "s")])
def test_it_is_what_the_pictures_show(seconds, said, tmp_path):
    dataset = Dataset(*subject.write(tmp_path, 60, size=128, gaussians=4000, body_seconds=seconds))
    found = posture.seconds(dataset, split(60).train)
    assert (found >= 2) if seconds else (found == 0)
    assert said in posture.words(found)


def test_the_choice_leaves_the_dataset_as_it_was(small):
    dataset = Dataset(*small)
    before = dataset.body
    posture.seconds(dataset, split(len(dataset)).train)
    assert all(np.array_equal(a, b) for a, b in zip(dataset.body, before, strict=True))
