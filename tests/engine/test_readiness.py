"""Before the first stage runs: what all of them need, in a line each, and nothing made in vain."""

import pytest

from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES
from avatarmake.engine import readiness, request
from avatarmake.environments import venv
from avatarmake.errors import Exit, StageError


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host without Docker, whose environments are made in no time; `made` lists them, `missing` cannot be made."""

    class Host:
        made: list[str] = []
        missing: set[str] = set()

        def python(self, name, kind):
            if name in self.missing:
                what = "error: No solution found\n  cause: Because there is no version of torch==2.13.0+cpu"
                raise StageError(what, "pip install", "Give an index", Exit.ENVIRONMENT)
            self.made.append(name)

    host = Host()
    host.made, host.missing = [], set()
    monkeypatch.setenv("ENGINE", "local")
    monkeypatch.delenv("TRACKER", raising=False)
    monkeypatch.setattr(venv, "is_current", lambda name, kind: name in host.made)
    monkeypatch.setattr(venv, "python", host.python)
    return host


@pytest.fixture
def roman(tmp_path) -> Subject:
    subject = Subject(tmp_path, "roman")
    subject.root.mkdir()
    (subject.root / "video.mp4").touch()
    return subject


@pytest.mark.parametrize(
    "goals, needed",
    [
        (["frames"], "frames"),
        (["train"], "frames track convert mask refine train"),
        (["track", "convert"], "frames track convert"),
        (["report", "demo"], "demo frames track convert mask refine train view report"),
    ],
)
def test_goals_bring_in_what_comes_before(goals, needed):
    assert readiness.needed(goals) == needed.split()


def test_everything_is_made_before_the_first_stage(host, roman):
    assert readiness.make_ready(roman, ["train"], {}) == Exit.OK
    assert host.made == ["frames", "track", "convert", "mask", "refine", "train"]


def test_what_cannot_be_had_is_a_line_a_stage_and_the_others_are_looked_at_too(host, roman, capsys):
    host.missing = {"track", "train"}
    assert readiness.make_ready(roman, ["train"], {}) == Exit.ENVIRONMENT
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["track", "train"]
    assert all("no version of torch==2.13.0+cpu. Give an index" in line for line in lines)
    assert host.made == ["frames", "convert", "mask", "refine"]


def test_a_missing_asset_is_said_before_the_first_stage(host, roman, capsys):
    assert readiness.make_ready(roman, ["track"], {"track": ["--head-model=flame"]}) == Exit.MISSING_ASSET
    assert capsys.readouterr().err.startswith("track: ") and "track" not in host.made


def test_a_stage_that_is_done_needs_nothing(host, roman, monkeypatch):
    done = {"frames", "track"}
    monkeypatch.setattr(request.Request, "state", lambda self: (self.stage.name in done, ""))
    host.missing = done
    assert readiness.make_ready(roman, ["convert"], {}) == Exit.OK
    assert host.made == ["convert"]


def test_a_wrong_path_is_said_at_once(host, roman):
    with pytest.raises(StageError, match="no such file"):
        readiness.make_ready(roman, ["train"], {"frames": ["--video=nowhere.mp4"]})
    assert not host.made


def test_the_demo_makes_its_video_itself(host, tmp_path):
    assert readiness.make_ready(Subject(tmp_path, "demo"), ["report", "demo"], {}) == Exit.OK
    others = {"imported", "flame_head_tracker", "flashavatar", "drive", "export", "live"}
    assert set(host.made) == set(STAGES) - others
