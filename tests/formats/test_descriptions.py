"""crop.json, tracker.json, index.json: what is missing or of another kind is named, with the target that mends it."""

import json

import pytest

from avatarmake.errors import StageError
from avatarmake.formats.descriptions import read_crop, read_index, read_tracker

CROP = {
    "source": {"width": 640, "height": 360},
    "box": [64, 0, 300],
    "fps": 25,
    "source_frames": [0, 2],
    "times": [0, 0.08],
    "more": None,
}
INDEX = {
    "head_model": "open",
    "head_model_digest": "ab",
    "image_size": [512, 512],
    "fps": 25.0,
    "focal": 1300,
    "images": [1, 2],
    "source_frames": [0, 2],
    "times": [0, 0.08],
}


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "x.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_whole_ones_come_back(written):
    assert read_crop(written(CROP), "roman") == CROP and read_index(written(INDEX), "roman") == INDEX
    assert read_tracker(written({"head_model": "open"}), "roman") == {"head_model": "open"}
    outside = CROP | {"box": [126, -79, 986]}  # the head is near the frame's edge
    assert read_crop(written(outside), "roman") == outside
    few = {"fps": 25, "source_frames": [0]}
    assert read_crop(written(few), "roman", "fps", "source_frames") == few


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read: Expecting"),
        ("[" * 100_000, "cannot be read: maximum recursion"),
        ([1], "holds a list, expected an object"),
        ({k: v for k, v in INDEX.items() if k != "fps"}, "it has no fps"),
        (INDEX | {"fps": 0}, "fps is 0, expected a number above 0"),
        (INDEX | {"fps": float("inf")}, "fps is Infinity, expected a number above 0"),
        (INDEX | {"fps": True}, "fps is true, expected a number above 0"),
        (INDEX | {"images": [0, 1]}, "images is [0, 1], expected whole numbers from 1 that rise"),
        (INDEX | {"images": [2, 2]}, "images is [2, 2], expected whole numbers from 1 that rise"),
        (INDEX | {"images": list(range(400))}, "images is [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1 ..., expected"),
        (INDEX | {"images": [1]}, "it has 1 images, 2 source_frames, 2 times"),
        (INDEX | {"source": {"size": [640, 360]}}, "expected size and box"),
        (INDEX | {"source": {"size": [640, 360], "box": [0, 0, 0]}}, "expected size and box"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(written, content, said):
    path = written(content)
    with pytest.raises(StageError) as e:
        read_index(path, "roman")
    assert said in e.value.what and e.value.where == str(path) and e.value.next == "Run: make convert ID=roman"
