"""Feeds damaged files to everything that reads a user's: nothing but a StageError may come of it.

    python -m bench.fuzz [--inputs 5000] [--seed 1] [--only NAME,...] [--keep FOLDER]

An input is read in a forked process, with 10 seconds and a gigabyte of address space (fuzz_worker.py).
The table says for each reader: inputs, those read, those refused with a StageError, and what must not be: other
exceptions (traceback), processes that were killed by a fault (crash) or by the clock (hang), and files of the user's
that were not there, or not the same, afterwards (lost). `MB` is the most that a process took beyond its parent.
The same seed gives the same inputs. --keep keeps those that failed. Exit code 1 where there was one.
"""

import argparse
import random
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.fuzz_readers import READERS, Reader
from bench.fuzz_worker import Worker
from bench.mutation import mutated

GOOD = ("ok", "refused")
BAD = ("traceback", "crash", "hang", "lost")


@dataclass
class Result:
    """What became of the inputs of one reader."""

    counts: Counter = field(default_factory=Counter)
    peak: int = 0  # bytes beyond the parent's
    seconds: float = 0.0
    failures: dict[str, bytes] = field(default_factory=dict)  # what went wrong, its first example

    @property
    def sound(self) -> bool:
        return not any(self.counts[kind] for kind in BAD)


def fuzz(reader: Reader, inputs: int, seed: int) -> Result:
    """Reads `inputs` damaged files. Raises AssertionError where the whole ones cannot be read."""
    rng = random.Random(f"{seed} {reader.name}")
    result, started = Result(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = reader.lay(Path(folder))
        worker = Worker(reader.read, place)
        seeds = reader.seeds()
        for content in seeds:
            outcome, what, _ = _judged(worker, place, Path(folder), content)
            assert outcome == "ok", f"{reader.name}: a whole file is {outcome}: {what}"
        for _ in range(inputs):
            content = mutated(rng.choice(seeds), seeds, rng)
            outcome, what, peak = _judged(worker, place, Path(folder), content)
            result.counts[outcome] += 1
            result.peak = max(result.peak, peak)
            if outcome in BAD:
                result.failures.setdefault(f"{outcome}: {what}", content)
        worker.close()
    result.seconds = time.monotonic() - started
    return result


def _judged(worker: Worker, place: Path, folder: Path, content: bytes) -> tuple[str, str, int]:
    """-> outcome, what went wrong, bytes that it took."""
    place.write_bytes(content)
    before = _digest(folder)
    outcome, what, peak = worker.judge()
    if _digest(folder) != before:
        return "lost", "the user's files are not what they were", peak
    return outcome, what, peak


def _digest(folder: Path) -> dict[str, int]:
    return {str(p): zlib.crc32(p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def table(results: Iterator[tuple[str, Result]]) -> Iterator[str]:
    columns = ("inputs", *GOOD, *BAD, "MB", "s")
    yield f"{'reader':<20}" + "".join(f"{c:>10}" for c in columns)
    for name, r in results:
        values = (sum(r.counts.values()), *(r.counts[k] for k in (*GOOD, *BAD)), round(r.peak / 1e6), round(r.seconds))
        yield f"{name:<20}" + "".join(f"{v:>10}" for v in values)
        yield from (f"    {what}" for what in r.failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=5000, help="of each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="readers, with commas: " + ", ".join(r.name for r in READERS))
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that failed")
    options = parser.parse_args()
    names, sound = [name for name in options.only.split(",") if name], True

    def results() -> Iterator[tuple[str, Result]]:
        nonlocal sound
        for reader in READERS:
            if names and reader.name not in names:
                continue
            result = fuzz(reader, options.inputs, options.seed)
            sound &= result.sound
            for n, content in enumerate(result.failures.values()) if options.keep else ():
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{reader.name}-{n}-{reader.file.replace('/', '_')}").write_bytes(content)
            yield reader.name, result

    for line in table(results()):
        print(line, flush=True)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
