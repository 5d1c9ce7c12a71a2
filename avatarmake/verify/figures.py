"""What is compared of a run: the report's figures, and how large the checkpoint's arrays are."""

import json
import subprocess
from collections.abc import Iterator

from avatarmake import ROOT
from avatarmake.contract.layout import Subject
from avatarmake.environments import venv
from avatarmake.errors import Exit, StageError

# of report/metrics.json; not what was only asked for, nor what is rounding and nothing else (convert's error, the few
# pixels of a mask that are far off)
KEPT = (
    "frames.tracked",
    "tracking.landmark_error_pct",
    "tracking.jitter_px",
    "tracking.truth",
    "masks.truth.alpha_iou",
    "masks.truth.head_iou",
    "masks.truth.edge_px",
    "refine",
    "avatar.blocks",
    "avatar.last",
)
HEADLINES = {  # those that a person looks at
    "avatar.blocks.psnr_full": "unseen blocks, full, dB",
    "avatar.blocks.psnr_head": "unseen blocks, head, dB",
    "avatar.last.psnr_full": "last tenth, full, dB",
    "avatar.last.psnr_head": "last tenth, head, dB",
    "avatar.blocks.psnr_inner": "unseen blocks, within the outline, dB",
    "tracking.landmark_error_pct.median": "landmarks, % of outer-eye distance",
    "tracking.truth.landmark_error_px.median": "truth: landmarks, px",
    "tracking.truth.rotation_error_degrees.median": "truth: rotation, degrees",
    "tracking.truth.refined.rotation_error_degrees.median": "truth: rotation, refined, degrees",
    "masks.truth.head_iou": "truth: masks, IoU of the head",
}
MOMENTS = ("_first", "_second")  # how names of Adam's end, which are of the last few steps
READER = "convert"  # the smallest environment that has numpy, which the host has not


def read(subject: Subject) -> dict[str, float]:
    """Every figure of a finished run by its name: `avatar.blocks.psnr_full`, `checkpoint.<array>`."""
    metrics = json.loads((subject.directory("report") / "metrics.json").read_text())
    figures = {name: value for name, value in flat(metrics) if name.startswith(KEPT)}
    sizes = {name: value for name, value in _checkpoint(subject).items() if not name.endswith(MOMENTS)}
    return figures | {f"checkpoint.{name}": value for name, value in sizes.items()}


def flat(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested dictionaries and lists, by their path."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from flat(part, f"{name}.{key}" if name else str(key))
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def _checkpoint(subject: Subject) -> dict[str, float]:
    path = subject.directory("avatar") / "checkpoint.pt"
    words = [str(venv.python(READER)), "-m", "avatarmake.verify.checkpoint", str(path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise StageError(f"cannot be read: {done.stderr.strip()}", path, exit=Exit.INTERNAL)
    return json.loads(done.stdout)
