"""An .npz that numpy reads and whose bytes are the arrays' alone."""

import hashlib

import numpy as np
import pytest

from avatarmake.formats.npz import write_npz

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "size": 512, "name": "open"}


def test_numpy_reads_it(tmp_path):
    write_npz(tmp_path / "x.npz", ARRAYS)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as npz:
        assert list(npz) == list(ARRAYS)
        np.testing.assert_array_equal(npz["a"], ARRAYS["a"])
        assert npz["a"].dtype == np.float32 and npz["size"] == 512 and npz["name"] == "open"


def test_the_bytes_are_those_of_every_other_python(tmp_path):
    """np.savez of Python 3.11.2 and of 3.11.7 gives two files; this digest is of the one that both write here."""
    write_npz(tmp_path / "x.npz", {"a": ARRAYS["a"]})
    found = hashlib.sha256((tmp_path / "x.npz").read_bytes()).hexdigest()
    assert found == "94772213266c8138cf68873f315c39a9dc836036bcd0806b3763130e2881ad5b"


def test_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "x.npz", {"a": np.array([{}])})
