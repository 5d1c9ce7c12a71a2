"""A file appears whole or not at all."""

import pytest

from avatarmake.files.whole import whole


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
