"""Frames that are not to be trusted: what a second look says, and what is made of it."""

import numpy as np
import pytest

from stages.track import points
from stages.track.doubt import NO_FACE, PROBE, VIEWS, Doubts, blurred, covered, detail, disagreement, look_again

IMAGE = np.zeros((512, 512, 3), np.uint8)


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """(478,2): landmarks that fill a square of 200 px in the image's middle."""
    made = np.random.default_rng(0).uniform(156, 356, (478, 2)).astype(np.float32)
    made[list(points.OUTER_CORNERS)] = (206, 250), (306, 250)
    return made


@pytest.mark.parametrize("view", range(len(VIEWS)))
def test_a_second_look_is_at_the_same_face(face, view):
    """A detector that sees the true points of whatever window it is given."""
    centre, extent = (face.min(0) + face.max(0)) / 2, float(np.ptp(face, axis=0).max())

    def look(window, near):
        scale = int(VIEWS[view][1] * extent) / window.shape[0]
        corner = centre - near[0] * scale  # follows from where the face's centre is said to be
        return np.concatenate([(face - corner) / scale, np.zeros((478, 1))], 1)

    assert np.abs(look_again(look, IMAGE, face, view) - face).max() < 0.01
    assert look_again(lambda window, near: None, IMAGE, face, view) is None


def test_looks_disagree_by_their_worst_part(face):
    moved = face.copy()
    moved[list(points.INNER_LIPS + points.OUTER_LIPS), 0] += 6
    assert disagreement([face, face]) == 0
    assert disagreement([face, face, moved]) == pytest.approx(6 / (0.03 * 100), rel=0.01)  # the eyes are 100 px apart
    assert disagreement([face, None]) == NO_FACE


def test_detail_is_what_blur_takes_away(face):
    sharp = np.random.default_rng(0).integers(0, 255, (512, 512, 3)).astype(np.uint8)
    smeared = np.stack([np.roll(sharp, k, 1).astype(np.float32) for k in range(12)]).mean(0).astype(np.uint8)
    assert detail(smeared, face) < 0.4 * detail(sharp, face)


class Camera:
    """A detector of frames in which the face of some is covered; counts its looks."""

    def __init__(self, face, hidden):
        self.face, self.hidden, self.looks = face, hidden, 0

    def read(self, index):
        return np.full((512, 512, 3), index, np.uint8)

    def look(self, window, near):
        self.looks += 1
        return None if int(window[0, 0, 0]) in self.hidden else "agrees"


@pytest.fixture
def doubts(face, monkeypatch):
    """doubts(frames, hidden) -> Doubts of one chunk, the camera."""
    from stages.track import doubt

    def judged(look, image, landmarks, view):
        return None if look(image, None) is None else face

    monkeypatch.setattr(doubt, "look_again", judged)

    def make(frames, hidden):
        camera = Camera(face, set(hidden))
        made = Doubts(camera.look, camera.read, True, 0, frames)
        for i in range(frames):
            made.see(i, camera.read(i), face)
        made.settle(np.repeat(face[None], frames, 0))
        return made, camera

    return make


def test_nobody_looks_closer_where_nothing_is_doubtful(doubts):
    made, camera = doubts(60, ())
    assert camera.looks == 60 // PROBE + 2 and covered(made.scores).tolist() == []


def test_a_covered_stretch_is_found_to_the_frame(doubts):
    made, camera = doubts(100, range(20, 45))
    assert covered(made.scores).tolist() == list(range(20, 45))
    assert camera.looks < 100


def test_where_everything_is_doubtful_the_video_is(doubts):
    made, camera = doubts(60, range(60))
    assert camera.looks == 9 and covered(made.scores).tolist() == []


def test_a_single_doubt_is_chance_and_gaps_between_doubts_are_closed():
    scores = np.full(60, np.nan)
    scores[::PROBE] = 0.4
    scores[12] = 3
    assert covered(scores).tolist() == []
    scores[[30, 33, 36]] = 3
    assert covered(scores).tolist() == list(range(30, 37))
    assert covered(np.full(5, np.nan)).tolist() == []


def test_a_noisy_video_has_a_measure_of_its_own():
    scores = np.full(120, np.nan)
    scores[::PROBE] = 1.2
    scores[60:72] = 2.0
    assert covered(scores).tolist() == []
    scores[60:72] = 4.0
    assert covered(scores).tolist() == list(range(60, 72))


def test_blurred_is_against_the_second_around():
    details = np.linspace(4, 8, 100)
    details[50:55] = 1.5
    details[70] = np.nan
    assert blurred(details, 25).tolist() == list(range(50, 55))
