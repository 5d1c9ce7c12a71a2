"""A face followed as it comes: what is found is what was done, a lost face comes back, and nothing is waited for."""

import numpy as np
import pytest

from stages.live.follower import AGAIN, FEWEST, Follower
from tests.live.conftest import FOCAL, IMAGE, RATE, SIZE, Moving, correlation


def followed(moving: Moving, lag: int = 1) -> tuple[Follower, list]:
    moving.asked = 0
    follower = Follower(moving.head, SIZE, FOCAL, moving.detect, lag)
    told = []
    for k in range(len(moving)):
        told.append(follower.follow(IMAGE, k / RATE))
        follower.settle()  # so that a result does not depend on the machine's load
    return follower, told


@pytest.fixture(scope="module")
def run(moving) -> tuple[Follower, list]:
    return followed(moving)


def test_it_waits_for_the_first_second_and_no_longer(run):
    follower, told = run
    first = next(k for k, found in enumerate(told) if found)
    assert first == round(RATE) + 1 and first > FEWEST
    assert len(follower.first) == round(RATE) + 1 and follower.first.fps == pytest.approx(RATE)


def test_what_is_found_is_what_was_done(run, moving):
    follower, told = run
    after = round((AGAIN[1] + 0.5) * RATE)
    found = [f for f in told[after:] if f]
    index = [round(f.time * RATE) for f in found]
    ours = follower.performance(np.array([f.time for f in found]), np.stack([f.p for f in found]))
    assert correlation(ours.jaw_pose[:, 0], moving.jaw_pose[index, 0]) > 0.95
    assert correlation(ours.expression[:, 0], moving.expression[index, 0]) > 0.9
    assert correlation(ours.eyelids.mean(1), moving.eyelids[index].mean(1)) > 0.9
    assert np.abs(ours.R - moving.R[index]).max() < 0.1
    assert ours.head_model_digest == moving.head.digest and ours.image_size == SIZE


def test_a_face_that_is_lost_comes_back(run, moving):
    _, told = run
    assert all(told[k] is None for k in moving.lost)
    assert told[moving.lost.stop] is not None  # at once
    assert told[moving.lost.stop].time == moving.lost.stop / RATE


@pytest.mark.parametrize("lag", [0, 2])
def test_it_is_as_late_as_was_asked(lag):
    _, told = followed(Moving(50), lag)
    assert [round(f.time * RATE) for f in told[-5:]] == [k - lag for k in range(45, 50)]


def test_frames_that_were_left_out_are_not_smoothed_over(moving):
    moving.asked = 0
    follower = Follower(moving.head, SIZE, FOCAL, moving.detect)
    for k in range(40):
        follower.follow(IMAGE, k / RATE)
    follower.follow(IMAGE, 41 / RATE + 0.5)
    follower.settle()
    numbers = [number for _, number, *_ in follower._window]
    assert numbers[-1] - numbers[-2] > 2 and numbers[-2] - numbers[-3] == 1
