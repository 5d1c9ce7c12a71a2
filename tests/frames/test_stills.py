"""Frozen, doubled and black images."""

import numpy as np

from avatarmake.formats.images import write_jpeg
from avatarmake.stretches import runs, words
from stages.frames.stills import Stills, small_grey


def seen(images) -> Stills:
    stills = Stills()
    for image in images:
        stills.see(np.asarray(image, np.uint8))
    return stills


def grey(level, spot=0) -> np.ndarray:
    image = np.full((64, 64), level)
    image[30:34, 30:34] += spot
    return image


def test_a_frozen_stretch_and_a_doubled_frame():
    a, b, c, d, e = (grey(100, 9 * k) for k in range(1, 6))
    stills = seen([a, b, b, b + (np.arange(64) == 9), c, d, d, e])
    assert stills.repeats == [2, 3, 6] and stills.black == []


def test_a_slow_drift_is_not_still_for_long():
    assert all(first == last for first, last in runs(seen([grey(100 + k) for k in range(30)]).repeats))
    assert len(seen([grey(100, k) for k in range(30)]).repeats) < 25  # a spot that grows by one level an image


def test_a_small_mouth_that_moves_is_no_repetition():
    assert seen([grey(100, 6 * (k % 2)) for k in range(6)]).repeats == []


def test_black_images_are_black_and_nothing_else():
    stills = seen([grey(100), grey(4), grey(4), grey(100), grey(8, 120)])
    assert stills.black == [1, 2] and stills.repeats == [3]


def test_the_small_copy_is_the_image(tmp_path):
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, 256:] = 200
    write_jpeg(tmp_path / "a.jpg", image)
    small = small_grey(tmp_path / "a.jpg")
    assert small.shape == (64, 64) and small[:, :30].max() < 4 and abs(int(small[:, 34:].min()) - 200) < 4


def test_numbers_in_words():
    assert runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
    assert words([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10" and words([]) == ""
    assert words(range(0, 20, 2)) == "0, 2, 4, 6 and 6 more"
