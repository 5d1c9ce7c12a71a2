"""A face, followed frame by frame as it comes: the tracker's solver on the last frames, and none that are to come.

The first second says how the face is at rest, and roughly who it is; one keyframe only, because frames so alike say the
same mistakes again. When more has been seen, who it is is found anew, beside the following, and what the first second
was is solved for again. (Against the tracking of the whole video, a real one: correlations of 0.76 of the expression
with what one second said, 0.93 with eight.) From then on the frames of a short window are solved for together, from
where they were before, and the one `lag` before the newest is told: what comes after it steadies it.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avatarmake.avatar.performance import Performance
from avatarmake.geometry.cameras import intrinsics_from_focal
from avatarmake.head_model.model import HeadModel
from stages.track import identity, parameters, points
from stages.track.projection import Projection
from stages.track.solver import FrameSolver

FIRST = 1.0  # seconds, and at least FEWEST frames, that say how the face is at rest
FEWEST = 12
AGAIN = (4.0, 8.0, 16.0, 32.0)  # seconds after which it is found anew who it is
EVERY, MOST = 3, 400  # one frame of so many is kept for that, so many at most
WINDOW = 6  # frames that are solved for together
GAP, GAP_COUNTS = 0.15, 9  # seconds without a frame, and how many frames that is taken for
STEPS = 3  # of the solver, at most, for each new frame


@dataclass(frozen=True)
class Found:
    """One frame: when it was taken, in seconds, and what the solver says of it (115,): stages/track/parameters.py."""

    time: float
    p: np.ndarray


class Follower:
    """`detect`: image (H,W,3) uint8 -> (478,2+) px, or None where there is no face; size (w, h) of the images; focal in
    px."""

    def __init__(self, head: HeadModel, size: tuple[int, int], focal: float, detect: Callable, lag: int = 1):
        self.size, self.focal, self.lag = size, focal, lag
        self._of = {"head_model": head.name, "head_model_digest": head.digest}
        self._detect = detect
        self._fitted = points.chosen("face", head.landmark_ids)
        self._model = head.at_landmarks(self._fitted)
        self._trust = points.TRUST[self._fitted]
        self._beginning: list[tuple[float, np.ndarray]] = []  # time, landmarks (478,2) of the first second
        self._seen: deque = deque(maxlen=MOST)  # landmarks (478,2) now and then
        self._window: deque = deque(maxlen=WINDOW)  # time, number, landmarks (L,2), p (115,)
        self._number = 0
        self._anew: threading.Thread | None = None
        self._times = list(AGAIN)
        self.solver: FrameSolver | None = None
        self.first: Performance | None = None  # what the first second was

    def follow(self, image: np.ndarray, time: float) -> Found | None:
        """The frame that is told now, or None: no face, or not yet known who it is."""
        landmarks = self._detect(image)
        self._number += 1
        if landmarks is None:
            self._window.clear()  # who comes back need not be where they went
            return None
        landmarks = np.asarray(landmarks[:, :2], np.float64)
        if self._number % EVERY == 0:
            self._seen.append(landmarks)
        if self.solver is None:
            self._beginning.append((time, landmarks))
            if len(self._beginning) >= FEWEST and time - self._beginning[0][0] >= FIRST:
                self._identify([self._beginning[len(self._beginning) // 2][1]])
            return None
        if self._times and time - self._beginning[0][0] > self._times[0]:
            self._times.pop(0)
            self.settle()
            self._anew = threading.Thread(target=self._identify, args=(list(self._seen),), daemon=True)
            self._anew.start()
        return self._step(time, landmarks[self._fitted])

    def settle(self) -> None:
        """Wait until it is found who it is, where that is under way."""
        if self._anew is not None:
            self._anew.join()

    def _identify(self, seen: list[np.ndarray]) -> None:
        """Who it is, by landmarks (478,2) of some frames; and what the first second was of them."""
        times, landmarks = np.array([t for t, _ in self._beginning]), np.stack([x for _, x in self._beginning])
        priors = parameters.priors((len(times) - 1) / (times[-1] - times[0]))
        person = identity.from_samples(np.stack(seen), self._model, self._trust, self.focal, self.size, priors)
        projection = Projection(self._model, person.shape, person.focal, self.size)
        solver = FrameSolver(projection, self._trust, person.unit, priors)
        target, numbers = landmarks[:, self._fitted].astype(np.float32), np.arange(len(times))
        p = solver.solve(identity.start(projection, target, priors, numbers), target, numbers).p
        self.person, self.priors, self.solver = person, priors, solver
        self.first = self.performance(times, p)

    def _step(self, time: float, landmarks: np.ndarray) -> Found:
        solver, target = self.solver, landmarks.astype(np.float32)
        if self._window:
            begin = self._window[-1][3]
        else:
            begin = identity.start(solver.projection, target[None], self.priors, np.zeros(1, int))[0]
        if self._window and time - self._window[-1][0] > GAP:
            self._number += GAP_COUNTS  # frames were left out: nothing is smooth across that
        self._window.append((time, self._number, target, begin))
        times, numbers, targets, begins = zip(*self._window, strict=True)
        p = solver.solve(np.stack(begins), np.stack(targets), np.array(numbers), most=STEPS).p
        self._window.clear()
        self._window.extend(zip(times, numbers, targets, p, strict=True))
        told = self._window[-1 - min(self.lag, len(self._window) - 1)]
        return Found(told[0], told[3])

    def performance(self, times: np.ndarray, p: np.ndarray) -> Performance:
        """times (F,) seconds, p (F,115) -> the same as a performance, in the head model's own coordinates."""
        pivot = self.solver.projection.pivot
        rotation, translation = parameters.camera(p, pivot.astype(p.dtype))
        return Performance(
            **self._of,
            fps=(len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 25.0,
            times=np.asarray(times, np.float64),
            expression=p[:, parameters.EXPRESSION],
            jaw_pose=p[:, parameters.JAW],
            eye_pose=parameters.eye_pose(p),
            eyelids=p[:, parameters.EYELIDS],
            R=rotation.astype(np.float32),
            t=translation.astype(np.float32),
            intrinsics=intrinsics_from_focal(self.person.focal, self.size).astype(np.float32),
            image_size=self.size,
        )
