"""A file appears whole or not at all."""

import pytest

from avatarmake.files.whole import TORN, whole


def test_whole_writes_all_or_nothing(tmp_path):
    with pytest.raises(RuntimeError), whole(tmp_path / "a.txt") as p:
        p.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with whole(tmp_path / "a.txt") as first, whole(tmp_path / "a.txt") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["a" * 255, "a" * 251 + ".jpg", "a." + "b" * 253, "é" * 127])
def test_a_name_as_long_as_there_may_be(tmp_path, name):
    with whole(tmp_path / name) as p:
        p.write_text("all")
        assert TORN.fullmatch(p.name) and (p.suffix == ".jpg") == name.endswith(".jpg")
    assert [p.name for p in tmp_path.iterdir()] == [name]
