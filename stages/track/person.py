"""One video's person: what all frames share, as it was found and kept, and runs of frames solved with it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.files.whole import whole
from avatarmake.geometry import jitter
from avatarmake.head_model.model import HeadModel
from stages.track import identity, parameters, points
from stages.track.contrast import patch
from stages.track.photometric import Texture
from stages.track.projection import Projection
from stages.track.refine import Refiner
from stages.track.solver import FrameSolver, second_difference

SIZE = (IMAGE_SIZE, IMAGE_SIZE)


@dataclass(frozen=True, eq=False)
class Person:
    """Identity, and the texture at each scale; none where frames are not refined."""

    identity: identity.Identity
    textures: list[Texture]


@dataclass(frozen=True, eq=False)
class Run:
    """A run of frames solved: p (F,115), steps taken, and seconds by what they were spent on."""

    p: np.ndarray
    iterations: int
    seconds: dict[str, float]


class PersonSolver:
    """`fitted` are the landmarks it looks at, `every` projects all there are. `read(i)`: frame i's image."""

    def __init__(self, head: HeadModel, landmarks: str, fps: float, person: Person, read: Callable):
        self.person, self._read = person, read
        who = person.identity
        shared = (who.shape, who.focal, SIZE)
        self.priors = parameters.priors(fps)
        self.fitted = points.chosen(landmarks, head.landmark_ids)
        self.every = Projection(head.at_landmarks(head.landmark_ids), *shared)
        projection = Projection(head.at_landmarks(self.fitted), *shared)
        self.frames = FrameSolver(projection, points.TRUST[self.fitted], who.unit, self.priors)
        self._head, self._refiner = head, None

    @property
    def refiner(self) -> Refiner:
        if self._refiner is None:
            self._refiner = Refiner(self._head, self.frames, SIZE)
        return self._refiner

    def solve(self, numbers: np.ndarray, detected: np.ndarray) -> Run:
        """Frames `numbers` (F,), ascending, and their detections (F,478,2)."""
        started, target = time.perf_counter(), detected[:, self.fitted]
        steady = jitter.apart(numbers, detected[:, jitter.RIGID])  # nothing is smooth across a cut
        begin = identity.start(self.frames.projection, target, self.priors, steady)
        solution = self.frames.solve(begin, target, steady)
        p, seconds = solution.p, {"solver": time.perf_counter() - started}
        if self.person.textures:
            started, second = time.perf_counter(), second_difference(steady).astype(p.dtype)
            patches = self._patches(numbers, detected)
            p = self.refiner.course(p, target, second.T @ second, patches, self.person.textures)
            seconds["refiner"] = time.perf_counter() - started
        return Run(p, solution.iterations, seconds)

    def textured(self, numbers: np.ndarray, detected: np.ndarray) -> Person:
        """The same person with the texture that keyframes show: numbers (K,), detections (K,478,2)."""
        target = detected[:, self.fitted]
        apart = 10 * np.arange(len(numbers))  # nothing ties keyframes
        p = self.frames.solve(identity.start(self.frames.projection, target, self.priors, apart), target, apart).p
        return Person(self.person.identity, self.refiner.person(p, target, self._patches(numbers, detected)))

    def _patches(self, numbers: np.ndarray, detected: np.ndarray) -> list:
        return [patch(self._read(int(i)), marks) for i, marks in zip(numbers, detected, strict=True)]


def write_person(path: Path, person: Person) -> None:
    """An .npz, whole or not at all."""
    textures = {name: np.array([getattr(t, name) for t in person.textures]) for name in ("sigma", "value", "noise")}
    with whole(path) as temporary:
        np.savez(temporary, **vars(person.identity), **textures)


def read_person(path: Path) -> Person:
    with np.load(path) as npz:
        who = identity.Identity(npz["shape"], float(npz["focal"]), float(npz["unit"]), int(npz["iterations"]))
        kept = zip(npz["sigma"], npz["value"], npz["noise"], strict=True) if "sigma" in npz else ()
        return Person(who, [Texture(float(sigma), value, noise) for sigma, value, noise in kept])
