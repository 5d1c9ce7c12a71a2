"""A video whose face lies on its side is turned, and nothing else is."""

import json

import numpy as np
import pytest

from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, person_image
from avatarmake.errors import Exit
from avatarmake.formats.images import read_rgb
from stages.frames import STAGE
from stages.frames.__main__ import run
from stages.frames.turn import best_turn, turned


@pytest.fixture
def cut(tmp_path):
    """cut(video, *options) -> (exit code, crop.json or {}, frames/)."""

    def cut(made, *options):
        subject = Subject(tmp_path / "data", "someone")
        code = command(STAGE, run, [subject.name, "--data", str(subject.data), "--video", str(made), *options])
        path = subject.directory("frames") / "crop.json"
        return code, json.loads(path.read_text()) if path.exists() else {}, path.parent

    return cut


def test_quarter_turns_are_clockwise():
    image = np.arange(6).reshape(2, 3, 1)
    assert turned(image, 90)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert turned(image, 0) is image or (turned(image, 0) == image).all()


def test_the_turn_that_sets_the_face_upright(scene):
    upright = scene(320, 320, [(10, 10)])
    for degrees in (90, 180, 270):
        turn, seen, looked = best_turn([turned(upright, -degrees)])
        assert (turn, looked) == (degrees, 1) and seen[0] == 0, (degrees, seen)
    assert best_turn([upright])[0] == 0
    assert best_turn([np.full((200, 200, 3), 90, np.uint8)])[0] == 0


def test_a_turn_is_followed_when_asked_for(cut, scene, video):
    made = video([turned(scene(400, 300, [(60, 20)]), -90)] * 3)
    code, crop, _ = cut(made, "--turn", "90", "--samples", "2")
    assert code == Exit.OK and crop["turn"] == 90 and (crop["source"]["width"], crop["source"]["height"]) == (400, 300)
    assert cut(made, "--turn", "45")[0] == Exit.USAGE and cut(made, "--person", "both")[0] == Exit.USAGE


def test_sideways(cut, shared_data, capsys):
    code, crop, _ = cut(shared_data / "faults" / "sideways.mp4", "--fps", "5", "--samples", "3")
    assert code == Exit.OK and crop["turn"] == 90 and crop["people"] == [1.0]
    assert "lies on its side" in capsys.readouterr().err


def test_jump_cut(cut, shared_data, capsys):
    code, crop, frames = cut(shared_data / "faults" / "jump_cut.mp4", "--fps", "5", "--samples", "6")
    assert code == Exit.OK and crop["turn"] == 0 and [f["taken"] for f in crop["faces"]] == [True, True]
    x, _, side = crop["box"]
    assert x < 180 and x + side > 1057  # both places
    assert "never seen beside it: followed" in capsys.readouterr().err
    assert [read_rgb(person_image(frames, n)).shape for n in (1, 2)] == [(160, 160, 3)] * 2


@pytest.mark.parametrize(("options", "left", "right"), [((), 800, 1000), (("--person", "left"), 210, 350)])
def test_two_people(cut, shared_data, capsys, options, left, right):
    code, crop, _ = cut(shared_data / "faults" / "two_people.mp4", "--fps", "5", "--samples", "3", *options)
    x, _, side = crop["box"]
    assert code == Exit.OK and x < left and right < x + side < right + 250
    assert "2 faces: 1 right" in capsys.readouterr().err
    times = np.array(crop["path"])[:, 0]
    assert (np.diff(times) > 0).all() and times[0] == 0 and (np.abs(np.array(crop["path"])[:, 1] - 256) < 60).all()
