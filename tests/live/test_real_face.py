"""A real face, live: what comes out is what the tracker finds in the whole video, by the same landmarks."""

import os

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.avatar import tracked
from avatarmake.avatar.model import view_of
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, frame_image
from avatarmake.detection import FaceMesh
from avatarmake.errors import Exit
from avatarmake.formats import images
from stages.frames import STAGE as FRAMES
from stages.frames.__main__ import run as cut
from stages.live.follower import AGAIN, Follower
from stages.live.session import joined
from stages.track import STAGE as TRACK
from stages.track.__main__ import run as track

pytestmark = pytest.mark.skipif(
    "AVATARMAKE_LONG" not in os.environ, reason="takes half a minute of a processor; AVATARMAKE_LONG=1 runs it"
)
RATE = 12  # half of the video's frames, so that it is short
SIDE, WIDTH = 480, 640


@pytest.fixture(scope="module")
def offline(tmp_path_factory, wojtek) -> Subject:
    """wojtek, tracked by landmarks, as live does."""
    who = Subject(tmp_path_factory.mktemp("data"), "wojtek")
    data = f"--data={who.data}"
    assert command(FRAMES, cut, [who.name, data, f"--video={wojtek}", f"--fps={RATE}"]) == Exit.OK
    assert command(TRACK, track, [who.name, data, "--no-refine", "--workers=1"]) == Exit.OK
    return who


def followed(who: Subject, frames: int, focal: float) -> dict[str, np.ndarray]:
    """The frames as a camera of 640 x 480 shows them -> what is told of each, by its number."""
    told, mesh = {}, FaceMesh(static=False)
    follower = Follower(head_model.load("open"), (WIDTH, SIDE), focal * WIDTH, mesh.detect)
    for k in range(frames):
        picture = np.full((SIDE, WIDTH, 3), 90, np.uint8)
        left = (WIDTH - SIDE) // 2
        face = images.read_rgb(frame_image(who.directory("frames"), k + 1))
        picture[:, left : left + SIDE] = images.resize(face, (SIDE, SIDE))
        if found := follower.follow(picture, k / RATE):
            told[round(found.time * RATE)] = follower.performance(np.array([found.time]), found.p[None])
        follower.settle()
    mesh.close()
    return told


@pytest.mark.parametrize(("focal", "expression"), [(2.06, 0.9), (1.2, 0.85)])
def test_it_is_the_tracking_of_the_whole_video(offline, focal, expression):
    """From when it was found who it is, for the second time. Of a camera whose focal length is not known, too: who it
    is comes out differently then, and with it what is expression."""
    whole = tracked.of_tracking(offline.directory("tracking"), offline.directory("frames"), offline.name)
    told = followed(offline, len(whole), focal)
    index = [k for k in told if k > (AGAIN[1] + 0.5) * RATE]
    ours, theirs = joined([told[k] for k in index]), whole.at(whole.times[index])
    pairs = {
        "expression": (ours.expression, theirs.expression),
        "jaw": (ours.jaw_pose[:, :1], theirs.jaw_pose[:, :1]),
        "gaze": (ours.eye_pose[:, [0, 1, 3, 4]], theirs.eye_pose[:, [0, 1, 3, 4]]),
        "lids": (ours.eyelids, theirs.eyelids),
        "head": (view_of(ours.R), view_of(theirs.R)),
    }
    centred = {name: [(x - x.mean(0)).ravel() for x in pair] for name, pair in pairs.items()}
    found = {name: float(a @ b / np.sqrt((a @ a) * (b @ b))) for name, (a, b) in centred.items()}
    assert found.pop("expression") >= expression
    assert min(found.values()) >= 0.9, found
