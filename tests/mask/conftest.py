"""A dataset of one portrait that drifts: scikit-image's astronaut (public domain), the open head fitted by its pose."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
data = pytest.importorskip("skimage.data")

from avatarmake import head_model  # noqa: E402
from avatarmake.contract import layout  # noqa: E402
from avatarmake.contract.command import command  # noqa: E402
from avatarmake.detection import FaceMesh  # noqa: E402
from avatarmake.errors import Exit  # noqa: E402
from avatarmake.formats.frame import FrameRecord, write_frame  # noqa: E402
from avatarmake.formats.images import resize, write_jpeg  # noqa: E402
from avatarmake.geometry import cameras  # noqa: E402
from stages.mask import STAGE  # noqa: E402
from stages.mask.__main__ import run  # noqa: E402
from tests.synthetic import finish  # noqa: E402

FRAMES = 5
FOCAL = 1500.0


def portrait(step: int) -> np.ndarray:
    """(512,512,3): face about (230, 210), orange suit below; `step` pixels of the photograph to the side."""
    return resize(data.astronaut()[0:300, 80 - step : 380 - step], (512, 512))


def pose(image: np.ndarray) -> FrameRecord:
    """The neutral open head where the face is."""
    model = head_model.load("open")
    with FaceMesh() as mesh:
        seen = mesh.detect(image)[model.landmark_ids, :2].astype(np.float64)
    points = model.landmarks(model.v_template[None])[0].astype(np.float64)
    intrinsics = cameras.intrinsics_from_focal(FOCAL, (512, 512))
    guess = np.array([[np.pi], [0], [0]]), np.array([[0.0], [0], [1]])  # x right, y down, z forward
    _, r, t = cv2.solvePnP(points, seen, intrinsics, None, *guess, useExtrinsicGuess=True)
    level = np.eye(3, dtype=np.float32)[:2].ravel()
    return FrameRecord(
        shape=np.zeros(300, np.float32),
        expression=np.zeros(100, np.float32),
        jaw_rot6d=level,
        eyes_rot6d=np.tile(level, 2),
        eyelids=np.zeros(2, np.float32),
        R=cv2.Rodrigues(r)[0],
        t=t[:, 0],
        intrinsics=intrinsics,
    )


def write_dataset(root: Path, images: list[np.ndarray], records: list[FrameRecord]) -> None:
    for folder in ("imgs", "checkpoint"):
        (root / folder).mkdir(parents=True)
    for i, (image, record) in enumerate(zip(images, records, strict=True)):
        write_jpeg(layout.dataset_image(root, i + 1), image)
        write_frame(layout.checkpoint_file(root, i), record, i)
    model, numbers = head_model.load("open"), list(range(1, len(images) + 1))
    index = {
        "head_model": model.name,
        "head_model_digest": model.digest,
        "image_size": [512, 512],
        "source": {"size": [1000, 512], "box": [100, 0, 512]},
        "fps": 25,
        "focal": FOCAL,
        "images": numbers,
        "source_frames": numbers,
        "times": numbers,
    }
    (root / "index.json").write_text(json.dumps(index))
    finish(root)


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    """The user's folder of assets."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(folder))
    return folder


@pytest.fixture(scope="session")
def record() -> FrameRecord:
    """The pose of portrait(0)."""
    return pose(portrait(0))


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    return [portrait(i) for i in range(FRAMES)]


@pytest.fixture(scope="session")
def made(tmp_path_factory, images, record) -> layout.Subject:
    """A finished dataset of FRAMES images, whose records follow the drift, and its masks. Copied, never changed."""
    subject = layout.Subject(tmp_path_factory.mktemp("made"), "someone")
    moves = [512 / 300 * i for i in range(FRAMES)]  # pixels
    records = [replace(record, t=record.t + [m * record.t[2] / FOCAL, 0, 0]) for m in moves]
    write_dataset(subject.directory("dataset"), images, records)
    assert command(STAGE, run, [subject.name, "--data", str(subject.data), "--workers", "1"]) == Exit.OK
    return subject


@pytest.fixture
def subject(tmp_path, made) -> layout.Subject:
    """The dataset without masks."""
    copy = layout.Subject(tmp_path / "data", made.name)
    shutil.copytree(made.directory("dataset"), copy.directory("dataset"))
    return copy


@pytest.fixture
def masks(subject, made) -> Path:
    """The subject's masks as this stage makes them."""
    return shutil.copytree(made.directory("masks"), subject.directory("masks"))
