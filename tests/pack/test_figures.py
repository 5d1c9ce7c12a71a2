"""Which numbers are figures, and by how much they may differ."""

import json
import math

import pytest

from avatarmake.pack import figures
from avatarmake.pack.figures import Figure


def test_figures_are_what_a_stage_says_of_its_result_and_not_of_its_run(tmp_path):
    said = {"avatar": {"psnr_full": 30.0, "per_frame": [{"psnr_full": 1.0}]}, "note": None}
    (tmp_path / "metrics.json").write_text(json.dumps(said))
    facts = {"frames_in": 3, "ms_per_frame": {"solver": 1.0}, "curve_seconds": [1.0], "box": [0, 5], "missing": []}
    assert figures.of({"facts": facts}, tmp_path) == {
        "frames_in": 3,
        "box.0": 0,
        "box.1": 5,
        "metrics.json: avatar.psnr_full": 30.0,
        "metrics.json: note": None,
    }


@pytest.mark.parametrize(
    ("name", "then", "now", "holds"),
    [
        ("blocks.psnr_full", 30.0, 30.3, True),
        ("blocks.psnr_full", 30.0, 31.0, False),
        ("frames_out", 300, 299, False),
        ("focal", 1000.0, 1009.0, True),
        ("focal", 1000.0, 1011.0, False),
        ("jitter_px", None, 0.2, False),
        ("jitter_px", math.nan, math.nan, True),
        ("detector", "mesh", "landmarker", False),
        ("live", True, 1.0, True),
    ],
)
def test_tolerances(name, then, now, holds):
    (figure,) = figures.compared({name: then}, {name: now})
    assert figure.holds is holds


def test_a_figure_that_only_one_run_has_does_not_hold():
    said = figures.compared({"a": 1}, {"b": 2})
    assert [(f.name, f.holds) for f in said] == [("a", False), ("b", False)]


def test_what_is_off_most_comes_first():
    assert Figure("a", 1.0, 3.0, 1.0).share == 2 and Figure("a", 1, 2, 0).share == math.inf
