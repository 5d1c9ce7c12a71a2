"""A real talking head: what the issue asks of the tracker. Skipped where the video is not."""

import pytest

from stages.command import command
from stages.errors import Exit
from stages.layout import Subject
from stages.publication import receipt


def test_wojtek(wojtek, tmp_path, track):
    pytest.importorskip("av")
    from stages.frames import STAGE, __main__

    subject = Subject(tmp_path, "wojtek")
    assert command(STAGE, __main__.run, ["wojtek", "--data", str(tmp_path), "--video", str(wojtek)]) == Exit.OK
    assert track(subject)[0] == Exit.OK
    facts = receipt(subject.directory("tracking"))["facts"]
    assert facts["frames_out"] == 400 and facts["missing"] == []
    assert facts["landmark_error_pct"]["median"] <= 1.5
    assert facts["jitter_px"] < 0.5 * facts["jitter_px_raw"]
