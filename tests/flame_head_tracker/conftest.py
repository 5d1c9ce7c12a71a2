import contextlib
import os
import sys
from pathlib import Path

import pytest

from stages import patches
from stages.contract import ROOT
from stages.errors import StageError
from tests.flame_head_tracker import small_sources, standins

OVERLAY = ROOT / "patches" / "flame-head-tracker" / "overlay"
THEIRS = ("utils", "submodules", "tracker_base", "tracker_video", "landmark_mode", "plain_files")


@pytest.fixture(autouse=True)
def no_modules_left():
    """What a test imports of a patched copy is called `utils`, `tracker_base` ...: the next test's is another."""
    path, before = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.split(".")[0] in THEIRS:
            del sys.modules[name]


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """Our own small sources, patched; where they are."""
    folder = tmp_path_factory.mktemp("small")
    for name, text in small_sources.FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    patches.rehearse("flame-head-tracker", folder)
    return folder


@pytest.fixture(scope="session")
def patched() -> Path:
    """The patched copy of the user's checkout."""
    try:
        return patches.prepare("flame-head-tracker")
    except StageError as e:
        pytest.skip(f"needs a checkout of flame-head-tracker: {e}")


@pytest.fixture(scope="session")
def weights(tmp_path_factory, patched, shared_data) -> Path:
    """A folder of assets: the real Face Landmarker, and stand-ins for what is licensed."""
    with _imports(patched):
        from utils.mp2dlib import mp2dlib_correspondence
    folder = tmp_path_factory.mktemp("assets")
    standins.make(folder, mp2dlib_correspondence)
    os.symlink(shared_data / "face_landmarker.task", folder / "face_landmarker.task")
    return folder


@contextlib.contextmanager
def _imports(folder: Path):
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "utils"]:
            del sys.modules[name]
