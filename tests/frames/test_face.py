"""Which face, and the square around it."""

import numpy as np
import pytest

from stages.frames.face import square_around
from stages.frames.people import find_people


def rectangles(*centres, size=100):
    return np.array([(x - size * 0.4, y - size / 2, x + size * 0.4, y + size / 2) for x, y in centres])


def test_square_holds_hair_and_neck_and_motion():
    x, y, side = square_around(rectangles((900, 500), (1000, 520)), 0.6, 1920, 1080)
    assert side == pytest.approx(180 + 120, abs=2)
    assert x <= 860 - 40 and x + side >= 1040 + 40 and y <= 450 - 60 and y + side >= 570 + 60


def test_square_stays_inside_and_moves_over_first():
    x, y, side = square_around(rectangles((60, 80)), 0.6, 1920, 1080)
    assert (x, y) == (0, 0) and side == 220


def test_a_head_crop_stays_as_it_is():
    assert square_around(rectangles((250, 260), (270, 250), size=200), 0.6, 512, 512) == (0, 0, 512)


def test_square_reaches_outside_only_for_the_head_itself():
    x, y, side = square_around(rectangles((320, 180), size=340), 0.6, 640, 360)
    assert side == pytest.approx(340 + 2 * 0.35 * 340, abs=2)
    assert y < 0 and y + side > 360 and x > 0 and x + side < 640


def test_a_mistaken_rectangle_does_not_count():
    good = rectangles((500, 500), (510, 500), (505, 505))
    assert square_around(np.concatenate([good, rectangles((1500, 500), size=400)]), 0.6, 1920, 1080) == square_around(
        good, 0.6, 1920, 1080
    )


def test_the_larger_of_two_faces(scene, portrait):
    """The other is half the size, and comes first in the image."""
    large = portrait.repeat(2, 0).repeat(2, 1)
    images = []
    for i in range(4):
        image = scene(960, 720, [(20, 60)]).copy()
        image[:, 350 + 8 * i : 930 + 8 * i] = large[:, :580]
        images.append(image)
    people, samples = find_people(images)
    assert samples == 4 and len(people) == 2
    assert all(len(p.rectangles) == 4 for p in people)
    assert all(r[0] > 400 for r in people[0].rectangles) and all(r[2] < 300 for r in people[1].rectangles)


def test_a_face_that_leaves_and_comes_back_is_one(scene):
    images = [scene(640, 480, [(150 if i not in (2, 3) else 640, 60)]) for i in range(6)]
    people, _ = find_people(images)
    assert len(people) == 1 and len(people[0].rectangles) == 4


def test_a_small_face_in_a_wide_frame_is_found_by_looking_closer(scene):
    people, _ = find_people([scene(1920, 1080, [(1500 + i, 300)], shrink=2) for i in range(2)])
    assert len(people) == 1
    x0, y0, x1, y1 = people[0].rectangles[0]
    assert 1540 < (x0 + x1) / 2 < 1600 and 330 < (y0 + y1) / 2 < 380 and 25 < y1 - y0 < 70
