"""A small head and a made-up performance, in the project's file formats: subjects that need no video and no tracker."""

import json
from pathlib import Path

import numpy as np

from avatarmake.contract import layout
from avatarmake.contract.publication import RECEIPT
from avatarmake.formats.tracking import Tracking, write_tracking
from avatarmake.geometry import cameras
from avatarmake.head_model.model import HeadModel

SUBJECT = "fake"


def small_head(landmarks: int = 478, seed: int = 5) -> HeadModel:
    """A sphere of 10 cm with random bases: every term of the formula moves something."""
    rng = np.random.default_rng(seed)

    def noise(*shape, scale):
        return (rng.normal(size=shape) * scale).astype(np.float32)

    v = 60
    direction = rng.normal(size=(v, 3))
    return HeadModel(
        name="open",
        v_template=(0.1 * direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32),
        faces=rng.integers(0, v, (40, 3)).astype(np.int32),
        shapedirs=noise(v, 3, 300, scale=1e-4),
        exprdirs=noise(v, 3, 100, scale=1e-4),
        posedirs=noise(36, v, 3, scale=1e-3),
        joint_template=noise(5, 3, scale=0.02),
        joint_shapedirs=noise(5, 3, 300, scale=1e-5),
        parents=np.array([-1, 0, 1, 1, 1], np.int32),
        weights=rng.dirichlet(np.ones(5), v).astype(np.float32),
        eyeliddirs=noise(2, v, 3, scale=1e-3),
        landmark_ids=np.arange(landmarks, dtype=np.int32),
        landmark_vertices=rng.integers(0, v, (landmarks, 3)).astype(np.int32),
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (landmarks, 1)),
        uv=noise(40, 3, 2, scale=1),
        regions={"face": np.ones(40, bool)},
    )


def performance(index: int, focal: float = 1300.0, seed: int = 1) -> Tracking:
    """Frame `index`: the camera turns about all axes, everything else moves too. A function of `index` alone."""
    person = np.random.default_rng(seed)
    rng = np.random.default_rng([seed, index])
    cam = np.array([0.4 * np.sin(index / 9), 0.2, 0.1 * np.cos(index / 7), 0.02, -0.01, 0.9 + 0.02 * np.sin(index / 5)])
    return Tracking(
        shape=person.normal(size=300).astype(np.float32),
        expression=rng.normal(size=100).astype(np.float32),
        jaw_pose=np.array([0.2, 0.03, -0.02], np.float32),
        eye_pose=np.array([0.1, -0.2, 0.02, 0.12, -0.18, -0.01], np.float32),
        cam=cam,
        intrinsics=cameras.intrinsics_from_focal(focal, (512, 512)),
        eyelids=rng.uniform(size=2).astype(np.float32),
        landmarks=rng.uniform(100, 400, (478, 2)).astype(np.float32),
    )


def tracked_subject(data: Path, head: HeadModel, frames: int = 6, gaps: tuple = (), image: bytes = b"jpeg"):
    """data/fake/ with finished frames/ and tracking/; `gaps` are the 0-based frames without a face."""
    subject = layout.Subject(data, SUBJECT)
    images, tracking = subject.directory("frames"), subject.directory("tracking")
    for directory in (images, tracking):
        directory.mkdir(parents=True)
    for number in range(1, frames + 1):
        layout.frame_image(images, number).write_bytes(image + str(number).encode())
    crop = {
        "source": {"name": "fake.mp4", "width": 640, "height": 512, "fps": 25, "frames": 2 * frames},
        "box": [64, 0, 512],
        "fps": 25,
        "image_size": [512, 512],
        "source_frames": [2 * i for i in range(frames)],
        "times": [i / 25 for i in range(frames)],
    }
    (images / "crop.json").write_text(json.dumps(crop))
    there = [i for i in range(frames) if i not in gaps]
    for i in there:
        write_tracking(layout.tracking_file(tracking, i), performance(i))
    tracker = {
        "tracker": "avatarmake",
        "head_model": head.name,
        "head_model_digest": head.digest,
        "image_size": [512, 512],
        "focal": 1300.0,
        "frames": frames,
        "tracked": there,
        "missing": list(gaps),
    }
    (tracking / "tracker.json").write_text(json.dumps(tracker))
    for directory in (images, tracking):
        finish(directory)
    return subject


def finish(directory: Path, **facts) -> None:
    """Make a directory look like a finished stage's."""
    stamp = {"outputs": {"digest": directory.name}, "facts": facts, "seconds": 1.0, "peak_memory_mb": 100.0}
    (directory / RECEIPT).write_text(json.dumps(stamp))
