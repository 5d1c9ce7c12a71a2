"""A short film of the astronaut (scikit-image's, public domain): the portrait moved about, as frames/ of a subject."""

import json
import shutil

import numpy as np
import pytest

from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, frame_image
from tests.synthetic import finish


@pytest.fixture
def landmarker(assets, shared_data):
    """The real face_landmarker.task among the assets, for one test."""
    path = assets / "face_landmarker.task"
    if not (shared_data / path.name).exists():
        pytest.skip(f"needs {shared_data / path.name}, which is not part of the project")
    shutil.copy(shared_data / path.name, path)
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def portrait():
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="session")
def film(portrait):
    """film(data, frames, blank=(), two=False) -> Subject whose frames/ shows the portrait turning and drifting."""
    from PIL import Image

    from avatarmake.formats.images import write_jpeg

    face = Image.fromarray(portrait[:300, 80:380])

    def make(data, frames, blank=(), two=False, name="film") -> Subject:
        subject = Subject(data, name)
        directory = subject.directory("frames")
        directory.mkdir(parents=True)
        for i in range(frames):
            canvas = Image.new("RGB", (512, 512), (90, 100, 110))
            if i not in blank:
                turned = face.rotate(12 * np.sin(i / 9), Image.Resampling.BICUBIC, fillcolor=(90, 100, 110))
                size = round(380 + 30 * np.sin(i / 13))
                place = (round(60 + 20 * np.sin(i / 7)), round(70 + 10 * np.cos(i / 5)))
                canvas.paste(turned.resize((size, size)), place)
                if two:
                    canvas.paste(face.resize((150, 150)), (362, 0))
            write_jpeg(frame_image(directory, i + 1), np.asarray(canvas))
        crop = {
            "source": {"name": "film.mp4", "width": 512, "height": 512, "fps": 25.0, "frames": frames},
            "box": [0, 0, 512],
            "fps": 25.0,
            "image_size": [512, 512],
            "source_frames": list(range(frames)),
            "times": [i / 25 for i in range(frames)],
        }
        (directory / "crop.json").write_text(json.dumps(crop))
        finish(directory)
        return subject

    return make


@pytest.fixture
def track(capfd):
    """Run the stage as its command line does -> (exit code, stdout, stderr)."""
    from stages.track import STAGE, __main__

    def run(subject, *options):
        code = command(STAGE, __main__.run, [subject.name, "--data", str(subject.data), *options])
        return code, *capfd.readouterr()

    return run
