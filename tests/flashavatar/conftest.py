import sys
from pathlib import Path

import pytest
import torch

from avatarmake import head_model, patches
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit, StageError
from tests.flashavatar import standins
from tests.flashavatar_tree import subject as subjects

THEIRS = ("utils", "scene", "src", "flame", "arguments", "gaussian_renderer")
OVERLAYS = ("neighbours", "perceptual", "plain_files", "rotations_6d", "splatting", "uv_mesh")


def _forget() -> None:
    sys.path[:] = [folder for folder in sys.path if not (Path(folder) / "gaussian_renderer").is_dir()]
    for name in list(sys.modules):
        if name.split(".")[0] in THEIRS + OVERLAYS:
            del sys.modules[name]
    torch.serialization.clear_safe_globals()  # what frame_arrays.py allows is for all of this process


@pytest.fixture(autouse=True)
def no_modules_left():
    """What a test imports of a patched copy is called `utils`, `scene` ...: the next test's is another."""
    _forget()  # what the fixtures of a whole module have left
    yield
    _forget()


@pytest.fixture(scope="session")
def patched() -> Path:
    """The patched copy of the user's checkout."""
    try:
        return patches.prepare("FlashAvatar")
    except StageError as e:
        if e.exit != Exit.MISSING_ASSET:
            raise
        pytest.skip(f"needs a checkout of FlashAvatar: {e}")


@pytest.fixture(scope="session")
def weights(common) -> Path:
    """A folder of assets with stand-ins for what is licensed; of the Gaussians there are a tenth, for speed."""
    return common("flashavatar-assets", lambda folder: standins.make(folder, filled=0.3))


@pytest.fixture
def environment(monkeypatch, weights, tmp_path_factory) -> Path:
    """The assets, and a cache for the head model that is made of them."""
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(weights))
    monkeypatch.setenv("AVATARMAKE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)  # two that wait for each other take ten times as long on a busy machine
    return weights


@pytest.fixture
def tracked(environment, tmp_path):
    """tracked(frames) -> a subject with dataset/ and masks/ of so many frames, tracked with FLAME."""

    def write(frames: int) -> Subject:
        return subjects.write(tmp_path / "data", frames, "flame", head_model.load("flame").digest)

    return write
