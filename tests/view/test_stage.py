"""The stage: one file of its own, the same bytes again, and what it says where it cannot."""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from avatarmake.avatar import tracked
from avatarmake.avatar.performance import Performance
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit
from stages.view import STAGE, __main__, packing
from tests.view.conftest import FRAMES, write_drive


@pytest.fixture
def view(capsys):
    """Run the stage: (exit code, stdout, stderr)."""

    def run(subject, *options):
        code = command(STAGE, __main__.run, [subject.name, "--data", str(subject.data), *options])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def copy(subject, tmp_path) -> Subject:
    """The subject, to do as one likes with what it writes."""
    (tmp_path / "small").mkdir()
    for name in ("refined", "avatar"):
        (tmp_path / "small" / name).symlink_to(subject.directory(name))
    return Subject(tmp_path, "small")


def text(subject: Subject) -> str:
    return (subject.directory("view") / "index.html").read_text()


def packed(subject: Subject) -> tuple[dict, dict]:
    """facts, and name -> (kind, shape) of the page's arrays."""
    content = base64.b64decode(re.search(r'octet-stream">([^<]*)<', text(subject))[1])
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + length])
    return header["facts"], {name: (a["kind"], tuple(a["shape"])) for name, a in header["arrays"].items()}


def test_one_file_that_needs_nothing_else(viewed):
    page = text(viewed)
    assert [p.name for p in viewed.directory("view").iterdir() if p.name == "index.html"] == ["index.html"]
    assert len(page) < 8e6 and "{{" not in page
    assert not re.search(r"https?://|src=|<link|@import", page)
    assert "default-src 'none'" in page and "width=device-width" in page
    facts, arrays = packed(viewed)
    assert facts["name"] == "small" and facts["named"][0] == "smile" and 0 <= facts["start"] < FRAMES
    assert arrays["expression"] == ("float16", (FRAMES, 100)) and arrays["latent"] == ("float16", (3000, 16))
    assert receipt(viewed.directory("view"))["facts"] == {
        "frames_in": FRAMES, "frames_out": 1, "live": True, "drives": ["anna"],
    }  # fmt: skip
    assert facts["drives"] == ["anna"] and arrays["anna/times"] == ("float32", (9,))


def test_nothing_to_do_and_the_same_bytes(viewed, view):
    before = text(viewed)
    assert "nothing to do" in view(viewed)[1]
    assert view(viewed, "--force")[0] == Exit.OK
    assert text(viewed) == before


def test_so_many_seconds(copy, view):
    assert view(copy, "--seconds", "0.5")[0] == Exit.OK
    assert packed(copy)[1]["times"][1] == (13,)
    code, _, said = view(copy, "--seconds", "0")
    assert code == Exit.USAGE and "seconds is 0.0" in said


def test_drives_that_are_there(copy, view):
    """A new one makes another page, one that is asked for is needed, one that is half there does not count."""
    assert view(copy)[0] == Exit.OK
    assert packed(copy)[0]["drives"] == []
    for name in ("tour", "anna"):
        write_drive(copy, name, 4)
    copy.directory("drives/half").mkdir()
    code, said, _ = view(copy)
    assert code == Exit.OK and "drives/anna/: None ->" in said
    assert packed(copy)[0]["drives"] == ["anna", "tour"]
    assert "nothing to do" in view(copy)[1]
    assert view(copy, "--drives", "tour")[0] == Exit.OK and packed(copy)[0]["drives"] == ["tour"]
    code, _, said = view(copy, "--drives", "roman")
    assert code == Exit.BAD_INPUT and "drives/roman" in said and "make drive ID=small" in said
    assert view(copy, "--drives", "")[0] == Exit.OK and packed(copy)[0]["drives"] == []


def test_drives_that_the_page_has_no_room_for(copy, view, capsys, avatar):
    own = tracked.of_dataset(copy.directory("refined"), "small")
    alone = len(__main__.live(avatar, own, {}))
    one = len(__main__.live(avatar, own, {"b": own})) - alone
    kept = __main__.fitting(avatar, own, {"a": own.at(np.arange(0, 9, 0.01)), "b": own, "c": own}, alone + 1.5 * one)
    assert list(kept) == ["b"] and "a is left out, for the page's size" in capsys.readouterr().out


def test_a_drive_of_another_head_model(copy, view):
    write_drive(copy, "anna", 4)
    path = copy.directory("drives/anna") / "parameters.npz"
    replace(Performance.read(path), head_model_digest="other").write(path)
    code, said, _ = view(copy)
    assert code == Exit.OK and "anna is left out: it drove an avatar on another head model" in said


def test_a_licensed_head_model_is_not_given_away(copy, view, monkeypatch):
    """The page says so, and holds nothing of it; the run is no failure, for a report comes after it."""
    monkeypatch.setattr(__main__, "FREE", ())
    code, said, _ = view(copy)
    assert code == Exit.OK and "FLAME, whose licence" in said
    assert "FLAME, whose licence" in text(copy) and "<script" not in text(copy) and len(text(copy)) < 10_000
    assert receipt(copy.directory("view"))["facts"]["live"] is False


def test_a_damaged_checkpoint(copy, view, tmp_path):
    (tmp_path / "avatar").mkdir()
    for name in ("stage.json", "checkpoint.pt"):
        (tmp_path / "avatar" / name).write_bytes((copy.directory("avatar") / name).read_bytes()[:5000])
    copy.directory("avatar").unlink()
    (tmp_path / "avatar").rename(copy.directory("avatar"))
    code, _, said = view(copy)
    assert code == Exit.BAD_INPUT and "checkpoint.pt" in said and "Traceback" not in said


def test_steps_are_small():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 30, 3)) * np.array([1e-3, 1, 50, 0])[:, None, None]
    stored, scale = packing.steps(a)
    off = np.abs(stored * scale[:, None, None] - a).max((1, 2))
    assert stored.dtype == np.int16 and (off <= np.abs(a).max((1, 2)) / 65534 * 1.001).all()


def test_names_are_text():
    assert "&lt;b&gt;" in __main__.page("<b>", "") and "&lt;b&gt;" in __main__.withheld("<b>", "why")
