"""mask: images a second and peak memory, for the masks and for the audit alone, on a few and on many images.

    python -m bench.mask DATASET [--short 300] [--long 3000]

DATASET is a finished data/<ID>/dataset; its images are repeated (hard links) until there are enough. Each line is one
run of the stage as the engine does it. The targets: 100 images a second on 2 cores, 1 GB, the same for both lengths.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from avatarmake.contract.layout import checkpoint_file, dataset_image
from avatarmake.contract.publication import RECEIPT


def repeat(dataset: Path, out: Path, count: int) -> None:
    """A dataset of `count` images that are those of another, again and again."""
    index = json.loads((dataset / "index.json").read_text())
    have = len(index["images"])
    for folder in ("imgs", "checkpoint"):
        (out / folder).mkdir(parents=True)
    for i in range(count):
        os.link(dataset_image(dataset, i % have + 1), dataset_image(out, i + 1))
        os.link(checkpoint_file(dataset, i % have), checkpoint_file(out, i))
    longer = {key: list(range(1, count + 1)) for key in ("images", "source_frames", "times")}
    (out / "index.json").write_text(json.dumps(index | longer | {"weights": [1.0] * count}))
    shutil.copy(dataset / RECEIPT, out / RECEIPT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--short", type=int, default=300)
    parser.add_argument("--long", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dataset.parent) as folder:  # hard links need the same volume
        for count in (options.short, options.long):
            subject = Path(folder) / f"n{count}"
            repeat(options.dataset, subject / "dataset", count)
            for name, more in (("masks", []), ("audit", ["--fix"])):
                command = [sys.executable, "-m", "stages.mask", subject.name, "--data", folder, *more]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                done = json.loads((subject / "masks" / RECEIPT).read_text())
                rate = count / done["seconds"]
                print(f"mask, {count} images, {name}: {rate:.0f} a second, {done['peak_memory_mb']:.0f} MB at most")


if __name__ == "__main__":
    main()
