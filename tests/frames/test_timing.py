"""When frames are shown: timestamps that make no sense, containers that contradict themselves."""

from fractions import Fraction

import numpy as np
import pytest

from stages.frames.timing import Clock, Rates, rate_by_count, rate_by_timestamps
from stages.frames.video import Video
from tests.frames.test_video import number, shade


def times(stamps: list, rate: float = 25) -> list[float]:
    clock = Clock(stamps[:16], rate)
    return [round(clock.time(stamp), 4) for stamp in stamps]


def test_b_frames_in_avi(video):
    """Their timestamps are those of decoding, and the header counts fields: 50 a second, and times run backwards."""
    options = {"encoder": {"bf": "2", "b_strategy": "0"}, "base": Fraction(1, 50)}
    with Video(video([shade(i) for i in range(30)], suffix=".avi", **options)) as v:
        frames = [(f.time, number(f.rgb())) for f in v.frames()]
        assert v.fps == 25 and any("run backwards" in line for line in v.lines)
    assert frames == [(pytest.approx(i / 25), i % 24) for i in range(30)]


def test_b_frames_in_avi_as_they_were_met(shared_data):
    with Video(shared_data / "faults" / "h264_bframes.avi") as v:
        assert v.fps == 25
        assert [f.time for f in v.frames()] == pytest.approx([i / 25 for i in range(60)])


def test_without_timestamps(video):
    with Video(video([shade(i) for i in range(9)], suffix=".h264")) as v:
        assert [(round(f.time, 2), number(f.rgb())) for f in v.frames()] == [(round(i / 25, 2), i) for i in range(9)]
        assert "no timestamps" in v.lines[0]


def test_varying_distances_stay_as_they_are():
    stamps = [0, 0.04, 0.2, 0.24, 1.0, 1.04, 5.0]
    assert times(stamps) == stamps and times([7 + s for s in stamps]) == stamps


def test_one_stamp_that_does_not_rise_costs_the_others_nothing():
    stamps = [i / 25 for i in range(30)]
    stamps[20] = stamps[19]
    seen = times(stamps)
    assert (np.diff(seen) > 0).all() and np.allclose(np.delete(seen, 20), np.delete(stamps, 20), atol=1e-3)


def test_a_recording_begun_anew_goes_on():
    stamps = [i / 25 for i in range(20)] * 2
    assert np.allclose(times(stamps), np.arange(40) / 25, atol=1e-3)


def test_a_missing_stamp_follows_the_last():
    clock = Clock([0, 0.04], 25)
    assert [round(clock.time(s), 2) for s in (0, 0.04, None, 0.12)] == [0, 0.04, 0.08, 0.12]


@pytest.mark.parametrize(
    ("average", "guessed", "stamps", "rate"),
    [
        (50, 25, np.arange(60) / 25, 25),  # fields counted as frames
        (90000, 30000 / 1001, np.arange(60) * 1001 / 30000, 30000 / 1001),  # a clock's rate taken for frames'
        (20, 60, [0, 0.033, 0.067, 0.1, 0.133], 1000 / 33.25),  # neither is right, milliseconds are rounded
        (12, 25, np.delete(np.arange(50), range(20, 46)) / 25, 12),  # uneven, and so many come in that time
        (24, 25, [0.0], 24),
    ],
)
def test_rate_where_the_container_contradicts_itself(average, guessed, stamps, rate):
    rates = Rates(average, guessed, guessed)
    assert rates.doubtful([])
    assert rate_by_timestamps(rates, stamps) == pytest.approx(rate)


def test_rate_that_the_timestamps_contradict():
    assert Rates(25, 25, 25).doubtful([0, 0.08, 0.16]) and not Rates(25, 25, 25).doubtful([0, 0.04, 0.08, 1.0])


@pytest.mark.parametrize(("seconds", "rate"), [(2.4, 25), (None, 25), (1.2, 50)])
def test_rate_by_count(seconds, rate):
    assert rate_by_count(Rates(50, 25, 25, seconds), 60) == rate


def test_a_rate_of_another_kind_in_the_header(video, tmp_path):
    """Twice as slow by its timestamps as its header says."""
    made = video([shade(i) for i in range(30)], [i * 0.08 for i in range(30)], suffix=".mkv")
    with Video(made) as v:
        assert v.fps == pytest.approx(12.5, rel=0.01)
        assert [round(f.time, 2) for f in v.frames()] == [round(i * 0.08, 2) for i in range(30)]
