"""Which options a stage gets, which of them are remembered, and when there is nothing to do."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from avatarmake import engine
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import Stage, option
from avatarmake.engine import request
from avatarmake.errors import Exit, StageError


@dataclass(frozen=True)
class Config:
    video: Path | None = option(None, "a video", input=True)
    fps: float | None = option(None, "images per second")
    bright: bool = option(False, "brighter")
    workers: int = option(0, "processes", key=False)
    audit: bool = option(False, "look again", again=True)


STAGE = Stage(name="frames", summary="", reads=(), writes="frames", config=Config)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "my film.mp4"
    path.write_bytes(b"film")
    return path


def ask(data: Path, *words: str) -> request.Request:
    return request.parse(STAGE, ["roman", f"--data={data}", *words])


def finish(asked: request.Request, monkeypatch) -> None:
    """Run the stage as an engine would: through its own command line, with the options to remember."""
    monkeypatch.setenv("AVATARMAKE_ENVIRONMENT", json.dumps({"engine": "test", "options": asked.options()}))
    run = lambda job: (job.out / "a").write_text("a") and {"frames_in": 1, "frames_out": 1}  # noqa: E731
    assert command(STAGE, run, asked.words(asked.subject.data)) == 0


def test_words_are_the_options_that_differ_from_the_defaults(tmp_path, video):
    asked = ask(tmp_path, "--video", str(video), "--fps", "10", "--workers", "0", "--force")
    assert asked.words(Path("/data")) == ["roman", "--data=/data", f"--video={video}", "--fps=10.0", "--force"]


def test_home_in_a_path_is_expanded(tmp_path, video, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ask(tmp_path, "--video=~/my film.mp4").config.video == video


def test_what_was_given_is_remembered(tmp_path, video, monkeypatch):
    first = ask(tmp_path, "--video", str(video), "--fps", "10", "--bright", "--workers", "3")
    assert first.state()[0] is False
    finish(first, monkeypatch)
    again = ask(tmp_path)
    assert (again.config.video, again.config.fps, again.config.bright) == (video, 10.0, True)
    assert again.config.workers == 0, "what does not change the result is for one call"
    assert again.state()[0] is True


def test_an_option_given_again_replaces_the_remembered_one(tmp_path, video, monkeypatch):
    finish(ask(tmp_path, "--video", str(video), "--fps", "10", "--bright"), monkeypatch)
    asked = ask(tmp_path, "--fps=5", "--no-bright")
    assert (asked.config.video, asked.config.fps, asked.config.bright) == (video, 5.0, False)
    done, line = asked.state()
    assert not done and "fps: 10.0 -> 5.0" in line
    assert asked.options()["bright"] == "--no-bright", "and is remembered in turn"


def test_the_video_may_be_gone_afterwards(tmp_path, video, monkeypatch):
    finish(ask(tmp_path, "--video", str(video)), monkeypatch)
    video.unlink()
    assert ask(tmp_path).state()[0] is True
    with pytest.raises(StageError, match="there is no such file"):
        ask(tmp_path, "--video", str(video)).state()


def test_another_video_of_the_same_name_is_noticed_when_given(tmp_path, video, monkeypatch):
    finish(ask(tmp_path, "--video", str(video)), monkeypatch)
    video.write_bytes(b"another")
    assert ask(tmp_path, "--video", str(video)).state()[0] is False


def test_an_audit_runs_again_and_is_not_remembered(tmp_path, video, monkeypatch):
    asked = ask(tmp_path, "--video", str(video), "--audit")
    assert asked.again and "audit" not in asked.options()
    finish(asked, monkeypatch)
    assert not ask(tmp_path).again


def test_an_option_that_the_stage_lost_is_forgotten(tmp_path, video, monkeypatch):
    asked = ask(tmp_path, "--video", str(video))
    finish(asked, monkeypatch)
    stamp = Subject(tmp_path, "roman").directory("frames") / "stage.json"
    done = json.loads(stamp.read_text())
    done["environment"]["options"]["colour"] = "--colour=red"
    stamp.write_text(json.dumps(done))
    assert ask(tmp_path).state()[0] is True


def test_a_new_version_of_the_sources_gets_a_new_cache(tmp_path, monkeypatch):
    old = ask(tmp_path).cache("local")
    monkeypatch.setattr(request, "closure", lambda stage: [Path(__file__)])
    monkeypatch.setattr(request, "ROOT", Path(__file__).parent)
    new = ask(tmp_path).cache("local")
    assert new != old and new.is_dir() and not old.exists()


def test_a_directory_that_a_kill_left_beside_its_place_is_back_before_anything_is_asked(
    tmp_path, video, monkeypatch, capsys
):
    """Its stage.json is what remembers the video."""
    finish(ask(tmp_path, "--video", str(video)), monkeypatch)
    root = Subject(tmp_path, "roman").root
    (root / "frames").rename(root / ".frames.old")
    monkeypatch.setattr(engine, "load", lambda name: STAGE)
    assert engine.run("frames", ["roman", f"--data={tmp_path}"]) == Exit.OK
    assert "nothing to do" in capsys.readouterr().out and (root / "frames" / "stage.json").exists()
