"""Make avatarmake/verify/reference.json anew: `.venv/test/bin/python -m bench.verify_reference [--data FOLDER]`.

The small demo of `make verify` on this machine's CPU, with three seeds of refine and train on each of three processors:
this one, and this one held to AVX2 and to SSE (tests/processors.py). Mean and tolerance of a figure are of the nine
runs.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from avatarmake import __version__
from avatarmake.contract.provenance import host_facts
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from avatarmake.verify import figures, reference, runs
from tests.processors import PROCESSORS

OPTIONS = {
    "demo": ["--frames=96"],
    "refine": ["--iterations=400"],
    "train": ["--iterations=400", "--resolution=256", "--gaussians=6000", "--checkpoint-every=400"],
}
SEEDS = (0, 1, 2)
RUN = runs.Run("local", "cpu")


def measured(data: Path, told: dict[str, str]) -> list[dict[str, float]]:
    """The figures of every seed on a processor that its variables make of this one."""
    before = dict(os.environ)
    os.environ.update(told)
    try:
        return [_one(data, seed) for seed in SEEDS]
    finally:
        os.environ.clear()
        os.environ.update(before)


def _one(data: Path, seed: int) -> dict[str, float]:
    finished = runs.do(RUN, data, seeded(seed))
    if finished.fault:
        raise StageError(finished.fault, data, exit=Exit.INTERNAL)
    return figures.read(finished.subject)


def seeded(seed: int) -> dict[str, list[str]]:
    return OPTIONS | {stage: [*OPTIONS[stage], f"--seed={seed}"] for stage in ("refine", "train")}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="where the runs are kept")
    data = arguments.parse_args().data or Path(tempfile.mkdtemp(prefix="avatarmake-"))
    processors = {"this processor": {}} | PROCESSORS
    kept = {}
    for number, (name, told) in enumerate(processors.items()):
        print(f"as on {name}", flush=True)
        kept[name] = measured(data / str(number), told)
    every = [one for of_one in kept.values() for one in of_one]
    names = sorted(set.intersection(*(set(one) for one in every)))
    tolerated = {name: reference.figure([one[name] for one in every]) for name in names}
    made = {
        "avatarmake": __version__,
        "when": time.strftime("%Y-%m-%d"),
        "cpu": host_facts()["cpu"],
        "processors": list(processors),
        "seeds": list(SEEDS),
    }
    pairs = {name: [figure.mean, figure.tolerance] for name, figure in tolerated.items()}
    options = seeded(SEEDS[0])  # named, or the last one's would be remembered
    with whole(reference.FILE) as part:
        part.write_text(json.dumps({"made": made, "options": options, "figures": pairs}, indent=1) + "\n")
    for name, words in figures.HEADLINES.items():
        known, seen = tolerated[name], [one[name] for one in every]
        print(f"{words}: {known.mean:.5g} +- {known.tolerance:.3g} (seen {min(seen):.5g} to {max(seen):.5g})")


if __name__ == "__main__":
    main()
