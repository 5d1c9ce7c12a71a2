"""A subject with an avatar of random numbers: every term of the formulas counts, and nothing has to be trained."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from avatarmake.avatar import tracked
from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import Avatar, view_of
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.body import Body
from stages.train.avatar import fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer
from stages.view import STAGE, __main__
from tests import synthetic
from tests.train import subject as small
from tests.view.browser import missing

JAVASCRIPT = Path(__file__).with_name("javascript")
FRAMES, GAUSSIANS = 24, 3000


def write_checkpoint(path: Path, dataset: Dataset) -> None:
    parts = split(len(dataset))
    avatar = fresh(dataset, parts.train, GAUSSIANS, 0, choose("cpu"))
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor, scale in ((avatar.network.base, 0.12), (avatar.network.out.weight, 0.15)):
            tensor.copy_(torch.randn(tensor.shape, generator=rng) * scale)
    trainer = Trainer(avatar, dataset, parts, Schedule(1, 64, 0.5, 0), 40)
    state = trainer.state() | {"body": torch.tensor(0.3, dtype=torch.float64)}  # one that stays behind the head
    del state["optimiser"]
    path.parent.mkdir()
    torch.save(state, path)


@pytest.fixture(scope="session")
def subject(tmp_path_factory) -> Subject:
    """dataset/ and avatar/, finished; and a drive by anna."""
    who = Subject(tmp_path_factory.mktemp("data"), "small")
    dataset = Dataset(*small.write(who.root, FRAMES, size=64, gaussians=500))
    write_checkpoint(who.directory("avatar") / "checkpoint.pt", dataset)
    small.refined(who.root)
    for name in ("dataset", "avatar"):
        synthetic.finish(who.directory(name))
    write_drive(who, "anna", 9)
    return who


def write_drive(who: Subject, name: str, frames: int) -> None:
    """drives/<name>: the last frames of its own video, as `drive` would leave them."""
    own = tracked.of_dataset(who.directory("refined"), who.name)
    place = who.directory(f"drives/{name}")
    place.mkdir(parents=True)
    own.at(own.times[-frames:]).write(place / "parameters.npz")
    synthetic.finish(place)


@pytest.fixture(scope="session")
def viewed(subject) -> Subject:
    """The same, and view/."""
    assert command(STAGE, __main__.run, [subject.name, "--data", str(subject.data)]) == Exit.OK
    return subject


@pytest.fixture(scope="session")
def avatar(subject) -> Avatar:
    return Avatar.read(subject)


@pytest.fixture(scope="session")
def poses(subject, avatar) -> list[dict]:
    """Ten frames' parameters: five that were tracked, five beyond what training saw."""
    own = tracked.of_dataset(subject.directory("refined"), "small")
    body, rng, found = avatar.body(own), np.random.default_rng(3), []
    for k in range(10):
        i = (7 * k) % FRAMES
        p, view, translation = own.parameters(i), view_of(own.R[i]), own.t[i].copy()
        body_view = view_of(own.R[i] @ body.turn[i])
        body_translation = own.R[i] @ body.shift[i] + own.t[i]
        if k >= 5:
            sizes = (1, 0.1, 0.2, 0.3)
            p = Parameters(*(a + rng.normal(size=a.shape) * size for a, size in zip(p, sizes, strict=True)))
            view, translation = view + rng.normal(size=3) * 0.3, translation + rng.normal(size=3) * [0.02, 0.02, 0.1]
        places = {"view": view, "translation": translation}
        places |= {"body_view": body_view, "body_translation": body_translation}
        found.append({name: np.float32(value).tolist() for name, value in (p._asdict() | places).items()})
    return found


def unpacked(pose: dict) -> tuple[Parameters, np.ndarray, np.ndarray, np.ndarray, Body]:
    """-> parameters, view, world-to-camera rotation and translation, body."""
    values = [np.array(value, np.float32) for value in pose.values()]
    view, translation, body_view, body_translation = values[4:]
    rotation, own = (cameras.FLIP @ rotations.matrix_from_axis_angle(v.astype(np.float64)) for v in (view, body_view))
    body = Body((rotation.T @ own)[None], (rotation.T @ (body_translation - translation))[None])
    body = Body(*(part.astype(np.float32) for part in body))
    return Parameters(*values[:4]), view, rotation, translation, body


@pytest.fixture
def node(tmp_path):
    """Runs tests of javascript/ by node; they find `values`, JSON, and `files`, bytes, in the folder VALUES."""
    if shutil.which("node") is None:
        pytest.skip("needs node, which runs JavaScript without a browser. apt-get install nodejs")

    def run(test: str, values: dict, **files: bytes) -> None:
        (tmp_path / "values.json").write_text(json.dumps(values))
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        words = ["node", "--test", str(JAVASCRIPT / f"{test}.test.js")]
        environment = os.environ | {"VALUES": str(tmp_path)}
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert "# fail 0" in done.stdout and "# pass 0" not in done.stdout, done.stdout

    return run


@pytest.fixture(scope="session")
def needs_browser() -> None:
    if missing():
        pytest.skip(f"needs {' and '.join(missing())}, which show the page. apt-get install chromium chromium-driver")
