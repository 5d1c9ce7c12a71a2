"""Headers and .frame files read with the standard library agree with Pillow and numpy, and run nothing."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from avatarmake.errors import StageError
from avatarmake.flashavatar_tree.plain import frame_values, image_format
from avatarmake.formats.frame import read_frame, write_frame
from stages.convert.record import convert
from tests.synthetic import performance


@pytest.mark.parametrize(
    ("mode", "name", "options", "channels"),
    [
        ("RGB", "a.jpg", {"progressive": True}, 3),
        ("L", "a.jpg", {"comment": b"x" * 1000}, 1),
        ("RGB", "a.png", {}, 3),
        ("L", "a.png", {}, 1),
        ("LA", "a.png", {}, 2),
        ("RGBA", "a.png", {}, 4),
        ("P", "a.png", {}, 0),
        ("1", "a.png", {}, 0),
        ("I;16", "a.png", {}, 0),
    ],
)
def test_image_format(tmp_path, mode, name, options, channels):
    Image.new(mode, (37, 21)).save(tmp_path / name, **options)
    assert image_format(tmp_path / name) == (37, 21, channels)


def test_size_is_the_images_and_not_its_thumbnails(tmp_path):
    thumbnail = io.BytesIO()
    Image.new("L", (8, 8)).save(thumbnail, "JPEG")
    exif = b"Exif\0\0" + thumbnail.getvalue()  # a JPEG within the first segment, as cameras write them
    Image.new("RGB", (37, 21)).save(tmp_path / "a.jpg", exif=exif)
    assert image_format(tmp_path / "a.jpg") == (37, 21, 3)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n\0"])
def test_what_is_no_image_is_named(tmp_path, content):
    (tmp_path / "00001.jpg").write_bytes(content)
    with pytest.raises(StageError, match="00001.jpg: is (truncated|neither JPEG nor PNG)"):
        image_format(tmp_path / "00001.jpg")


def test_frame_values_are_what_the_format_reads(tmp_path):
    path = tmp_path / "00003.frame"
    write_frame(path, convert(performance(3), "the test"), 3)
    values, record = frame_values(path), read_frame(path)
    assert values["img_size"] == (512, 512) and values["frame_id"] == 3
    for name, array in {"exp": record.expression, "shape": record.shape, "jaw": record.jaw_rot6d}.items():
        np.testing.assert_array_equal(np.float32(values["flame"][name]), array)
    np.testing.assert_array_equal(np.float32(values["opencv"]["K"]).reshape(3, 3), record.intrinsics)


def test_a_frame_runs_nothing(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "attacked"), "w"))

    path = tmp_path / "roman" / "dataset" / "checkpoint" / "00000.frame"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"flame": Attack()}, protocol=2))
    with pytest.raises(StageError, match="asks for io.open.*make convert ID=roman"):
        frame_values(path)
    assert not (tmp_path / "attacked").exists()
