"""A seeded slice of `python -m bench.fuzz`, and that it sees what it is there to see."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

for module in ("av", "cv2", "PIL"):
    pytest.importorskip(module)

from bench import fuzz_worker  # noqa: E402
from bench.fuzz import fuzz, table  # noqa: E402
from bench.fuzz_readers import READERS, Reader  # noqa: E402
from bench.mutation import mutated  # noqa: E402

FILE = b'{"a": [1, 2, 3], "b": "two"}'


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_files_are_read_or_refused(reader):
    result = fuzz(reader, 25, seed=7)
    assert result.sound, result.failures


def hungry(path: Path) -> None:
    bytearray(fuzz_worker.MEMORY * 2)


@pytest.mark.parametrize(
    ("outcome", "does"),
    [
        ("traceback", lambda path: {}["a key that is not there"]),
        ("traceback", hungry),
        ("crash", lambda path: os.kill(os.getpid(), signal.SIGSEGV)),
        ("crash", lambda path: os._exit(3)),
        ("hang", lambda path: time.sleep(60)),
        ("lost", lambda path: path.unlink()),
        ("lost", lambda path: path.write_bytes(b"mine")),
    ],
)
def test_what_must_not_be_is_seen(outcome, does, monkeypatch):
    monkeypatch.setattr(fuzz_worker, "SECONDS", 0.3)
    reader = Reader("bad", "a.json", lambda: [FILE], lambda path: path.read_bytes() == FILE or does(path))
    result = fuzz(reader, 3, seed=1)
    assert result.counts == {outcome: 3} and not result.sound
    lines = list(table(iter([("bad", result)])))
    assert lines[1].split()[:2] == ["bad", "3"] and outcome in lines[2]


def test_the_same_seed_makes_the_same_damage():
    made = [[mutated(FILE, [FILE], rng) for _ in range(50)] for rng in (random.Random(3), random.Random(3))]
    assert made[0] == made[1] and len(set(made[0])) > 40


def test_a_whole_file_that_is_refused_is_a_fault_of_the_bench():
    with pytest.raises(AssertionError, match="a whole file is traceback"):
        fuzz(Reader("bad", "a.json", lambda: [FILE], lambda path: 1 / 0), 1, seed=1)
