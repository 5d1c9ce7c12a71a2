"""Who acts in a demo. All wear the portrait: there is no other picture of a face in the public domain at hand."""

from typing import NamedTuple

import numpy as np

from avatarmake.head_model.bases import SYMMETRIC_SHAPES

RGB = tuple[float, float, float]
CROOKED = 0.3  # faces are less crooked than they are different


class Person(NamedTuple):
    """What is made of the portrait's shape, and by how much its colours are multiplied."""

    of_portrait: float = 1.0  # how much of the portrait's own shape
    spread: float = 0.0  # standard deviations of another shape that is added to it
    seed: int = 0  # which one
    skin: RGB = (1.0, 1.0, 1.0)
    hair: RGB = (1.0, 1.0, 1.0)

    def shape(self, portrait: np.ndarray) -> np.ndarray:
        """(300,) of the portrait -> (300,) float32 of the person."""
        other = np.random.default_rng(self.seed).standard_normal(len(portrait))
        other[3 * SYMMETRIC_SHAPES :] *= CROOKED
        return (self.of_portrait * portrait + self.spread * other).astype(np.float32)


PEOPLE = {
    "eileen": Person(),
    "anna": Person(of_portrait=0.3, spread=0.7, seed=5, skin=(0.82, 0.68, 0.58), hair=(0.60, 0.46, 0.40)),
}
