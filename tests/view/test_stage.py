"""The stage: one file of its own, the same bytes again, and what it says where it cannot."""

import base64
import json
import re

import numpy as np
import pytest

from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit
from stages.view import STAGE, __main__, packing
from tests.view.conftest import FRAMES


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
    for name in ("dataset", "avatar"):
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
    assert receipt(viewed.directory("view"))["facts"] == {"frames_in": FRAMES, "frames_out": 1, "live": True}


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
