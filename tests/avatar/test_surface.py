"""Where the Gaussians sit."""

import numpy as np

from avatarmake import head_model
from avatarmake.avatar.surface import sample


def test_sampling_is_the_same_every_time_and_dense_where_people_look():
    model = head_model.load("open")
    vertices = model.vertices(np.zeros(300, np.float32), jaw_pose=np.array([[0.2, 0, 0]], np.float32))
    where = (np.diag([1.0, -1, -1])[None], np.array([[0, 0, 1.0]]))
    surface, again = (sample(model, vertices, *where, 500) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(surface, again, strict=True))
    assert (surface.weights >= 0).all() and np.allclose(surface.weights.sum(1), 1)
    clothes = {tuple(f) for f in model.faces[model.regions["shoulders"]]}
    assert not any(tuple(c) in clothes for c in surface.corners)
    lips, scalp = ({tuple(f) for f in model.faces[model.regions[r]]} for r in ("lips", "scalp"))
    spacing = [surface.spacing[[tuple(c) in part for c in surface.corners]].mean() for part in (lips, scalp)]
    assert spacing[0] < spacing[1]
