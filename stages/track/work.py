"""The work on one chunk, as worker processes do it, and where it is kept until the stage is whole."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from avatarmake import head_model
from avatarmake.contract.layout import tracking_file
from avatarmake.detection import N_BLENDSHAPES, N_LANDMARKS, FaceMesh
from avatarmake.errors import StageError
from avatarmake.files.locking import locked
from avatarmake.files.whole import whole
from avatarmake.formats.tracking import LEFT_BLINK, RIGHT_BLINK, Tracking, write_tracking
from avatarmake.geometry.cameras import cam_from_extrinsics, intrinsics_from_focal
from stages.track import identity, parameters, points, quality
from stages.track.chunks import Chunks
from stages.track.doubt import Doubts
from stages.track.landmarks import SEVERAL, LandmarkerDetector, MeshDetector, has_face, open_detector, read
from stages.track.person import SIZE, Person, PersonSolver, read_person, write_person
from stages.track.refine import KEYFRAMES, TOGETHER

SAMPLES = 96  # frames from which the keyframes are taken


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know. `scratch` holds what is found out on the way; removed when all is done."""

    frames: Path
    out: Path
    count: int
    fps: float
    focal: float  # px, the prior's
    head: str
    landmarks: str
    landmarker: Path | None = None  # the asset to detect with; None: the mesh
    eyelids: str = "solver"  # or the landmarker's scores
    path: np.ndarray | None = None  # where the person is, if there are others: landmarks.whereabouts
    refine: bool = True  # frames are held against the person's own texture too

    @property
    def detector(self) -> str:
        return "landmarker" if self.landmarker else "mesh"

    @property
    def scratch(self) -> Path:
        return self.out / "scratch"

    @property
    def chunks(self) -> Chunks:
        return Chunks(self.count)

    def detected(self, chunk: int) -> Path:
        return self.scratch / f"detected-{chunk:05d}.npy"

    def blendshapes(self, chunk: int) -> Path:
        return self.scratch / f"blendshapes-{chunk:05d}.npy"

    def doubts(self, chunk: int) -> Path:
        return self.scratch / f"doubts-{chunk:05d}.npy"

    def solved(self, chunk: int) -> Path:
        return self.scratch / f"solved-{chunk:05d}.npz"

    @property
    def identity(self) -> Path:
        return self.scratch / "identity.npz"


