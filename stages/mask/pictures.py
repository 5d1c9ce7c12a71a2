"""Pictures of an audit: what each fault looked like, and what stands there now."""

from pathlib import Path

import numpy as np

from avatarmake.contract.layout import dataset_image
from avatarmake.formats.images import read_mask, read_rgb, tint, write_jpeg
from stages.mask import audit
from stages.mask.brought import Brought, mask_file
from stages.mask.work import Finding

EXAMPLES = 3  # of each fault
RED, GREEN = (255, 40, 40), (40, 220, 80)


def write_examples(out: Path, old: Brought, dataset: Path, findings: list[Finding]) -> None:
    """audit/<fault>/<number>_<part>.jpg: the image with the mask that was there in red, beside it the new in green."""
    for fault in sorted({f.fault for f in findings} - {"stray"}):
        of_it = [f for f in findings if f.fault == fault]
        step = max(1, len(of_it) // EXAMPLES)
        for f in of_it[::step][:EXAMPLES]:
            image = read_rgb(dataset_image(dataset, f.number))
            before = audit.as_it_looks(old.file(f.number, f.part), f.part, old.source)
            left = image if before is None else tint(image, before, RED)
            right = tint(image, read_mask(mask_file(out, f.number, f.part)), GREEN)
            path = out / "audit" / fault / f"{f.number:05d}_{f.part}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_jpeg(path, np.concatenate([left, right], 1), quality=85)
