"""A real talking head: what the issue asks of the tracker. Skipped where the video is not."""

import numpy as np
import pytest

from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, tracking_file
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit
from avatarmake.formats.tracking import read_tracking


@pytest.fixture(scope="module")
def cut(wojtek, tmp_path_factory) -> Subject:
    """The video's frames/."""
    pytest.importorskip("av")
    from stages.frames import STAGE, __main__

    data = tmp_path_factory.mktemp("data")
    assert command(STAGE, __main__.run, ["wojtek", "--data", str(data), "--video", str(wojtek)]) == Exit.OK
    return Subject(data, "wojtek")


def test_with_the_landmarker(cut, landmarker, track):
    """As good as with the mesh, and what the two networks say of the lids agrees."""
    assert track(cut, "--force")[0] == Exit.OK
    directory = cut.directory("tracking")
    facts = receipt(directory)["facts"]
    assert facts["detector"] == "landmarker" and facts["frames_out"] == 400
    assert facts["landmark_error_pct"]["median"] <= 1.5
    assert facts["jitter_px"] < 0.5 * facts["jitter_px_raw"]
    tracked = [read_tracking(tracking_file(directory, i)) for i in range(400)]
    left = np.array([(t.eyelids[0], t.blendshapes[9]) for t in tracked])
    assert np.corrcoef(left.T)[0, 1] > 0.85


def test_wojtek(cut, track):
    subject = cut
    assert track(subject, "--detector", "mesh")[0] == Exit.OK
    facts = receipt(subject.directory("tracking"))["facts"]
    assert facts["frames_out"] == 400 and facts["missing"] == []
    assert facts["landmark_error_pct"]["median"] <= 1.5
    assert facts["jitter_px"] < 0.5 * facts["jitter_px_raw"]
