import contextlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from avatarmake import ROOT, patches
from avatarmake.contract import layout
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit, StageError
from avatarmake.formats import images
from tests.flame_head_tracker import small_sources, standins
from tests.synthetic import finish

OVERLAY = ROOT / "patches" / "flame-head-tracker" / "overlay"
FRAMES, BLANK, BATCH = 8, (2, 6, 7), 3  # the last batch has no face at all
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
        if e.exit != Exit.MISSING_ASSET:
            raise
        pytest.skip(f"needs a checkout of flame-head-tracker: {e}")


@pytest.fixture(scope="session")
def weights(tmp_path_factory, patched, shared_data) -> Path:
    """A folder of assets: the real Face Landmarker, and stand-ins for what is licensed."""
    with _imports(patched):
        from utils.mp2dlib import mp2dlib_correspondence
    folder = tmp_path_factory.mktemp("assets")
    standins.make(folder, mp2dlib_correspondence)
    shutil.copy(shared_data / "face_landmarker.task", folder)  # a container would not see where a link points
    return folder


@pytest.fixture(scope="session")
def subject(tmp_path_factory, wojtek) -> Subject:
    """Eight frames of wojtek.mp4, three of them grey."""
    av = pytest.importorskip("av")
    subject = Subject(tmp_path_factory.mktemp("data"), "wojtek")
    frames = subject.directory("frames")
    frames.mkdir(parents=True)
    with av.open(str(wojtek)) as video:
        for i, frame in zip(range(FRAMES), video.decode(video=0), strict=False):
            rgb = frame.to_ndarray(format="rgb24")
            assert rgb.shape == (512, 512, 3)
            images.write_jpeg(layout.frame_image(frames, i + 1), np.full_like(rgb, 128) if i in BLANK else rgb)
    crop = {"fps": 25.0, "source_frames": list(range(FRAMES)), "times": [i / 25 for i in range(FRAMES)]}
    crop |= {"source": {"width": 512, "height": 512}, "box": [0, 0, 512]}
    (frames / "crop.json").write_text(json.dumps(crop))
    finish(frames)
    return subject


@contextlib.contextmanager
def _imports(folder: Path):
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "utils"]:
            del sys.modules[name]
