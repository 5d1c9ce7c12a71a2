"""Who is in a video, and whose face the box is cut around."""

import numpy as np
import pytest

from avatarmake.errors import Exit, StageError
from stages.frames.face import Face
from stages.frames.people import Person, choose

WIDTH, HEIGHT = 1280, 720
MAN, WOMAN = np.eye(144, dtype=np.float32)[[20, 30]]
BLACK, WHITE = np.eye(64, dtype=np.float32)[[0, 63]]


def person(x, samples, tall=150.0, y=400.0, colours=MAN, dress=BLACK) -> Person:
    """A face centred at (x, y) in some samples."""
    made = Person()
    rectangle = np.array([x - 0.4 * tall, y - tall / 2, x + 0.4 * tall, y + tall / 2])
    for sample in samples:
        made.see(Face(rectangle, True, colours, dress, np.zeros((2, 2, 3), np.uint8)), sample)
    return made


def chosen(people, word="largest", samples=10):
    return choose(sorted(people, key=lambda p: -p.weight), samples, word, 0.6, WIDTH, HEIGHT)


def holds(box, person) -> bool:
    x, y, side = box
    x0, y0, x1, y1 = person.typical
    return x <= x0 and y <= y0 and x1 <= x + side and y1 <= y + side


def test_one_face_needs_no_word():
    choice = chosen([person(640, range(10)), person(100, [3], colours=WOMAN)], samples=32)
    assert choice.line("x") is None and len(choice.faces) == 1


def test_of_two_the_larger_and_how_to_take_the_other():
    large, small = person(900, range(10), tall=210), person(280, range(10))
    choice = chosen([small, large])
    assert choice.taken == [large] and holds(choice.box, large) and not holds(choice.box, small)
    line = choice.line("roman")
    assert "1 right, 210 px tall, 100% of the video, taken; 2 left, 150 px tall, 100% of the video, not taken" in line
    assert "make frames ID=roman PERSON=left, right or 1 to 2" in line
    for word in ("left", "2"):
        assert chosen([small, large], word).taken == [small]
    for word in ("right", "1"):
        assert chosen([small, large], word).taken == [large]
    assert [f["taken"] for f in chosen([small, large], "left").records()] == [False, True]


def test_who_is_not_there_cannot_be_taken():
    with pytest.raises(StageError, match="person 3 is asked for, and 2 can be seen") as e:
        chosen([person(900, range(10)), person(280, range(10))], "3")
    assert e.value.exit == Exit.USAGE


def test_one_person_is_followed_over_a_cut():
    before, after = person(250, range(5)), person(990, range(5, 10), tall=152)
    choice = chosen([before, after])
    assert len(choice.taken) == 2 and holds(choice.box, before) and holds(choice.box, after)
    line = choice.line("x")
    assert "2 left, 150 px tall, 50% of the video, the same person by colour, never seen beside it: followed" in line
    assert "the crop shows it only" in line
    path = choice.path()
    assert [p[0] for p in path] == list(range(10)) and path[0][1] < 128 < 384 < path[9][1]
    alone = chosen([before, after], "left")
    assert alone.taken == [before] and not holds(alone.box, after)


@pytest.mark.parametrize(
    "other",
    [
        {"samples": range(5, 10), "colours": WOMAN},
        {"samples": range(5, 10), "dress": WHITE},
        {"samples": range(4, 10)},  # in one frame both are there
    ],
)
def test_who_looks_different_or_stands_beside_is_another(other):
    assert len(chosen([person(250, range(5), tall=250), person(990, **other)]).taken) == 1


def test_clothes_outside_the_frame_say_nothing():
    assert len(chosen([person(250, range(5)), person(990, range(5, 10), dress=0 * BLACK)]).taken) == 2


def test_a_place_too_far_off_for_one_crop_is_left_out_and_said():
    choice = chosen([person(100, range(6), tall=60), person(1200, range(6, 10), tall=60)])
    assert len(choice.taken) == 1 and len(choice.left_out) == 1
    assert "too far off for one crop: not taken" in choice.line("x")


def test_a_close_up_and_a_wide_shot_of_one_person_are_both_in_the_box():
    close, wide = person(640, range(6), tall=320, y=360), person(420, range(6, 10), tall=130)
    choice = chosen([close, wide])
    assert len(choice.taken) == 2 and holds(choice.box, close) and holds(choice.box, wide)
