"""refine: milliseconds a frame and peak memory, on a few and on many frames.

    python -m bench.refine SUBJECT [--short 400] [--long 3000]

SUBJECT is a folder data/<ID> with finished dataset/ and masks/; their frames are repeated (hard links) until there are
enough. Each line is one run of the stage as the engine does it, start-up and the small avatar included.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from avatarmake.contract.layout import alpha_mask, parsing_mask
from avatarmake.contract.publication import RECEIPT
from bench.mask import repeat


def repeat_masks(masks: Path, out: Path, have: int, count: int) -> None:
    """The masks of a dataset whose frames are repeated."""
    for folder in ("alpha", "parsing"):
        (out / folder).mkdir(parents=True)
    for i in range(count):
        for old, new in zip(files(masks, i % have + 1), files(out, i + 1), strict=True):
            os.link(old, new)
    shutil.copy(masks / RECEIPT, out / RECEIPT)


def files(masks: Path, number: int) -> list[Path]:
    return [alpha_mask(masks, number), *(parsing_mask(masks, number, part) for part in ("neckhead", "mouth"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", type=Path)
    parser.add_argument("--short", type=int, default=400)
    parser.add_argument("--long", type=int, default=3000)
    options = parser.parse_args()
    dataset, masks = options.subject / "dataset", options.subject / "masks"
    have = len(json.loads((dataset / "index.json").read_text())["images"])
    with tempfile.TemporaryDirectory(dir=options.subject.parent) as folder:  # hard links need the same volume
        for count in (options.short, options.long):
            made = Path(folder) / f"n{count}"
            repeat(dataset, made / "dataset", count)
            repeat_masks(masks, made / "masks", have, count)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            words = [sys.executable, "-m", "stages.refine", made.name, "--data", folder]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            done = json.loads((made / "refined" / RECEIPT).read_text())
            each = 1000 * done["seconds"] / count
            print(
                f"refine, {count} frames: {done['seconds']:.1f} s, {each:.0f} ms a frame; {processor:.1f} s of "
                f"processor; {done['peak_memory_mb']:.0f} MB at most",
                flush=True,
            )


if __name__ == "__main__":
    main()
