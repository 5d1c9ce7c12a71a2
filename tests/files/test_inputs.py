"""What a user may give as input, and in which order its files come."""

import os
import socket
from pathlib import Path

import pytest

from avatarmake.errors import StageError
from avatarmake.files import inputs


def folder(tmp_path, *names: str) -> Path:
    place = tmp_path / "given"
    place.mkdir(exist_ok=True)
    for name in names:
        (place / name).write_text(name)
    return place


def names(path: Path) -> list[str]:
    return [p.name for p in inputs.files(path)]


def test_natural_order_without_what_desktops_leave(tmp_path):
    place = folder(
        tmp_path, "a10.png", "a9.png", "A1.png", "b0.png", "Thumbs.db", ".DS_Store", "desktop.ini", "007.png"
    )
    (place / "below").mkdir()
    (place / "below" / "1.png").write_text("")
    assert names(place) == ["007.png", "A1.png", "a9.png", "a10.png", "b0.png"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("%05d.png", ["00009.png", "00010.png", "123456.png"]),
        ("%5d.png", ["00009.png", "00010.png", "123456.png"]),
        ("%d.png", ["7.png", "123456.png"]),
        ("f%02d_x.jpg", ["f03_x.jpg"]),
        ("%03d.tif", []),
    ],
)
def test_numbered_files(tmp_path, pattern, found):
    place = folder(
        tmp_path, "00010.png", "00009.png", "123456.png", "7.png", "f03_x.jpg", "f3_x.jpg", "00009_png", "x7.png"
    )
    assert inputs.is_numbered(place / pattern) and inputs.place(place / pattern) == place
    assert names(place / pattern) == found


def test_a_file_with_a_percent_sign_is_itself(tmp_path):
    film = folder(tmp_path, "50%d.mp4") / "50%d.mp4"
    assert not inputs.is_numbered(film) and inputs.place(film) == film and inputs.files(film) == [film]
    assert not inputs.is_numbered(film.with_name("%d of %d.png")) and not inputs.is_numbered(film.with_name("100%.png"))


def test_digest_is_of_names_and_contents(tmp_path):
    place = folder(tmp_path, "1.png", "2.png", "a.txt")
    whole, numbered = inputs.digest(place), inputs.digest(place / "%d.png")
    folder(tmp_path, ".hidden", "Thumbs.db")
    assert inputs.digest(place) == whole
    (place / "a.txt").write_text("other")
    assert inputs.digest(place) != whole and inputs.digest(place / "%d.png") == numbered
    (place / "2.png").rename(place / "3.png")
    assert inputs.digest(place / "%d.png") != numbered


def test_names_need_not_be_text(tmp_path):
    (folder(tmp_path) / os.fsdecode(b"a\xff1.png")).write_text("")
    assert len(inputs.digest(tmp_path / "given")) == 64 and len(names(tmp_path / "given")) == 1


def test_what_would_be_read_for_ever_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("socket")
        for path, kind in ((tmp_path / "pipe", "pipe"), (tmp_path / "socket", "socket"), (Path("/dev/zero"), "device")):
            with pytest.raises(StageError, match=f"is a {kind}") as e:
                inputs.check(path, "VIDEO")
            assert "VIDEO=..." in str(e.value)


@pytest.mark.parametrize("missing", ["nothing.mp4", "nowhere/%05d.png", "film.mp4/inside.mp4"])
def test_what_is_not_there(tmp_path, missing):
    (tmp_path / "film.mp4").write_text("")
    with pytest.raises(StageError, match="there is no such file"):
        inputs.check(tmp_path / missing, "VIDEO")


def test_a_name_too_long_is_one_line(tmp_path):
    with pytest.raises(StageError, match="File name too long"):
        inputs.check(tmp_path / ("a" * 300 + ".mp4"), "VIDEO")
