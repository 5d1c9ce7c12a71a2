"""TRACKER=: which of the stages that write tracking/ runs, and what is said before anything is built."""

import json

import pytest

from avatarmake import engine
from avatarmake.__main__ import main
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import RECEIPT
from avatarmake.contract.stage import load
from avatarmake.engine import request
from avatarmake.errors import Exit, StageError


def write_receipt(directory, stage: str) -> None:
    stamp = {
        "stage": stage,
        "key": "0" * 64,
        "parts": {},
        "seconds": 1.0,
        "peak_memory_mb": 1.0,
        "environment": {"engine": "none"},
        "finished": "2026-01-01T00:00:00Z",
    }
    (directory / RECEIPT).write_text(json.dumps(stamp | {"outputs": {"digest": "0", "bytes": 1, "files": 1}}))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A subject whose frames/ are there, and nothing that a user would have to bring."""
    frames = Subject(tmp_path, "roman").directory("frames")
    frames.mkdir(parents=True)
    write_receipt(frames, "frames")
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "assets"))
    monkeypatch.delenv("TRACKER", raising=False)
    return tmp_path


def tracked_by(data, stage: str) -> None:
    tracking = Subject(data, "roman").directory("tracking")
    tracking.mkdir()
    write_receipt(tracking, stage)


@pytest.mark.parametrize("stage", ["track", "flame_head_tracker"])
def test_the_tracker_that_made_what_is_there_goes_on(data, stage, monkeypatch):
    subject = Subject(data, "roman")
    assert engine.chosen("track", subject) == "track"
    tracked_by(data, stage)
    assert engine.chosen("track", subject) == stage
    monkeypatch.setenv("TRACKER", "avatarmake")
    assert engine.chosen("track", subject) == "track"


def test_the_trainer_that_made_what_is_there_goes_on(data, monkeypatch):
    monkeypatch.delenv("TRAINER", raising=False)
    subject = Subject(data, "roman")
    assert engine.chosen("train", subject) == "train"
    avatar = subject.directory("avatar")
    avatar.mkdir()
    write_receipt(avatar, "flashavatar")
    assert engine.chosen("train", subject) == "flashavatar"
    monkeypatch.setenv("TRAINER", "nope")
    with pytest.raises(StageError, match="no trainer 'nope'. TRAINER is avatarmake or flashavatar"):
        engine.chosen("train", subject)
    assert engine.chosen("mask", subject) == "mask"


def test_an_unknown_tracker_lists_the_known(data, monkeypatch):
    monkeypatch.setenv("TRACKER", "nope")
    with pytest.raises(StageError, match="TRACKER is avatarmake or flame-head-tracker") as e:
        engine.chosen("track", Subject(data, "roman"))
    assert e.value.exit == Exit.USAGE


def test_a_missing_asset_is_said_before_an_engine_is_chosen(data, monkeypatch):
    """Or a user would wait for an image of a gigabyte to be told so."""
    monkeypatch.setattr(engine, "choose", lambda stage: pytest.fail("an engine was chosen"))
    with pytest.raises(StageError, match=r"generic_model.pkl: .* Type: make assets GET=flame2020") as e:
        engine.run("track", ["roman", f"--data={data}", "--head-model=flame"])
    assert e.value.exit == Exit.MISSING_ASSET


def test_another_tracker_s_work_is_named_in_a_word(data):
    tracked_by(data, "flame_head_tracker")
    asked = request.parse(load("track"), ["roman", f"--data={data}"])
    assert asked.state() == (False, "track roman: to do, what is there is flame_head_tracker's")


def test_status_has_one_line_for_tracking(data, capsys):
    from avatarmake import status

    status.show("roman", data)
    shown = capsys.readouterr().out
    assert "\ntrack " in shown
    assert "flame_head_tracker" not in shown


def test_status_makes_the_patched_copy_that_a_tracker_s_key_depends_on(data, monkeypatch, capsys):
    """It is no fault of the subject's that another terminal asks."""
    from avatarmake import patches, status

    copy = data / "patched"
    copy.mkdir()
    (copy / "patched.json").write_text("{}")
    monkeypatch.setattr(patches, "prepare", lambda name: copy)
    monkeypatch.setenv("AVATARMAKE_UPSTREAM", "")
    tracked_by(data, "flame_head_tracker")
    status.show("roman", data)
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("flame_head_tracker"))
    assert "to do again" in row and "waits" not in row


def test_a_stage_by_itself_looks_for_what_it_needs(data, capsys):
    """In its container, or after the host has looked."""
    from avatarmake.contract.command import command

    argv = ["roman", f"--data={data}", "--detector=landmarker"]
    code = command(load("track"), lambda job: pytest.fail("it ran"), argv)
    assert code == Exit.MISSING_ASSET
    assert "make assets GET=face_landmarker" in capsys.readouterr().err


def test_a_receipt_that_no_stage_wrote_does_not_end_the_status(tmp_path, capsys):
    (tmp_path / "roman" / "tracking").mkdir(parents=True)
    (tmp_path / "roman" / "tracking" / RECEIPT).write_text("[]")
    assert main(["status", "roman", f"--data={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "is no receipt of a stage" in said and "report" in said