class Worker:
    """One process's tools, made when first needed."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._detector: MeshDetector | LandmarkerDetector | None = None
        self._mesh: FaceMesh | None = None
        self._solver: PersonSolver | None = None

    @property
    def detector(self) -> MeshDetector | LandmarkerDetector:
        if self._detector is None:
            self._detector = open_detector(self.plan.frames, self.plan.landmarker, self.plan.path)
        return self._detector

    @property
    def mesh(self) -> FaceMesh:
        """For second looks: every image by itself, whichever detector follows the face."""
        if self._mesh is None:
            self._mesh = FaceMesh(static=True, faces=SEVERAL)
        return self._mesh

    def close(self) -> None:
        for graph in (self._detector, self._mesh):
            if graph is not None:
                graph.close()

    def detect(self, chunk: int) -> tuple[int, dict[str, float]]:
        """Landmarks of a chunk into its file, blendshapes and doubts beside it -> frames, seconds."""
        started = time.perf_counter()
        plan, (first, last) = self.plan, self.plan.chunks.span(chunk)
        found = np.full((last - first, N_LANDMARKS, 2), np.nan, np.float32)
        blendshapes = np.full((last - first, N_BLENDSHAPES), np.nan, np.float32)
        own = plan.detector == MeshDetector.name
        doubts = Doubts(self.mesh.detect, partial(read, plan.frames), own, first, last)
        for k, seen in enumerate(self.detector.follow(first, last)):
            doubts.see(first + k, seen.image, seen.landmarks)
            if seen.landmarks is not None:
                found[k] = seen.landmarks
            if seen.blendshapes is not None:
                blendshapes[k] = seen.blendshapes
        doubts.settle(found)
        for path, content in (
            (plan.doubts(chunk), np.stack([doubts.scores, doubts.details])),
            (plan.blendshapes(chunk), blendshapes),
            (plan.detected(chunk), found),  # the last: who finds it finds all
        ):
            with whole(path) as temporary:
                np.save(temporary, content)
        return last - first, {"detector": time.perf_counter() - started}

    def identify(self) -> tuple[int, dict[str, float]]:
        """Shape, focal length and texture, once for all shards: the first to come solves, the others wait."""
        plan, started = self.plan, time.perf_counter()
        seconds = {}
        with locked(plan.scratch / "identity.lock"):
            if not plan.identity.exists():
                head = head_model.load(plan.head)
                numbers, seen = self._keyframes(*self._samples()) if plan.refine else self._samples()
                fitted = points.chosen(plan.landmarks, head.landmark_ids)
                model, trust, priors = head.at_landmarks(fitted), points.TRUST[fitted], parameters.priors(plan.fps)
                together = TOGETHER if plan.refine else 1.0
                who = Person(identity.from_samples(seen, model, trust, plan.focal, SIZE, priors, together), [])
                seconds["identity"] = time.perf_counter() - started
                if plan.refine:
                    started = time.perf_counter()
                    who = self._solver_of(who).textured(numbers, seen)
                    seconds["texture"] = time.perf_counter() - started
                write_person(plan.identity, who)
        return plan.count, seconds

    def _keyframes(self, numbers: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the samples those that texture is gathered from, detected as the video's frames are."""
        some = numbers[np.unique(np.linspace(0, len(numbers) - 1, KEYFRAMES).round().astype(int))]
        found = self.detector.settled(some.tolist())
        there = has_face(found)
        return (some[there], found[there]) if there.any() else (numbers, seen)

    def _samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Up to 96 frames (n,) spread over the video and their landmarks (n,478,2), each detected by itself.

        The same whichever shard asks.
        A face seen rarely is looked for in more and more frames. Raises StageError when there is none at all.
        """
        looked: set[int] = set()
        count, most = SAMPLES, self.plan.count
        while len(looked) < most:
            todo = sorted(set(np.linspace(0, most - 1, min(count, most)).astype(int).tolist()) - looked)
            looked |= set(todo)
            found = self.detector.each(todo)
            if has_face(found).any():
                return np.array(todo)[has_face(found)], found[has_face(found)]
            count *= 4
        what = f"no face in any of its {most} images"
        raise StageError(what, self.plan.frames, "Choose a video in which one person faces the camera")

    def solve(self, chunk: int) -> tuple[int, dict[str, float]]:
        """Parameters of a chunk into tracking/*.npz, its figures into its own file -> frames, seconds.

        The seconds are the solvers' own, without the writing.
        """
        plan, (first, last) = self.plan, self.plan.chunks.span(chunk)
        numbers, detected = self._landmarks(chunk)
        own = (numbers >= first) & (numbers < last)
        figures, seconds, iterations = {}, {"solver": 0.0}, 0
        if own.any():
            run = self.solver.solve(numbers, detected)
            seconds, iterations, p = run.seconds, run.iterations, run.p[own]
            figures = quality.measure(self.solver.every.uv(p), detected[own], self.solver.every.model.landmark_ids)
            self._write(chunk, numbers[own], p, detected[own])
        with whole(plan.solved(chunk)) as path:
            np.savez(path, numbers=numbers[own], iterations=iterations, **figures)
        return last - first, seconds

    @property
    def solver(self) -> PersonSolver:
        if self._solver is None:
            self._solver = self._solver_of(read_person(self.plan.identity))
        return self._solver

    def _solver_of(self, who: Person) -> PersonSolver:
        plan = self.plan
        return PersonSolver(head_model.load(plan.head), plan.landmarks, plan.fps, who, partial(read, plan.frames))

    def _landmarks(self, chunk: int) -> tuple[np.ndarray, np.ndarray]:
        """The frames with a face that the solver looks at: numbers (F,), detections (F,478,2)."""
        chunks = self.plan.chunks
        first, last = chunks.reach(chunk)
        near = range(max(chunk - 1, 0), min(chunk + 2, len(chunks)))
        found = np.concatenate([np.load(self.plan.detected(c)) for c in near])
        begin = chunks.span(near[0])[0]
        found = found[first - begin : last - begin]
        seen = has_face(found)
        return np.arange(first, last)[seen], found[seen]

    def _write(self, chunk: int, numbers: np.ndarray, p: np.ndarray, detected: np.ndarray) -> None:
        person = self.solver.person.identity
        eyelids, blendshapes = p[:, parameters.EYELIDS], [None] * len(numbers)
        if self.plan.landmarker:
            blendshapes = np.load(self.plan.blendshapes(chunk))[numbers - self.plan.chunks.span(chunk)[0]]
        if self.plan.eyelids == "scores":
            eyelids = blendshapes[:, [LEFT_BLINK, RIGHT_BLINK]]
        pivot = self.solver.every.pivot.astype(np.float64)
        cam = cam_from_extrinsics(*parameters.camera(p.astype(np.float64), pivot))
        eyes = parameters.eye_pose(p)
        for k, i in enumerate(numbers):
            frame = Tracking(
                shape=person.shape,
                expression=p[k, parameters.EXPRESSION],
                jaw_pose=p[k, parameters.JAW],
                eye_pose=eyes[k],
                cam=cam[k],
                intrinsics=intrinsics_from_focal(person.focal, SIZE),
                image_size=SIZE,
                eyelids=eyelids[k],
                blendshapes=blendshapes[k],
                landmarks=detected[k],
            )
            write_tracking(tracking_file(self.plan.out, int(i)), frame)


# --- in worker processes -------------------------------------------------------------------------------------------

_worker: Worker


def begin(plan: Plan) -> None:
    global _worker
    cv2.setNumThreads(1)  # a worker has one core
    _worker = Worker(plan)


def detect(chunk: int) -> tuple[int, dict[str, float]]:
    return _worker.detect(chunk)


def identify() -> tuple[int, dict[str, float]]:
    return _worker.identify()


def solve(chunk: int) -> tuple[int, dict[str, float]]:
    return _worker.solve(chunk)
